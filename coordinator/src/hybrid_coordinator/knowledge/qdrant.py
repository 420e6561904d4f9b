"""The store over qdrant-client: a Qdrant server, or the client's own local mode.

The server is spoken to with the asynchronous client on the event loop (lesson
4: never the synchronous one). Local mode has the same methods but computes
inside them, so it lives on an event loop of its own in a thread of its own;
it is for tests and for machines without the embedded engine: it scans every
point at every search.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from qdrant_client import AsyncQdrantClient, models

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.knowledge.collections import DENSE, SPARSE, indexes
from hybrid_coordinator.knowledge.qdrant_filter import client_filter
from hybrid_coordinator.knowledge.qdrant_points import (
    ranked_points,
    sparse_vector,
    stored,
    struct,
)
from hybrid_coordinator.knowledge.qdrant_wire import (
    SERVER_ERRORS,
    batches,
    in_words,
    server_client,
    status,
)
from hybrid_coordinator.knowledge.store import (
    EMBEDDER_KEY,
    PAGE,
    Availability,
    CollectionReport,
    Filter,
    FoundPoint,
    Page,
    Point,
    SparseVector,
    StoredPoint,
    Vector,
    fuse,
    mismatch,
    vectors_in_words,
)
from hybrid_coordinator.settings import Collection

_FAILURES: Final = (*SERVER_ERRORS, httpx.HTTPError, OSError, ValueError, RuntimeError, KeyError)
"""What the client raises for a server that is away or refuses; local mode raises the last ones."""

_OF_ONE_REQUEST: Final = (400, 404, 409, 413, 422)
"""HTTP statuses that say something about a request and nothing about the server."""

_REPORT_SECONDS: Final = 2.0  # /ready waits for it, with whoever asks for that

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class _Refused(StoreUnavailable):
    """The server answered, with an HTTP status that means no."""

    def __init__(self, message: str, answer: int) -> None:
        super().__init__(message)
        self.answer = answer


class QdrantStore:
    """``KnowledgeStore`` over qdrant-client.

    ``connect`` makes the client, where it will be used. ``timeout`` in seconds.
    Use ``QdrantStore.server`` or ``QdrantStore.local``.
    """

    def __init__(
        self,
        connect: Callable[[], AsyncQdrantClient],
        name: str,
        size: int,
        embedder: str,
        *,
        local: bool,
        timeout: float,
    ) -> None:
        self._connect = connect
        self._size = size
        self._embedder = embedder
        self._local = local
        self._timeout = timeout
        self._loop = _LoopThread() if local else None
        self._client: AsyncQdrantClient | None = None
        self._name = name
        self._availability = Availability(name)

    @classmethod
    def server(
        cls, url: str, size: int, embedder: str, *, api_key: str | None = None, timeout: float = 5.0
    ) -> QdrantStore:
        """A store on the server at ``url``."""

        def connect() -> AsyncQdrantClient:
            return server_client(url, api_key, timeout)

        return cls(connect, f"Qdrant at {url}", size, embedder, local=False, timeout=timeout)

    @classmethod
    def local(cls, folder: Path | None, size: int, embedder: str) -> QdrantStore:
        """A store in ``folder``, or in memory where there is none."""

        def connect() -> AsyncQdrantClient:
            if folder is None:
                return AsyncQdrantClient(location=":memory:")
            folder.mkdir(parents=True, exist_ok=True)
            return AsyncQdrantClient(path=str(folder))

        place = f"local Qdrant storage in {folder}" if folder else "local Qdrant storage"
        return cls(connect, place, size, embedder, local=True, timeout=60.0)

    async def init(self) -> None:
        existing = await self._run(_names)
        for collection in Collection:
            await self._make(collection, exists=collection in existing)

    async def upsert(self, collection: Collection, points: Sequence[Point]) -> None:
        for batch in batches(points):
            await self._upsert_batch(collection, batch)

    async def delete(self, collection: Collection, where: Filter) -> None:
        if where.empty:
            raise ValueError("an empty filter would delete everything: use recreate()")
        selector = models.FilterSelector(filter=client_filter(where) or models.Filter())
        await self._on(collection, lambda client: client.delete(collection, selector, wait=True))

    async def get(
        self, collection: Collection, ids: Sequence[str], *, with_vectors: bool = False
    ) -> list[StoredPoint]:
        found = await self._on(
            collection,
            lambda client: client.retrieve(
                collection,
                list(ids),
                with_payload=True,
                with_vectors=[DENSE] if with_vectors else False,
            ),
        )
        return [stored(point) for point in found]

    async def vectors(self, collection: Collection, ids: Sequence[str]) -> dict[str, Vector]:
        points = await self.get(collection, ids, with_vectors=True)
        return {point.id: point.dense for point in points if point.dense is not None}

    async def query(
        self,
        collection: Collection,
        dense: Vector,
        sparse: SparseVector,
        limit: int,
        where: Filter | None = None,
    ) -> list[FoundPoint]:
        selected = client_filter(where)
        queries: list[tuple[str, Any]] = [(DENSE, dense.tolist())]
        if sparse.indices:
            queries.append((SPARSE, sparse_vector(sparse)))
        requests = [
            models.QueryRequest(
                query=models.NearestQuery(nearest=vector),
                using=using,
                limit=limit,
                filter=selected,
                with_payload=True,
                with_vector=[DENSE],
            )
            for using, vector in queries
        ]
        answers = await self._on(
            collection, lambda client: client.query_batch_points(collection, requests)
        )
        ranked = [ranked_points(answer.points, dense) for answer in answers]
        return fuse(ranked[0], ranked[1] if len(ranked) > 1 else [])

    async def count(self, collection: Collection, where: Filter | None = None) -> int:
        result = await self._on(
            collection,
            lambda client: client.count(collection, count_filter=client_filter(where), exact=True),
        )
        return result.count

    async def scroll(
        self,
        collection: Collection,
        where: Filter | None = None,
        *,
        after: str | None = None,
        limit: int = PAGE,
        with_vectors: bool = False,
    ) -> Page:
        points, following = await self._on(
            collection,
            lambda client: client.scroll(
                collection,
                scroll_filter=client_filter(where),
                offset=after,
                limit=limit,
                with_payload=True,
                with_vectors=[DENSE] if with_vectors else False,
            ),
        )
        return Page(
            tuple(stored(point) for point in points),
            None if following is None else str(following),
        )

    async def set_payload(self, collection: Collection, ids: Sequence[str], payload: Json) -> None:
        await self._on(
            collection,
            lambda client: client.set_payload(collection, payload, points=list(ids), wait=True),
        )

    async def schema_report(self) -> dict[Collection, CollectionReport]:
        # At once: a server that hangs is waited for once, not once a collection.
        reports = await asyncio.gather(*(self._report(collection) for collection in Collection))
        return dict(zip(Collection, reports, strict=True))

    async def recreate(self, collection: Collection) -> None:
        await self._run(lambda client: client.delete_collection(collection))
        await self._make(collection, exists=False)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            if self._loop is not None:
                await self._loop.run(lambda: client.close())
            else:
                await client.close()
        if self._loop is not None:
            self._loop.stop()
            self._loop = None

    async def _make(self, collection: Collection, *, exists: bool) -> None:
        """Create the collection where it is missing, check it, and index its fields."""
        if not exists:
            try:
                await self._create(collection)
            except _Refused as refusal:
                if refusal.answer != httpx.codes.CONFLICT:
                    raise
                # Another coordinator was quicker; whether what it made fits is checked next.
        info = await self._info(collection)
        self._check(collection, info)
        if not self._local:  # local mode has no payload indexes
            await self._index_fields(collection, info)

    async def _create(self, collection: Collection) -> None:
        named: dict[str, Any] = {}
        if "metadata" in inspect.signature(AsyncQdrantClient.create_collection).parameters:
            named["metadata"] = {EMBEDDER_KEY: self._embedder}  # qdrant-client ≥ 1.16
        await self._run(
            lambda client: client.create_collection(
                collection,
                vectors_config={
                    DENSE: models.VectorParams(size=self._size, distance=models.Distance.COSINE)
                },
                sparse_vectors_config={
                    SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
                **named,
            )
        )

    async def _index_fields(self, collection: Collection, info: models.CollectionInfo) -> None:
        for name, kind in indexes(collection).items():
            if name not in info.payload_schema:
                await self._index_field(collection, name, models.PayloadSchemaType(kind.value))

    async def _index_field(
        self, collection: Collection, name: str, schema: models.PayloadSchemaType
    ) -> None:
        await self._run(
            lambda client: client.create_payload_index(collection, name, schema, wait=True)
        )

    async def _report(self, collection: Collection) -> CollectionReport:
        try:
            info = await self._info(collection, _REPORT_SECONDS)
        except StoreUnavailable as error:
            return CollectionReport(None, None, error.message)
        have, want = self._described(info)
        problem = None if have == want else mismatch(collection, have, want).message
        return CollectionReport(info.points_count, _vector_size(info), problem)

    async def _info(self, collection: Collection, limit: float = math.inf) -> models.CollectionInfo:
        return await self._run(lambda client: client.get_collection(collection), limit)

    async def _upsert_batch(self, collection: Collection, points: Sequence[Point]) -> None:
        structs = [struct(point) for point in points]
        await self._on(collection, lambda client: client.upsert(collection, structs, wait=True))

    def _check(self, collection: Collection, info: models.CollectionInfo) -> None:
        have, want = self._described(info)
        if have != want:
            raise mismatch(collection, have, want)

    def _described(self, info: models.CollectionInfo) -> tuple[str, str]:
        """What the collection holds and what it should, in words that are equal if both fit."""
        vectors = info.config.params.vectors
        dense = vectors.get(DENSE) if isinstance(vectors, dict) else None
        embedder = (getattr(info.config, "metadata", None) or {}).get(EMBEDDER_KEY)
        have = vectors_in_words(
            None if dense is None else dense.size,
            "" if dense is None else dense.distance.value,
            sparse=SPARSE in (info.config.params.sparse_vectors or {}),
            embedder=embedder,
        )
        want = vectors_in_words(
            self._size,
            models.Distance.COSINE.value,
            sparse=True,
            embedder=None if embedder is None else self._embedder,
        )
        return have, want

    async def _on(
        self, collection: Collection, call: Callable[[AsyncQdrantClient], Awaitable[_T]]
    ) -> _T:
        """Run an operation on a collection; one that somebody deleted is made anew for it."""
        try:
            return await self._run(call)
        except _Refused as refusal:
            if refusal.answer != httpx.codes.NOT_FOUND:
                raise
            _log.warning("'%s' is gone from the %s; it is made anew.", collection, self._name)
            await self._make(collection, exists=False)
            return await self._run(call)

    async def _run(
        self, call: Callable[[AsyncQdrantClient], Awaitable[_T]], limit: float = math.inf
    ) -> _T:
        async def attempt() -> _T:
            if self._client is None:
                self._client = self._connect()
            return await call(self._client)

        try:
            async with asyncio.timeout(min(limit, self._timeout)):
                result = await (self._loop.run(attempt) if self._loop else attempt())
        except (*_FAILURES, TimeoutError) as error:
            why, answer = in_words(error), status(error)
            if answer in _OF_ONE_REQUEST:
                self._availability.succeeded()
            else:
                self._availability.failed(why)
            message = f"{self._name} failed: {why}."
            if answer is not None:
                raise _Refused(message, answer) from error
            raise StoreUnavailable(message) from error
        self._availability.succeeded()
        return result


class _LoopThread:
    """An event loop in a thread of its own, for coroutines that compute."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="knowledge-store", daemon=True
        )
        self._thread.start()

    async def run(self, call: Callable[[], Awaitable[_T]]) -> _T:
        async def started() -> _T:
            return await call()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(started(), self._loop))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _names(client: AsyncQdrantClient) -> set[str]:
    return {found.name for found in (await client.get_collections()).collections}


def _vector_size(info: models.CollectionInfo) -> int | None:
    vectors = info.config.params.vectors
    dense = vectors.get(DENSE) if isinstance(vectors, dict) else None
    return None if dense is None else dense.size
