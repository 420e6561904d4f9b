"""The room's door: search, pack, add and delete knowledge, with everything behind it put together.

Knows the store, the embedder and the word encoder by their interfaces only.
A store that is down does not stop a start: searches are skipped with the
reason until it answers. A collection of another embedder does (lesson 1).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import (
    CollectionMismatch,
    Forbidden,
    InvalidRequest,
    StoreUnavailable,
    Unprocessable,
)
from hybrid_coordinator.knowledge.collections import (
    ITEM_OF,
    PROVENANCE_INDEXED,
    Item,
    Provenance,
    Record,
    content_hash,
    indexes,
    item_id,
    parse_item,
)
from hybrid_coordinator.knowledge.embedding import Embedder
from hybrid_coordinator.knowledge.packing import Context, nonce_for, pack
from hybrid_coordinator.knowledge.retrieval import Hit, Retrieved, Retriever
from hybrid_coordinator.knowledge.sparse import SparseEncoder
from hybrid_coordinator.knowledge.store import (
    CollectionReport,
    Filter,
    FilterValue,
    KnowledgeStore,
    Point,
    Vector,
)
from hybrid_coordinator.settings import Collection, RetrievalSettings
from hybrid_coordinator.telemetry.metrics import Metrics

_RETRY_SECONDS: Final = 5.0
"""Between two tries to open a store that was away."""

_LOOK_AGAIN_SECONDS: Final = 5.0
"""How long an answer to "is anything stored?" holds; another coordinator may store too."""

_BATCH: Final = 64
"""Items embedded and encoded at a time."""

_SOURCE: Final = 1024
_SOURCE_HASH: Final = 128
"""Characters; ``Provenance``'s own bounds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to store: its content fields, its source's name, and id or vector if its own."""

    payload: Json
    source: str = ""
    source_hash: str = ""
    id: str | None = None
    vector: Sequence[float] | None = None


async def _nothing(_: Collection) -> None:
    """Tell nobody."""


class Knowledge:
    """Search and upkeep of the five collections.

    ``on_change`` is awaited after each confirmed write with the collection
    that changed (lesson 19: cached answers depend on it). ``secret`` keys the
    nonces of prompts. ``now`` gives epoch seconds.
    """

    def __init__(
        self,
        store: KnowledgeStore,
        embedder: Embedder,
        sparse: SparseEncoder,
        settings: RetrievalSettings,
        metrics: Metrics,
        on_change: Callable[[Collection], Awaitable[None]] = _nothing,
        *,
        secret: bytes = b"",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._sparse = sparse
        self._settings = settings
        self._metrics = metrics
        self._on_change = on_change
        self._secret = secret
        self._now = now
        calibration = replace(embedder.calibration, overrides=settings.floors)
        self._retriever = Retriever(store, calibration, metrics)
        self._open = False
        self._next_try = 0.0
        self._opening = asyncio.Lock()
        self._filled = False
        self._look_again = 0.0

    @property
    def store(self) -> KnowledgeStore:
        """The store itself, for learning, ingestion and reindexing."""
        return self._store

    async def start(self) -> None:
        """Open the store. Raises ``CollectionMismatch``; a store that is away is tried later."""
        try:
            await self._ready()
        except StoreUnavailable as error:
            _log.warning("Starting without stored knowledge: %s", error.message)

    async def search(
        self,
        query: str,
        vector: Vector | None,
        caller: str,
        collections: Sequence[Collection] | None = None,
        limit: int | None = None,
        *,
        filters: Mapping[str, FilterValue | Sequence[FilterValue]] | None = None,
        abstain: bool = True,
    ) -> Retrieved:
        """The items that belong to a question, best first.

        ``vector`` is the question's embedding where it is known. Without
        ``collections`` and ``limit`` the settings decide; with ``limit``
        every collection may give as many, and as many come back in all.
        ``filters`` are payload fields and the value, or one of the values,
        they must have. A store that is away gives an empty result that says so;
        raises ``EmbeddingError``, and ``InvalidRequest`` for an unknown field.
        """
        limits = self._limits(collections, limit)
        parsed, searched = _parse_filters(filters or {}, list(limits))
        limits = {collection: limits[collection] for collection in searched}
        started = time.perf_counter()
        try:
            await self._ready()
        except StoreUnavailable as error:
            self._metrics.steps_skipped.labels("retrieval", error.code).inc()
            return Retrieved(
                skipped=dict.fromkeys(limits, error.message), latency=time.perf_counter() - started
            )
        dense = await self._embedder.embed_query(query) if vector is None else vector
        found = await self._retriever.search(
            dense,
            self._sparse.query(query),
            caller,
            limits,
            timeout=self._settings.timeout,
            filters=parsed,
            abstain=abstain,
        )
        latency = time.perf_counter() - started
        self._metrics.step_seconds.labels("retrieval").observe(latency)
        hits = found.hits if limit is None else found.hits[:limit]
        return replace(found, hits=hits, latency=latency)

    def pack(
        self,
        hits: Sequence[Hit],
        budget: int | None = None,
        count_tokens: Callable[[str], int] | None = None,
    ) -> Context:
        """The hits that are worth most within ``budget`` tokens (default: the setting)."""
        room = self._settings.token_budget if budget is None else budget
        counter = count_tokens or self._embedder.count_tokens
        context = pack(hits, room, counter, nonce_for(hits, self._secret))
        self._metrics.context_items.observe(len(context.ids))
        return context

    async def add(
        self, collection: Collection, items: Sequence[NewItem], caller: str
    ) -> tuple[str, ...]:
        """Store items for one owner (``""``: everybody) and return their ids in order.

        Every item is checked before any is stored. Raises ``InvalidRequest``
        or ``Unprocessable`` with the field, ``Forbidden`` where an id belongs
        to somebody else's item, ``EmbeddingError``, ``StoreUnavailable``. An
        item that is stored already replaces itself.
        """
        parsed = [
            parse_item(collection, item.payload, field=f"items.{index}.payload")
            for index, item in enumerate(items)
        ]
        for index, item in enumerate(items):
            if len(item.source) > _SOURCE or len(item.source_hash) > _SOURCE_HASH:
                raise Unprocessable(
                    f"A source's name has {_SOURCE} characters at most, its hash {_SOURCE_HASH}.",
                    field=f"items.{index}.source",
                )
        given = [self._given_vector(item, index) for index, item in enumerate(items)]
        ids = [
            item_id(collection, content, caller) if item.id is None else _uuid(item.id, index)
            for index, (item, content) in enumerate(zip(items, parsed, strict=True))
        ]
        if not items:
            return ()
        await self._ready()
        await self._check_owner(collection, [item.id for item in items if item.id], caller)
        points: list[Point] = []
        for start in range(0, len(items), _BATCH):
            part = slice(start, start + _BATCH)
            points += await self._points(ids[part], items[part], parsed[part], given[part], caller)
        await self._store.upsert(collection, points)
        self._filled = True
        await self._on_change(collection)
        return tuple(ids)

    async def delete(self, collection: Collection, ids: Sequence[str], caller: str) -> int:
        """Delete the caller's own items of these ids; returns how many there were."""
        wanted = tuple(_uuid(id_, index, "id") for index, id_ in enumerate(ids))
        if not wanted:
            return 0
        return await self._delete(collection, Filter(ids=wanted, any_of={"caller": (caller,)}))

    async def delete_source(self, collection: Collection, source: str, caller: str) -> int:
        """Delete everything of the caller's that came from one source; returns how many."""
        where = Filter(any_of={"caller": (caller,), "source": (source,)})
        return await self._delete(collection, where)

    async def has_items(self) -> bool:
        """Whether there is anything to find; asked anew every few seconds.

        Spares a request the embedding and the searches while nothing is
        stored. A store that is away counts as full, so that the search says why.
        """
        now = time.monotonic()
        if now >= self._look_again:
            self._look_again = now + _LOOK_AGAIN_SECONDS
            self._filled = await self._any_items()
        return self._filled

    async def status(self) -> dict[Collection, CollectionReport]:
        """Points, vector size and what is wrong, per collection; does not raise."""
        with suppress(StoreUnavailable, CollectionMismatch):  # the report says the same
            await self._ready()
        return await self._store.schema_report()

    async def aclose(self) -> None:
        """Close the store; the embedder is its owner's to close."""
        await self._store.aclose()

    async def _any_items(self) -> bool:
        searched = [c for c, limit in self._settings.limits.items() if limit]
        try:
            await self._ready()
            return any([await self._store.count(collection) for collection in searched])
        except StoreUnavailable:
            return True

    async def _delete(self, collection: Collection, where: Filter) -> int:
        await self._ready()
        count = await self._store.count(collection, where)
        if count:
            await self._store.delete(collection, where)
            await self._on_change(collection)
        return count

    async def _ready(self) -> None:
        """Open the store if it is not; raises ``StoreUnavailable`` at once between two tries."""
        if self._open:
            return
        async with self._opening:
            if self._open:
                return
            now = time.monotonic()
            if now < self._next_try:
                raise StoreUnavailable(
                    "The knowledge store could not be opened; it is tried again in "
                    f"{self._next_try - now:.0f} s."
                )
            self._next_try = now + _RETRY_SECONDS
            await self._store.init()
            self._open = True

    def _limits(
        self, collections: Sequence[Collection] | None, limit: int | None
    ) -> dict[Collection, int]:
        if collections:
            return {
                collection: limit or self._settings.limits.get(collection) or 10
                for collection in collections
            }
        if limit is not None:
            return dict.fromkeys(Collection, limit)
        return dict(self._settings.limits)

    def _given_vector(self, item: NewItem, index: int) -> Vector | None:
        if item.vector is None:
            return None
        field = f"items.{index}.vector"
        vector: Vector = np.asarray(item.vector, dtype=np.float32)
        if vector.shape != (self._embedder.size,):
            raise Unprocessable(
                f"The vector has {vector.size} dimensions, but the embedder "
                f"'{self._embedder.name}' makes {self._embedder.size}: leave the vector out, or "
                "send one of that size.",
                field=field,
            )
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length < 1e-6:
            raise Unprocessable("A vector must be finite and not zero.", field=field)
        return vector / np.float32(length)

    async def _check_owner(self, collection: Collection, ids: Sequence[str], caller: str) -> None:
        if not ids:
            return
        for point in await self._store.get(collection, ids):
            if point.payload.get("caller") != caller:
                raise Forbidden(f"The item '{point.id}' belongs to somebody else.", field="id")

    async def _points(
        self,
        ids: Sequence[str],
        items: Sequence[NewItem],
        contents: Sequence[Item],
        given: Sequence[Vector | None],
        caller: str,
    ) -> list[Point]:
        shown = [content.text_for_prompt() for content in contents]
        embedded = iter(
            await self._embedder.embed_documents(
                [
                    content.text_for_embedding()
                    for content, vector in zip(contents, given, strict=True)
                    if vector is None
                ]
            )
        )
        vectors = [next(embedded) if vector is None else vector for vector in given]
        words, lengths = await asyncio.to_thread(
            lambda: (
                self._sparse.documents(shown),
                [self._embedder.count_tokens(text) for text in shown],
            )
        )
        points = []
        for index, content in enumerate(contents):
            provenance = Provenance(
                caller=caller,
                source=items[index].source,
                source_hash=items[index].source_hash,
                content_hash=content_hash(shown[index]),
                created=self._now(),
                tokens=lengths[index],
            )
            payload = Record(content, provenance).payload()
            points.append(Point(ids[index], vectors[index], words[index], payload))
        return points


def _uuid(text: str, index: int, field: str | None = None) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise InvalidRequest("An id is a UUID.", field=field or f"items.{index}.id") from error


def _parse_filters(
    filters: Mapping[str, FilterValue | Sequence[FilterValue]], collections: Sequence[Collection]
) -> tuple[dict[str, tuple[FilterValue, ...]], list[Collection]]:
    """The filters in the store's terms, and the collections that have all of the fields."""
    parsed = {
        name: (value,) if isinstance(value, str | int | float) else tuple(value)
        for name, value in filters.items()
    }
    hidden = "caller"
    for name in parsed:
        if name == hidden or not any(name in indexes(collection) for collection in collections):
            known = sorted(
                {*PROVENANCE_INDEXED, *(f for c in collections for f in ITEM_OF[c].indexed)}
                - {hidden}
            )
            raise InvalidRequest(
                f"'{name}' cannot be filtered here; these can: {', '.join(known)}.",
                field=f"filters.{name}",
            )
    return parsed, [c for c in collections if all(name in indexes(c) for name in parsed)]
