"""The composition root: settings in, running coordinator out.

The only place that knows every class. ``Application`` builds the rooms,
starts them in order and closes them in the reverse; ``serve`` puts the edge in
front of it; ``initialise`` is what ``hybrid-coordinator init`` does.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import FrameType

import uvloop

from hybrid_coordinator import __version__
from hybrid_coordinator.aftermath import Aftermath
from hybrid_coordinator.api import KeyRing, build_app, build_server, open_sockets
from hybrid_coordinator.cache import Cache, CacheStore, Guard, MemoryStore, RedisStore
from hybrid_coordinator.configuration import read_secret
from hybrid_coordinator.conversation import LOOPBACK_CALLER
from hybrid_coordinator.coordinator import Coordinator
from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.inference import Backend, BackendStatus, Fleet, build_backend
from hybrid_coordinator.ingest.items import NewItem
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
from hybrid_coordinator.pipeline import Pipeline
from hybrid_coordinator.routing import Classifier, Router, SpendLedger
from hybrid_coordinator.settings import BackendKind, Collection, Settings
from hybrid_coordinator.telemetry import Metrics, TelemetryWriter
from hybrid_coordinator.telemetry.logs import configure_logging

_ENGINE_PATIENCE = 60.0
"""Seconds a start waits for an embedded model; a larger one goes on loading behind it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stores:
    """What knowledge and cache need, started: the part that an ingest needs too."""

    embedder: Embedder
    cache: Cache
    knowledge: Knowledge


@dataclass(frozen=True, slots=True)
class Application:
    """One running coordinator."""

    coordinator: Coordinator
    fleet: Fleet
    embedder: Embedder


@asynccontextmanager
async def opened_stores(settings: Settings, metrics: Metrics) -> AsyncIterator[Stores]:
    """Embedder, cache and knowledge, started in this order and closed in the reverse.

    Raises:
        SettingsError: where the embedder cannot be loaded or a secret cannot be read.
        CollectionMismatch: where the collections are another embedder's.
    """
    settings.state_directory.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        embedder = FastembedEmbedder(settings.embedder, settings.state_directory, metrics)
        await embedder.start()
        stack.push_async_callback(embedder.aclose)
        cache = Cache(
            _cache_store(settings),
            Guard(embedder.name, settings.cache.semantic.max_error),
            settings.cache,
            metrics,
            embedder=embedder.name,
            collections=[c for c, limit in settings.retrieval.limits.items() if limit],
        )
        stack.push_async_callback(cache.aclose)
        knowledge = Knowledge(
            _knowledge_store(settings, embedder),
            embedder,
            SparseEncoder(),
            settings.retrieval,
            metrics,
            cache.bump,
            secret=_nonce_secret(settings),
        )
        stack.push_async_callback(knowledge.aclose)
        await knowledge.start()
        yield Stores(embedder, cache, knowledge)


