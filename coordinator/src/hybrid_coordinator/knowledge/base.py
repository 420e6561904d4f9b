"""The room's door: search, pack, add and delete knowledge, with everything behind it put together.

Knows the store, the embedder and the word encoder by their interfaces only.
A store that is down does not stop a start: searches are skipped with the
reason until it answers. A collection of another embedder does (lesson 1).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import CollectionMismatch, Forbidden, StoreUnavailable
from hybrid_coordinator.knowledge.calibration import Calibration
from hybrid_coordinator.knowledge.collections import ITEM_OF, Provenance
from hybrid_coordinator.knowledge.embedding import Embedder
from hybrid_coordinator.knowledge.packing import Context, nonce_for, pack
from hybrid_coordinator.knowledge.retrieval import Hit, Retrieved, Retriever
from hybrid_coordinator.knowledge.sparse import SparseEncoder
from hybrid_coordinator.knowledge.store import (
    CollectionReport,
    Filter,
    FilterValue,
    FoundPoint,
    KnowledgeStore,
    SparseVector,
    StoredPoint,
    Vector,
)
from hybrid_coordinator.knowledge.writing import (
    NewItem,
    PointMaker,
    check,
    parse_filters,
    parse_id,
)
from hybrid_coordinator.settings import Collection, RetrievalSettings
from hybrid_coordinator.telemetry.metrics import Metrics

__all__ = ["Knowledge", "NewItem"]

_RETRY_SECONDS: Final = 5.0
"""Between two tries to open a store that was away."""

_LOOK_AGAIN_SECONDS: Final = 5.0
"""How long an answer to "is anything stored?" holds; another coordinator may store too."""

_log = logging.getLogger(__name__)


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
        self._maker = PointMaker(embedder, sparse)
        self._calibration = replace(embedder.calibration, overrides=settings.floors)
        self._retriever = Retriever(store, self._calibration, metrics)
        self._open = False
        self._next_try = 0.0
        self._opening = asyncio.Lock()
        self._filled = False
        self._look_again = 0.0

    @property
    def store(self) -> KnowledgeStore:
        """The store itself, for ingestion and reindexing; it may not be open yet."""
        return self._store

    @property
    def embedder(self) -> Embedder:
        """What embeds questions and items here."""
        return self._embedder

    @property
    def calibration(self) -> Calibration:
        """What the embedder's similarities mean, with the floors of the settings."""
        return self._calibration

    def in_prompts(self, collection: Collection) -> bool:
        """Whether items of a collection get into prompts."""
        return self._settings.limits.get(collection, 0) > 0

    async def opened(self) -> KnowledgeStore:
        """The store, open; raises ``StoreUnavailable``, ``CollectionMismatch``."""
        await self._ready()
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
        parsed, searched = parse_filters(filters or {}, list(limits))
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
        self,
        collection: Collection,
        items: Sequence[NewItem],
        caller: str,
        *,
        announce: bool = True,
    ) -> tuple[str, ...]:
        """Store items for one owner (``""``: everybody) and return their ids in order.

        Every item is checked before any is stored. Raises ``InvalidRequest``
        or ``Unprocessable`` with the field, ``Forbidden`` where an id belongs
        to somebody else's item, ``EmbeddingError``, ``StoreUnavailable``. An
        item that is stored already replaces itself. Without ``announce``
        answers made before stay in the cache: for what only adds.
        """
        checked = check(collection, items, caller, self._embedder)
        if not checked:
            return ()
        await self._ready()
        await self._check_owner(collection, [one.id for one in checked if one.given.id], caller)
        points = await self._maker.points(checked, caller, self._now())
        await self._store.upsert(collection, points)
        if self.in_prompts(collection):
            self._filled = True
        if announce:
            await self._on_change(collection)
        return tuple(one.id for one in checked)

    async def amend(
        self,
        collection: Collection,
        ids: Sequence[str],
        payload: Json,
        *,
        announce: bool = False,
    ) -> int:
        """Set payload fields of stored items, whoever owns them; returns how many there were.

        Ids that are not stored are passed over. Not for fields that are
        embedded or searched by words: vectors stay as they are. Raises
        ``ValueError`` for a field that the collection does not have,
        ``StoreUnavailable``; the latter also where an item is deleted at the
        same moment, and then a repeat passes it over.
        """
        unknown = (
            payload.keys()
            - ITEM_OF[collection].model_fields.keys()
            - Provenance.model_fields.keys()
        )
        if unknown:
            raise ValueError(f"'{collection}' has no {', '.join(sorted(unknown))}.")
        await self._ready()
        there = [point.id for point in await self._store.get(collection, ids)] if ids else []
        if there:
            await self._store.set_payload(collection, there, payload)
            if announce:
                await self._on_change(collection)
        return len(there)

    async def similar(
        self,
        collection: Collection,
        text: str,
        where: Filter | None,
        limit: int,
        *,
        vector: Vector | None = None,
    ) -> list[tuple[StoredPoint, float]]:
        """The stored items nearest to a text, each with its cosine, best first.

        By meaning only: no words, no thresholds, no records. The text is
        embedded as a stored item's would be, so an item is at 1 from itself;
        ``vector`` spares that. Raises ``EmbeddingError``, ``StoreUnavailable``.
        """
        await self._ready()
        dense = (await self._embedder.embed_documents([text]))[0] if vector is None else vector
        found = await self._store.query(collection, dense, SparseVector(), limit, where)
        nearest = sorted(found, key=lambda point: (-point.cosine, point.id))[:limit]
        return [(StoredPoint(point.id, point.payload), point.cosine) for point in nearest]

    async def hits(
        self, text: str, where: Mapping[Collection, Filter], limit: int
    ) -> list[tuple[Collection, FoundPoint]]:
        """What fits each collection's filter, nearest to a question, whoever owns it.

        By meaning and by words, ``limit`` of each; no thresholds and no records.
        Raises ``EmbeddingError``, ``StoreUnavailable``.
        """
        await self._ready()
        dense, sparse = await self._embedder.embed_query(text), self._sparse.query(text)
        return [
            (collection, hit)
            for collection, filter_ in where.items()
            for hit in await self._store.query(collection, dense, sparse, limit, filter_)
        ]

    async def delete(self, collection: Collection, ids: Sequence[str], caller: str) -> int:
        """Delete the caller's own items of these ids; returns how many there were."""
        wanted = tuple(parse_id(id_, "id") for id_ in ids)
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

    async def _check_owner(self, collection: Collection, ids: Sequence[str], caller: str) -> None:
        if not ids:
            return
        for point in await self._store.get(collection, ids):
            if point.payload.get("caller") != caller:
                raise Forbidden(f"The item '{point.id}' belongs to somebody else.", field="id")
