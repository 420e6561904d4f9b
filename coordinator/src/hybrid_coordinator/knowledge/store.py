"""What retrieval needs of a vector store, as one interface with two engines behind it.

``QdrantStore`` speaks to a server or runs qdrant-client's local mode;
``EdgeStore`` runs Qdrant's engine in this process. Both pass one test suite.
Here are the types they share and the rules that must not differ between them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import CollectionMismatch
from hybrid_coordinator.knowledge.collections import DENSE, SPARSE
from hybrid_coordinator.settings import Collection

Vector: TypeAlias = npt.NDArray[np.float32]
"""Float32 of shape (size,), of length 1."""

PAGE: Final = 256
"""Points of one page of a scroll where the caller does not say."""

EMBEDDER_KEY: Final = "embedder"
"""Name in a server's metadata of a collection of the embedder its vectors are from."""

RRF_K: Final = 60
"""Constant of reciprocal rank fusion; 60 in Cormack, Clarke and Büttcher, SIGIR 2009."""

_log = logging.getLogger(__name__)

FilterValue: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: ``indices`` are distinct term hashes below 2³², ``values`` their weights."""

    indices: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """A conjunction over payload fields and ids. Empty: everything.

    ``any_of``: the field has one of the values. ``none_of``: it has none of
    them. ``at_least`` and ``below``: inclusive and exclusive bounds. ``ids``:
    the point is one of these.
    """

    any_of: Mapping[str, tuple[FilterValue, ...]] = field(default_factory=dict)
    none_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    below: Mapping[str, float] = field(default_factory=dict)
    ids: tuple[str, ...] | None = None

    @property
    def empty(self) -> bool:
        return self.ids is None and not (self.any_of or self.none_of or self.at_least or self.below)

    def fits(self, payload: Json) -> bool:
        """Whether a payload fits, as the engines see it; says nothing about ``ids``.

        A list fits where one of its elements does; a missing field fits no
        condition but ``none_of``.
        """
        return (
            all(_has(payload, key, values) for key, values in self.any_of.items())
            and not any(_has(payload, key, values) for key, values in self.none_of.items())
            and all(_number(payload, key) >= limit for key, limit in self.at_least.items())
            and all(_number(payload, key) < limit for key, limit in self.below.items())
        )


def _has(payload: Json, key: str, values: Sequence[FilterValue]) -> bool:
    value = payload.get(key)
    return any(v in values for v in value) if isinstance(value, list) else value in values


def _number(payload: Json, key: str) -> float:
    value = payload.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


@dataclass(frozen=True, slots=True)
class Point:
    """An item to store. ``id`` is a UUID; ``dense`` has the embedder's size and length 1."""

    id: str
    dense: Vector
    sparse: SparseVector
    payload: Json


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """An item as it was stored. ``dense`` where it was asked for."""

    id: str
    payload: Json
    dense: Vector | None = None


@dataclass(frozen=True, slots=True)
class RankedPoint:
    """A point in one search's answer, with its cosine to the dense query, whatever ranked it."""

    id: str
    payload: Json
    cosine: float
    dense: Vector | None = None


@dataclass(frozen=True, slots=True)
class FoundPoint:
    """A hit of both searches together.

    ``cosine`` is the similarity to the dense query whichever search found the
    point, ``fused`` the reciprocal rank score. Ranks count from 1; ``None``
    where that search did not find it. ``dense`` where the engine gives it for
    free; ``KnowledgeStore.vectors`` has it otherwise.
    """

    id: str
    payload: Json
    cosine: float
    fused: float
    dense: Vector | None = None
    dense_rank: int | None = None
    sparse_rank: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a scroll; ``next`` is where the next begins, ``None`` after the last."""

    points: tuple[StoredPoint, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """A collection's state. ``problem`` is a sentence, ``None`` where all is as it should be."""

    points: int | None
    vector_size: int | None
    problem: str | None = None


