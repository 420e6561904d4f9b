"""The stores and the embedder, put together: what serving and the offline commands both need.

``opened_stores`` starts them for whoever asks; ``initialise``, ``embed_anew``
and ``direct_sink`` are what ``init``, ``reindex`` and ``ingest`` do while no
coordinator runs. Backends, routing and serving are not here.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

from hybrid_coordinator.cache import Cache, CacheStore, Guard, MemoryStore, RedisStore
from hybrid_coordinator.configuration import read_secret
from hybrid_coordinator.conversation import LOOPBACK_CALLER
from hybrid_coordinator.errors import ResourceBusy
from hybrid_coordinator.ingest.items import NewItem
from hybrid_coordinator.key_file import load_or_create
from hybrid_coordinator.knowledge import (
    SHARED,
    Embedder,
    FastembedEmbedder,
    Knowledge,
    KnowledgeStore,
    SparseEncoder,
    open_store,
    reindex,
)
from hybrid_coordinator.knowledge import NewItem as StoredItem
from hybrid_coordinator.scrubbing import Scrubber, load_key
from hybrid_coordinator.settings import Collection, RetrievalSettings, Settings
from hybrid_coordinator.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Stores:
    """What knowledge and cache need, started: the part that an ingest needs too."""

    embedder: FastembedEmbedder
    cache: Cache
    knowledge: Knowledge
    knowledge_under: Callable[[RetrievalSettings], Knowledge]
    """The same knowledge, searched under other settings; the store stays its first owner's."""


@asynccontextmanager
async def opened_stores(
    settings: Settings, metrics: Metrics, progress: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Stores]:
    """Embedder, cache and knowledge, started in this order and closed in the reverse.

    Raises:
        SettingsError: where the embedder cannot be loaded or a secret cannot be read.
        CollectionMismatch: where the collections are another embedder's.
    """
    settings.state_directory.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        progress("loading the embedder")
        embedder = FastembedEmbedder(settings.embedder, settings.state_directory, metrics)
        await embedder.start()
        stack.push_async_callback(embedder.aclose)
        cache = Cache(
            _cache_store(settings),
            guard_of(settings, embedder),
            settings.cache,
            metrics,
            embedder=embedder.name,
            collections=in_prompts(settings),
        )
        stack.push_async_callback(cache.aclose)
        knowledge_under = partial(
            _knowledge,
            _knowledge_store(settings, embedder),
            embedder,
            SparseEncoder(),
            metrics=metrics,
            on_change=cache.bump,
            secret=_nonce_secret(settings),
        )
        knowledge = knowledge_under(settings.retrieval)
        stack.push_async_callback(knowledge.aclose)
        progress("opening the collections")
        await knowledge.start()
        yield Stores(embedder, cache, knowledge, knowledge_under)


