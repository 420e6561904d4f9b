"""The collections behind the stand-in: qdrant-client's local mode in a folder, in one thread.

Adds what local mode lacks beside a server: payload indexes that are remembered, operation numbers,
and the errors a server gives, with its status. What was answered is on the disk's cache and so
survives SIGKILL; it need not survive a power cut. Not here: HTTP.
"""

from __future__ import annotations

import asyncio
import json
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from qdrant_client import models
from qdrant_client.local.qdrant_local import QdrantLocal

Json = dict[str, Any]
_T = TypeVar("_T")
_INDEXES = "payload-indexes.json"
_NO_SELECTION = "Format error in JSON body: Either list of point ids or filter must be provided"
_NO_SCHEMA = (
    "Bad request: Can't auto-detect field type, please specify `field_schema` in the request"
)


class Refusal(Exception):
    """A request that Qdrant answers with an error: the HTTP status and its sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Engine:
    """Every operation of the API on the collections of one folder.

    The operations compute and write, and local mode may only be touched by one thread: `run` calls
    them there, one after the other.
    """

    def __init__(self, folder: Path) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._folder = folder
        self._operations: Counter[str] = Counter()
        self._indexes: dict[str, Json] = {}
        self._local = self._thread.submit(self._open).result()

    async def run(self, operation: Callable[[], _T]) -> _T:
        """The result of an operation of this engine, computed in its thread; raises Refusal."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, operation)

    def close(self) -> None:
        """End the thread, with everything on disk."""
        self._thread.submit(self._local.close).result()
        self._thread.shutdown()

    def names(self) -> list[str]:
        return sorted(self._local.collections)

    def exists(self, name: str) -> bool:
        return name in self._local.collections

    def create(self, name: str, wanted: models.CreateCollection) -> bool:
        if self.exists(name):
            raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
        self._indexes.pop(name, None)
        self._save_indexes()
        self._local.create_collection(
            name,
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            metadata=wanted.metadata,
        )
        self._unsynced(name)
        return True

    def drop(self, name: str) -> bool:
        self._operations.pop(name, None)
        return self._local.delete_collection(name)

    def info(self, name: str) -> Json:
        self._must_exist(name)
        info = self._local.get_collection(name)
        known: Json = info.model_dump(mode="json", exclude_none=True)
        known["payload_schema"] = {
            field: {"data_type": kind, "points": self._having(name, field)}
            for field, kind in self._indexes.get(name, {}).items()
        }
        return known

    def index(self, name: str, wanted: models.CreateFieldIndex) -> int:
        self._must_exist(name)
        schema = wanted.field_schema
        if schema is None:
            raise Refusal(400, _NO_SCHEMA)
        kind = schema if isinstance(schema, models.PayloadSchemaType) else schema.type
        self._indexes.setdefault(name, {})[wanted.field_name] = str(kind.value)
        self._save_indexes()
        return self._number(name)

    def unindex(self, name: str, field: str) -> int:
        self._must_exist(name)
        self._indexes.get(name, {}).pop(field, None)
        self._save_indexes()
        return self._number(name)

    def upsert(self, name: str, wanted: models.PointsList | models.PointsBatch) -> int:
        self._must_exist(name)
        if isinstance(wanted, models.PointsBatch):
            self._check_ids(wanted.batch.ids)
            points: models.Batch | list[models.PointStruct] = wanted.batch
        else:
            self._check_ids([point.id for point in wanted.points])
            for point in wanted.points:
                self._check_vectors(name, point.vector, named=True)
            points = wanted.points
        self._local.upsert(
            name, points, update_filter=wanted.update_filter, update_mode=wanted.update_mode
        )
        return self._number(name)

    def delete(self, name: str, wanted: models.PointsSelector) -> int:
        self._must_exist(name)
        self._local.delete(name, wanted)
        return self._number(name)

    def set_payload(self, name: str, wanted: models.SetPayload) -> int:
        self._must_exist(name)
        if wanted.points is not None:
            selector: models.PointsSelector = models.PointIdsList(points=wanted.points)
        elif wanted.filter is not None:
            selector = models.FilterSelector(filter=wanted.filter)
        else:
            raise Refusal(400, _NO_SELECTION)
        self._local.set_payload(name, wanted.payload, selector, key=wanted.key)
        return self._number(name)

    def retrieve(self, name: str, wanted: models.PointRequest) -> list[models.Record]:
        self._must_exist(name)
        self._check_ids(wanted.ids)
        return self._local.retrieve(
            name,
            wanted.ids,
            wanted.with_payload or False,  # as the server does it; its documents say True
            wanted.with_vector or False,
        )

    def count(self, name: str, wanted: models.CountRequest) -> int:
        self._must_exist(name)
        return self._local.count(name, count_filter=wanted.filter).count

    def scroll(
        self, name: str, wanted: models.ScrollRequest
    ) -> tuple[list[models.Record], models.ExtendedPointId | None]:
        self._must_exist(name)
        _positive("scroll_request.limit", wanted.limit)
        return self._local.scroll(
            name,
            scroll_filter=wanted.filter,
            limit=wanted.limit or 10,
            order_by=_order(wanted.order_by),
            offset=wanted.offset,
            with_payload=True if wanted.with_payload is None else wanted.with_payload,
            with_vectors=wanted.with_vector or False,
        )

    def query(
        self, name: str, wanted: Sequence[models.QueryRequest]
    ) -> list[list[models.ScoredPoint]]:
        self._must_exist(name)
        for request in wanted:
            _positive("internal.limit", request.limit)
            if isinstance(request.query, list):
                self._check_vectors(name, {request.using or "": request.query})
            if isinstance(request.query, models.NearestQuery):
                self._check_vectors(name, {request.using or "": request.query.nearest})
        ready = [request.model_copy(update={"query": _query(request.query)}) for request in wanted]
        return [answer.points for answer in self._local.query_batch_points(name, ready)]

    def _open(self) -> QdrantLocal:
        # Local mode speaks to people who chose it: how it scales and that it has no indexes.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"qdrant_client\.")
        self._folder.mkdir(parents=True, exist_ok=True)
        local = QdrantLocal(str(self._folder))
        kept = self._folder / _INDEXES
        if kept.exists():
            self._indexes = json.loads(kept.read_text(encoding="utf-8"))
        self._local = local
        for name in local.collections:
            self._unsynced(name)
        return local

    def _unsynced(self, name: str) -> None:
        """Commit without waiting for the disk: local mode commits every point by itself."""
        kept = self._local.collections[name].storage
        if kept is not None:
            kept.storage.execute("PRAGMA journal_mode=WAL")
            kept.storage.execute("PRAGMA synchronous=NORMAL")

    def _save_indexes(self) -> None:
        partial = self._folder / f"{_INDEXES}.partial"
        partial.write_text(json.dumps(self._indexes), encoding="utf-8")
        partial.replace(self._folder / _INDEXES)

    def _number(self, name: str) -> int:
        self._operations[name] += 1
        return self._operations[name] - 1

    def _having(self, name: str, field: str) -> int:
        empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
        return self._local.count(name, count_filter=models.Filter(must_not=[empty])).count

    def _must_exist(self, name: str) -> None:
        if not self.exists(name):
            raise Refusal(404, f"Not found: Collection `{name}` doesn't exist!")

    def _check_vectors(self, name: str, vectors: object, *, named: bool = False) -> None:
        """Refuse a vector of another name or size; local mode's words for it are its own.

        `named`: the refusal names the vector, as the server's does of a write.
        """
        config = self._local.collections[name].config
        dense = config.vectors if isinstance(config.vectors, dict) else {"": config.vectors}
        known: set[str] = {*dense, *(config.sparse_vectors or {})}
        given: Mapping[str, object] = vectors if isinstance(vectors, dict) else {"": vectors}
        for vector_name, vector in given.items():
            if vector_name not in known:
                raise Refusal(400, f"Wrong input: Not existing vector name error: {vector_name}")
            params = dense.get(vector_name)
            if params is not None and isinstance(vector, list) and len(vector) != params.size:
                which = f" for vector '{vector_name}'" if named else ""
                raise Refusal(
                    400,
                    "Wrong input: Vector dimension error: "
                    f"expected dim: {params.size}, got {len(vector)}{which}",
                )

    @staticmethod
    def _check_ids(ids: Sequence[models.ExtendedPointId]) -> None:
        for id_ in ids:
            try:
                valid = id_ >= 0 if isinstance(id_, int) else bool(uuid.UUID(str(id_)))
            except ValueError:
                valid = False
            if not valid:
                raise Refusal(
                    400,
                    f"Format error in JSON body: value {id_} is not a valid point ID, valid "
                    "values are either an unsigned integer or a UUID",
                )


def _positive(field: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise Refusal(
            422,
            f"Validation error in JSON body: [{field}: value {value} invalid, must be 1 or larger]",
        )


def _order(order: models.OrderByInterface | None) -> models.OrderBy | None:
    return models.OrderBy(key=order) if isinstance(order, str) else order


def _query(query: models.QueryInterface | None) -> Any:
    """A bare vector or id as the query it stands for; local mode wants it spelled out."""
    bare = isinstance(query, int | str | uuid.UUID | list | models.SparseVector)
    return models.NearestQuery(nearest=query) if bare else query