class KnowledgeStore(Protocol):
    """The five collections in some engine. Every method raises ``StoreUnavailable``."""

    async def init(self) -> None:
        """Create what is missing; raises ``CollectionMismatch`` where what is there differs."""

    async def upsert(self, collection: Collection, points: Sequence[Point]) -> None:
        """Store points, replacing those of the same id; returns once they are durable."""

    async def delete(self, collection: Collection, where: Filter) -> None:
        """Remove every point that fits; an empty filter is refused with ``ValueError``."""

    async def get(
        self, collection: Collection, ids: Sequence[str], *, with_vectors: bool = False
    ) -> list[StoredPoint]:
        """The points that exist of these ids, in no particular order."""

    async def vectors(self, collection: Collection, ids: Sequence[str]) -> dict[str, Vector]:
        """The dense vectors of the points that exist of these ids."""

    async def query(
        self,
        collection: Collection,
        dense: Vector,
        sparse: SparseVector,
        limit: int,
        where: Filter | None = None,
    ) -> list[FoundPoint]:
        """The ``limit`` nearest by cosine and as many by BM25, fused, best first."""

    async def count(self, collection: Collection, where: Filter | None = None) -> int:
        """How many points fit, exactly."""

    async def scroll(
        self,
        collection: Collection,
        where: Filter | None = None,
        *,
        after: str | None = None,
        limit: int = PAGE,
        with_vectors: bool = False,
    ) -> Page:
        """Points in the order of their ids, a page at a time."""

    async def set_payload(self, collection: Collection, ids: Sequence[str], payload: Json) -> None:
        """Set these payload fields of these points, leaving the others."""

    async def schema_report(self) -> dict[Collection, CollectionReport]:
        """How every collection is, for health checks; does not raise."""

    async def recreate(self, collection: Collection) -> None:
        """Throw a collection away and create it empty, for the present embedder."""

    async def aclose(self) -> None:
        """Make everything durable and let go of it."""


def fuse(dense: Sequence[RankedPoint], sparse: Sequence[RankedPoint]) -> list[FoundPoint]:
    """Join two rankings by reciprocal rank: each adds 1/(60 + rank) (Cormack et al. 2009).

    Both are best first. Ties go to the greater cosine, then to the lesser id.
    """
    points: dict[str, RankedPoint] = {}
    ranks: dict[str, list[int | None]] = {}
    for which, ranking in enumerate((dense, sparse)):
        for rank, point in enumerate(ranking, start=1):
            points.setdefault(point.id, point)
            ranks.setdefault(point.id, [None, None])[which] = rank
    hits = [
        FoundPoint(
            id=id_,
            payload=point.payload,
            cosine=point.cosine,
            fused=sum(1 / (RRF_K + rank) for rank in ranks[id_] if rank is not None),
            dense=point.dense,
            dense_rank=ranks[id_][0],
            sparse_rank=ranks[id_][1],
        )
        for id_, point in points.items()
    ]
    hits.sort(key=lambda hit: (-hit.fused, -hit.cosine, hit.id))
    return hits


def vectors_in_words(size: int | None, distance: str, *, sparse: bool, embedder: str | None) -> str:
    """What a collection holds, or should; the words are equal exactly where both fit.

    ``size`` None: it has no vector of ours. ``embedder`` None: nobody noted whose they are.
    """
    if size is None:
        return f"no vector named '{DENSE}'"
    without = "" if sparse else f" without '{SPARSE}'"
    by = "" if embedder is None else f" by '{embedder}'"
    return f"vectors of {size} dimensions ({distance}){without}{by}"


def mismatch(collection: Collection, have: str, want: str) -> CollectionMismatch:
    """The error for a collection that was made for another embedder (lesson 1)."""
    return CollectionMismatch(
        f"The collection '{collection}' holds {have}, but the embedder makes {want}. Run "
        "'hybrid-coordinator reindex' to embed its items anew, or set the embedder back."
    )


class Availability:
    """Remembers whether a store answers, and logs each change once (lesson 7)."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._up: bool | None = None

    @property
    def up(self) -> bool:
        """False only after a failure that no success followed."""
        return self._up is not False

    def succeeded(self) -> None:
        if self._up is False:
            _log.warning("The %s answers again.", self._name)
        self._up = True

    def failed(self, why: str) -> None:
        if self._up is not False:
            _log.error("The %s does not answer; requests go on without it: %s", self._name, why)
        self._up = False
