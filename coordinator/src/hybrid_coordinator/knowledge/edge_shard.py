"""One collection in Qdrant's embedded engine: its folder, its generations, its operations.

The engine holds Python's global lock during a call, and its optimiser (which
builds the graph index and drops deleted points) takes seconds to minutes. So
a collection's folder holds *generations*: the optimiser runs in a process of
its own on a copy, while this process goes on with the original and keeps a
journal of what was written since; then the copy gets the journal and becomes
the current generation by the atomic replacement of ``current.json``. A crash
at any point leaves the old generation, which has every write.

All of this is synchronous and belongs to one thread, ``EdgeStore``'s.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.knowledge.collections import DENSE, SPARSE, IndexKind
from hybrid_coordinator.knowledge.edge_config import OPTIMISE_FROM, index_fields, make_shard
from hybrid_coordinator.knowledge.edge_files import (
    Current,
    copy_with_holes,
    generation_folder,
    make_in_memory,
    read_current,
    remove_other_generations,
    write_current,
)
from hybrid_coordinator.knowledge.edge_filter import edge, engine_filter
from hybrid_coordinator.knowledge.store import (
    Filter,
    Page,
    Point,
    RankedPoint,
    SparseVector,
    StoredPoint,
    Vector,
)

_SEARCH_BREADTH: Final = 64
"""``ef`` of the graph search: recall ≥ 0.95 of 16 at 20,000 vectors, 0.99 with rescoring."""

_OVERSAMPLING: Final = 2.0

_SPARE_HITS: Final = 2
"""Hits beyond the limit in a search whose hits are filtered afterwards."""

_ENGINE_FILTERS: Final = 64
"""Searches that filter in the engine after one for which filtering afterwards fell short."""

_JOURNAL_OPERATIONS: Final = 20_000
"""Writes that may wait for an optimised copy; with more the copy is given up."""

_OPTIMISE_SHARE: Final = 0.2
"""Optimise again when this share was written since."""


class EdgeShardFolder:
    """A collection's folder and the open shard in it.

    ``size`` is the vector's, ``embedder`` the embedder's name. Whatever the
    engine raises passes through; ``EdgeStore`` translates it.
    """

    def __init__(
        self, folder: Path, size: int, embedder: str, fields: Mapping[str, IndexKind]
    ) -> None:
        self._folder = folder
        self._size = size
        self._embedder = embedder
        self._fields = fields
        self._flags = [name for name, kind in fields.items() if kind is IndexKind.BOOL]
        self._packed = struct.Struct(f"{size}f")
        self._shard: Any = None
        self._current = Current(0, embedder, size)
        self._journal: list[Any] | None = None
        self._copied: Path | None = None
        self._written = 0
        self._engine_filters = 0
        self.unflushed = False

    @property
    def stored_size(self) -> int:
        """Size of the vectors on disk, which may be another embedder's."""
        return self._current.size

    @property
    def stored_embedder(self) -> str:
        """Name of the embedder whose vectors are on disk."""
        return self._current.embedder

    @property
    def generation(self) -> Path:
        """The folder of the generation that is open."""
        return self._generation(0)

    def open(self) -> bool:
        """Open the current generation and remove what a crash left behind.

        Where there is none, make the first; then the answer is True, and it
        counts only after ``os.sync`` and ``commit``.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        current = read_current(self._folder)
        if current is None:
            self._create(1)
            return True
        self._current = current
        self._shard = edge().EdgeShard.load(str(self.generation))
        remove_other_generations(self._folder, current.generation)
        index_fields(self._shard, self._fields)
        self._written = max(self.points() - current.optimised_points, 0)
        return False

    def commit(self) -> None:
        """Make the generation that is open the one that counts."""
        write_current(self._folder, self._current)
        remove_other_generations(self._folder, self._current.generation)

    def recreate(self) -> None:
        """Start over with an empty generation for the present embedder."""
        self.abandon_copy()
        old, self._shard = self._shard, None
        if old is not None:
            old.close()
        self._create(self._current.generation + 2)  # + 1 may be a copy that is being optimised
        os.sync()
        self.commit()

    def close(self) -> None:
        """Flush and let go of the folder."""
        if self._shard is not None:
            if self.unflushed:
                self.flush()
            self._shard.close()
            self._shard = None

    def flush(self) -> None:
        """Make every write durable against loss of power."""
        self._open_shard().flush()
        self.unflushed = False

    # Reading.

    def points(self) -> int:
        return int(self._open_shard().info().points_count)

    def count(self, where: Filter | None) -> int:
        request = edge().CountRequest(exact=True, filter=engine_filter(where))
        return int(self._open_shard().count(request))

    def get(self, ids: Sequence[str], with_vectors: bool) -> list[StoredPoint]:
        found = self._open_shard().retrieve(
            list(ids), with_payload=True, with_vector=[DENSE] if with_vectors else False
        )
        return [self._outwards(point) for point in found]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        found = self._open_shard().retrieve(list(ids), with_payload=False, with_vector=[DENSE])
        return {str(point.id): self._array(point.vector[DENSE]) for point in found}

    def scroll(
        self, where: Filter | None, after: str | None, limit: int, with_vectors: bool
    ) -> Page:
        points, following = self._open_shard().scroll(
            edge().ScrollRequest(
                offset=after,
                limit=limit,
                filter=engine_filter(where),
                with_payload=True,
                with_vector=[DENSE] if with_vectors else False,
            )
        )
        return Page(
            tuple(self._outwards(point) for point in points),
            None if following is None else str(following),
        )

    def search(
        self, dense: Vector, sparse: SparseVector, limit: int, where: Filter | None
    ) -> tuple[list[RankedPoint], list[RankedPoint]]:
        """The nearest by cosine and the best by BM25, each best first.

        A filter costs the engine a look at every point that fits, far more
        than the search. As long as nearly everything is visible, a search
        without one whose hits are filtered here gives the same answer; where
        it came out short the engine filters, now and for some searches on.
        """
        if where is None or where.empty:
            return self._search(dense, sparse, limit, None)
        if where.ids is None and self._engine_filters == 0:
            wide = limit + _SPARE_HITS
            found = self._search(dense, sparse, wide, None)
            kept = tuple([p for p in ranking if where.fits(p.payload)] for ranking in found)
            complete = (
                len(few) >= limit or len(ranking) < wide
                for few, ranking in zip(kept, found, strict=True)
            )
            if all(complete):
                return kept[0][:limit], kept[1][:limit]
            self._engine_filters = _ENGINE_FILTERS
        self._engine_filters = max(0, self._engine_filters - 1)
        return self._search(dense, sparse, limit, engine_filter(where))

    def _search(
        self, dense: Vector, sparse: SparseVector, limit: int, selected: Any
    ) -> tuple[list[RankedPoint], list[RankedPoint]]:
        q = edge()
        meant = q.Query.Nearest(dense.tolist(), DENSE)
        nearest = self._ranked(meant, limit, selected)
        if not sparse.indices:
            return nearest, []
        vector = q.SparseVector(indices=list(sparse.indices), values=list(sparse.values))
        worded = self._open_shard().query(
            q.QueryRequest(limit=limit, query=q.Query.Nearest(vector, SPARSE), filter=selected)
        )
        # What both searches found is there already; the rest gets its cosine by a second look.
        known = {point.id: point for point in nearest}
        order = [str(point.id) for point in worded]
        others = {id_ for id_ in order if id_ not in known}
        if others:
            these = q.Filter(must=[q.HasIdCondition(others)])
            known.update((p.id, p) for p in self._ranked(meant, len(others), these))
        return nearest, [known[id_] for id_ in order if id_ in known]

    def _ranked(self, query: Any, limit: int, selected: Any) -> list[RankedPoint]:
        q = edge()
        found = self._open_shard().query(
            q.QueryRequest(
                limit=limit,
                query=query,
                filter=selected,
                with_payload=True,
                params=q.SearchParams(
                    hnsw_ef=max(_SEARCH_BREADTH, limit),
                    quantization=q.QuantizationSearchParams(
                        rescore=True, oversampling=_OVERSAMPLING
                    ),
                ),
            )
        )
        return [RankedPoint(str(p.id), self._readable(p.payload), p.score) for p in found]

    # Writing.

    def upsert(self, points: Sequence[Point]) -> None:
        q = edge()
        operation = q.UpdateOperation.upsert_points(
            [
                q.Point(
                    point.id,
                    {
                        DENSE: point.dense.tolist(),
                        SPARSE: q.SparseVector(
                            indices=list(point.sparse.indices), values=list(point.sparse.values)
                        ),
                    },
                    self._inwards(point.payload),
                )
                for point in points
            ]
        )
        self._write(operation, len(points))

    def delete(self, where: Filter) -> None:
        before = self.points()
        self._write(edge().UpdateOperation.delete_points_by_filter(engine_filter(where)), 0)
        self._written += before - self.points()

    def set_payload(self, ids: Sequence[str], payload: Mapping[str, Any]) -> None:
        self._write(edge().UpdateOperation.set_payload(list(ids), self._inwards(payload)), 0)

    # Optimising.

    def wants_optimising(self) -> bool:
        """Whether enough was written since the last time, and no copy is being made."""
        if self._copied is not None or self._shard is None:
            return False
        return self._written >= max(OPTIMISE_FROM, _OPTIMISE_SHARE * self.points())

    def copy(self) -> Path:
        """Copy the current generation's files; nothing may be written meanwhile.

        Of all methods this one may run beside others: it reads files only.
        """
        copy = self._generation(1)
        shutil.rmtree(copy, ignore_errors=True)
        copy_with_holes(self.generation, copy)
        return copy

    def begin_journal(self, copy: Path) -> None:
        """Note every write from here on, for ``copy``."""
        self._copied = copy
        self._journal = []

    def adopt_copy(self) -> bool:
        """Make the optimised copy current. False where its journal had grown too long."""
        journal, self._journal = self._journal, None
        path, self._copied = self._copied, None
        if path is None:
            return False
        if journal is None:
            shutil.rmtree(path, ignore_errors=True)
            return False
        shard = edge().EdgeShard.load(str(path))
        for operation in journal:
            shard.update(operation)
        shard.flush()
        old, self._shard = self._shard, shard
        self._written = len(journal)
        self._current = Current(
            self._current.generation + 1, self._embedder, self._size, self.points()
        )
        self.unflushed = False
        old.close()
        self.commit()
        return True

    def abandon_copy(self) -> None:
        """Forget the copy, until as much again was written; the current one has everything."""
        self._written = 0
        self._journal = None
        path, self._copied = self._copied, None
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)

    # Inside.

    def _generation(self, ahead: int) -> Path:
        return generation_folder(self._folder, self._current.generation + ahead)

    def _open_shard(self) -> Any:
        if self._shard is None:
            raise RuntimeError("the collection is not open")
        return self._shard

    def _write(self, operation: Any, points: int) -> None:
        self._open_shard().update(operation)
        self._written += points
        self.unflushed = True
        if self._journal is not None:
            self._journal.append(operation)
            if len(self._journal) > _JOURNAL_OPERATIONS:
                self._journal = None

    def _create(self, generation: int) -> None:
        path = generation_folder(self._folder, generation)
        make_in_memory(path, lambda place: make_shard(place, self._size, self._fields))
        self._current = Current(generation, self._embedder, self._size)
        self._shard = edge().EdgeShard.load(str(path))
        self._written = 0

    def _outwards(self, point: Any) -> StoredPoint:
        vectors = point.vector
        dense = vectors.get(DENSE) if isinstance(vectors, dict) else None
        return StoredPoint(
            id=str(point.id),
            payload=self._readable(point.payload),
            dense=None if dense is None else self._array(dense),
        )

    def _readable(self, payload: Json | None) -> Json:
        if payload is None:
            return {}
        for name in self._flags:
            if name in payload:
                payload[name] = bool(payload[name])
        return payload

    def _array(self, values: list[float]) -> Vector:
        """The engine's list as an array; by ``struct``, which takes a third of numpy's time."""
        if len(values) != self._packed.size // 4:
            return np.asarray(values, dtype=np.float32)
        return np.frombuffer(self._packed.pack(*values), dtype=np.float32)

    def _inwards(self, payload: Mapping[str, Any]) -> Json:
        return {
            name: int(value) if name in self._flags else value for name, value in payload.items()
        }