@contextmanager
def sole_user(settings: Settings) -> Iterator[None]:
    """Hold the state directory for this process alone.

    Raises:
        SettingsError: another process has it.
    """
    settings.state_directory.mkdir(parents=True, exist_ok=True)
    with (settings.state_directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(
                f"another coordinator uses {settings.state_directory}: stop it, set another "
                "state_directory, or reach it with --url where the command has that",
                field="state_directory",
            ) from None
        yield


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Application]:
    """Start every room, innermost first; close them in the reverse order."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_user(settings))
        telemetry = TelemetryWriter(
            settings.state_directory / "telemetry", settings.telemetry, metrics
        )
        telemetry.start()
        stack.push_async_callback(asyncio.to_thread, telemetry.close)
        stores = await stack.enter_async_context(opened_stores(settings, metrics))
        fleet = Fleet(_backends(settings), metrics)
        stack.push_async_callback(fleet.aclose)
        await fleet.start()
        await _engines_loaded(fleet)
        ledger = SpendLedger(settings.state_directory / "spend.json", metrics=metrics)
        stack.push_async_callback(asyncio.to_thread, ledger.close)
        pipeline = Pipeline(
            settings=settings,
            cache=stores.cache,
            embedder=stores.embedder,
            knowledge=stores.knowledge,
            router=Router(Classifier(stores.embedder.name), settings.routing),
            fleet=fleet,
            ledger=ledger,
            aftermath=Aftermath(metrics, telemetry, ledger),
            metrics=metrics,
        )
        coordinator = Coordinator(
            settings=settings,
            pipeline=pipeline,
            cache=stores.cache,
            embedder=stores.embedder,
            knowledge=stores.knowledge,
            fleet=fleet,
            metrics=metrics,
        )
        yield Application(coordinator, fleet, stores.embedder)


async def _engines_loaded(fleet: Fleet) -> None:
    """Wait for models that load in this process: seconds, and nobody else can load them."""

    def loaded(statuses: Sequence[BackendStatus]) -> bool:
        engines = [s for s in statuses if s.kind is BackendKind.EMBEDDED]
        return all(status.ready for status in engines)

    try:
        async with asyncio.timeout(_ENGINE_PATIENCE):
            await fleet.wait_for(loaded)
    except TimeoutError:
        log.warning("the embedded model is still loading; other backends answer meanwhile")


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
    path = settings.state_directory / "fence.key"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        # Another process may start at the same time: whoever links first wins.
        own = path.with_name(f".fence.{os.getpid()}")
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
        try:
            os.link(own, path)
        except FileExistsError:
            key = path.read_bytes()
        finally:
            own.unlink()
        return key


def _backends(settings: Settings) -> list[Backend]:
    backends = []
    for name, backend in settings.backends.items():
        key = None
        if backend.api_key_file is not None:
            key = read_secret(backend.api_key_file, option=f"backends.{name}.api_key_file")
        backends.append(build_backend(name, backend, key, settings.state_directory))
    return backends


def _cache_store(settings: Settings) -> CacheStore:
    if settings.redis.url is None:
        cache = settings.cache
        return MemoryStore(cache.max_entries, cache.ttl, max_bytes=cache.max_bytes)
    return RedisStore(settings.redis, settings.cache.max_entries, settings.cache.ttl)


def _keys(settings: Settings) -> KeyRing:
    if settings.api_keys_file is None:
        return KeyRing()
    return KeyRing(read_secret(settings.api_keys_file, option="api_keys_file"))


def serve(settings: Settings) -> None:
    """Run the coordinator until it is told to stop.

    Raises:
        SettingsError: where a setting turns out impossible on this machine.
        CollectionMismatch: where the collections are another embedder's.
    """
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    keys = _keys(settings)
    sockets = open_sockets(settings)
    async with running(settings) as application:
        app = build_app(application.coordinator, settings, keys)
        port = sockets[0].getsockname()[1]
        server = build_server(
            app, settings, on_started=lambda: _announce(application, settings, port)
        )
        # uvicorn raises the signal that ended it once more; our rooms are still open then.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _already_ending)
        await server.serve(sockets=sockets)


def _already_ending(number: int, frame: FrameType | None) -> None:
    """Let the end go on in order."""


def _announce(application: Application, settings: Settings, port: int) -> None:
    """Five lines for the person who started it: what runs, where its data is, what to try."""
    # What was built so far lives as long as the process; the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 100)
    # The loop waits at most this long for a thread that computes (the embedder, the writer).
    sys.setswitchinterval(0.0002)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    backends = ", ".join(
        f"{s.name} ({s.tier.value}, {'ready' if s.usable else s.detail})"
        for s in application.fleet.statuses()
    )
    stores = f"knowledge in {settings.qdrant.url or 'this process'}"
    cache = f"cache in {settings.redis.url or 'this process'}"
    port_option = "" if port == 8092 else f" --url {url}"
    lines = (
        f"hybrid-ai {__version__} answers at {url}/v1 (OpenAI and Anthropic)",
        f"backends: {backends}",
        f"stores: {stores}, {cache}, embedder {application.embedder.name}",
        f"data: {settings.state_directory}",
        f'try: hybrid-coordinator ask{port_option} "What is NixOS?"',
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


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
        stores = await stack.enter_async_context(opened_stores(settings, Metrics()))
        yield DirectSink(stores.knowledge, target, owner)


class DirectSink:
    """Puts ingested items into the knowledge of this process."""

    def __init__(self, knowledge: Knowledge, target: str, owner: str) -> None:
        self._knowledge = knowledge
        self._owner = owner
        self.target = target

    async def add(self, collection: Collection, items: Sequence[NewItem]) -> None:
        """Store items."""
        wanted = [StoredItem(payload=item.payload, id=item.id) for item in items]
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