@contextmanager
def sole_user(settings: Settings) -> Iterator[None]:
    """Hold the state directory for this process alone.

    Raises:
        ResourceBusy: another process has it.
    """
    settings.state_directory.mkdir(parents=True, exist_ok=True)
    with (settings.state_directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ResourceBusy(
                f"another coordinator uses {settings.state_directory}: stop it, set another "
                "state_directory, or reach it with --url where the command has that",
                field="state_directory",
            ) from None
        yield


def initialise(settings: Settings) -> dict[str, str]:
    """Create the collections that are missing; the state of each, by name."""
    return asyncio.run(_initialise(settings))


@asynccontextmanager
async def direct_sink(settings: Settings, target: str) -> AsyncIterator[DirectSink]:
    """The store itself, for an ingest while no coordinator runs.

    Where keys are in use, what is ingested here is everybody's.
    """
    owner = LOOPBACK_CALLER.id if settings.api_keys_file is None else SHARED
    async with AsyncExitStack() as stack:
        if settings.qdrant.url is None:
            stack.enter_context(sole_user(settings))
        metrics = Metrics()
        stores = await stack.enter_async_context(opened_stores(settings, metrics))
        key = load_key(settings.state_directory / "scrub.key")
        scrubber = Scrubber(settings.learning.scrub, key, metrics)
        yield DirectSink(stores.knowledge, target, owner, scrubber)


class DirectSink:
    """Puts ingested items into the knowledge of this process."""

    def __init__(self, knowledge: Knowledge, target: str, owner: str, scrubber: Scrubber) -> None:
        self._knowledge = knowledge
        self._scrubber = scrubber
        self._owner = owner
        self.target = target

    async def add(self, collection: Collection, items: Sequence[NewItem]) -> None:
        """Store items, without the secrets and personal data in their texts."""
        payloads = await asyncio.to_thread(
            lambda: [self._scrubber.scrub_value(item.payload) for item in items]
        )
        wanted = [
            StoredItem(payload=payload, id=item.id)
            for item, payload in zip(items, payloads, strict=True)
        ]
        await self._knowledge.add(collection, wanted, self._owner)

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        """Delete items."""
        await self._knowledge.delete(collection, ids, self._owner)


async def _initialise(settings: Settings) -> dict[str, str]:
    async with AsyncExitStack() as stack:
        if settings.qdrant.url is None:
            stack.enter_context(sole_user(settings))
        stores = await stack.enter_async_context(opened_stores(settings, Metrics()))
        report = await stores.knowledge.status()
    return {
        collection.value: report[collection].problem or f"{report[collection].points} points"
        for collection in Collection
    }


def embed_anew(
    settings: Settings, progress: Callable[[Collection, int, int], None]
) -> dict[str, int]:
    """Bring collections of another embedder to the present one; items done, by collection."""
    return asyncio.run(_embed_anew(settings, progress))


async def _embed_anew(
    settings: Settings, progress: Callable[[Collection, int, int], None]
) -> dict[str, int]:
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_user(settings))
        embedder = FastembedEmbedder(settings.embedder, settings.state_directory)
        await embedder.start()
        stack.push_async_callback(embedder.aclose)
        store = _knowledge_store(settings, embedder)
        stack.push_async_callback(store.aclose)
        folder = settings.state_directory / "reindex"
        done = await reindex(store, embedder, SparseEncoder(), folder, progress)
    return {collection.value: count for collection, count in done.items()}


def guard_of(settings: Settings, embedder: Embedder) -> Guard:
    """What tells cached questions apart."""
    return Guard(embedder.name, settings.cache.semantic.max_error)


def in_prompts(settings: Settings) -> list[Collection]:
    """The collections whose changes make cached answers stale (lesson 19)."""
    return [c for c, limit in settings.retrieval.limits.items() if limit]


def _knowledge(
    store: KnowledgeStore,
    embedder: Embedder,
    sparse: SparseEncoder,
    settings: RetrievalSettings,
    *,
    metrics: Metrics,
    on_change: Callable[[Collection], Awaitable[None]],
    secret: bytes,
) -> Knowledge:
    return Knowledge(store, embedder, sparse, settings, metrics, on_change, secret=secret)


def _knowledge_store(settings: Settings, embedder: Embedder) -> KnowledgeStore:
    key = None
    if settings.qdrant.api_key_file is not None:
        key = read_secret(settings.qdrant.api_key_file, option="qdrant.api_key_file")
    return open_store(
        settings.qdrant, settings.state_directory, embedder.size, embedder.name, api_key=key
    )


def _nonce_secret(settings: Settings) -> bytes:
    """Keys the fences around stored knowledge, so that no stored text can foretell them.

    Kept in the state directory: the same knowledge gives the same prompt after
    a restart, and backends' prompt caches go on working.
    """
    return load_or_create(settings.state_directory / "fence.key")


def _cache_store(settings: Settings) -> CacheStore:
    if settings.redis.url is None:
        cache = settings.cache
        return MemoryStore(cache.max_entries, cache.ttl, max_bytes=cache.max_bytes)
    return RedisStore(settings.redis, settings.cache.max_entries, settings.cache.ttl)
