"""The composition root: settings in, running coordinator out.

``running`` builds the rooms, starts them in order and closes them in the
reverse; ``Application.under`` puts other settings around the same rooms.
Serving it is the business of ``service``; the stores alone are in ``stores``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from hybrid_coordinator.aftermath import Aftermath
from hybrid_coordinator.cache import Cache
from hybrid_coordinator.configuration import read_secret
from hybrid_coordinator.coordinator import Coordinator
from hybrid_coordinator.inference import BackendStatus, Fleet, build_backend
from hybrid_coordinator.knowledge import Knowledge
from hybrid_coordinator.learning.rooms import LearningRooms, opened_rooms
from hybrid_coordinator.learning.service import Learning
from hybrid_coordinator.live import LiveView
from hybrid_coordinator.pipeline import Pipeline
from hybrid_coordinator.reporting.reporter import Reporter
from hybrid_coordinator.reporting.store import ReportingStore
from hybrid_coordinator.routing import Classifier, Router, SpendLedger
from hybrid_coordinator.settings import BackendKind, Settings
from hybrid_coordinator.stores import Stores, guard_of, in_prompts, opened_stores, sole_user
from hybrid_coordinator.telemetry import Metrics, TelemetryWriter
from hybrid_coordinator.tracing import Tracing, opened_tracing

_ENGINE_PATIENCE = 60.0
"""Seconds a start waits for an embedded model; a larger one goes on loading behind it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rooms:
    """What lives as long as the process, whatever settings are read again."""

    metrics: Metrics
    telemetry: TelemetryWriter
    stores: Stores
    classifier: Classifier
    ledger: SpendLedger
    learning: LearningRooms
    reporting: ReportingStore
    tracing: Tracing | None


class Application:
    """One coordinator under one set of settings.

    ``under`` gives another one in the same rooms; each request is served whole
    by the one that was current when it came.
    """

    def __init__(
        self,
        settings: Settings,
        rooms: Rooms,
        *,
        cache: Cache,
        knowledge: Knowledge,
        fleet: Fleet,
        keys: Mapping[str, str | None],
    ) -> None:
        self.settings = settings
        self.rooms = rooms
        self.fleet = fleet
        self.knowledge = knowledge
        self._cache = cache
        self._keys = keys
        embedder, metrics = rooms.stores.embedder, rooms.metrics
        self.learning = Learning(
            settings,
            rooms.learning,
            knowledge=knowledge,
            fleet=fleet,
            cache=cache,
            guard=guard_of(settings, embedder),
            metrics=metrics,
            telemetry=rooms.telemetry,
        )
        pipeline = Pipeline(
            settings=settings,
            cache=cache,
            embedder=embedder,
            knowledge=knowledge,
            router=Router(rooms.classifier, settings.routing),
            fleet=fleet,
            ledger=rooms.ledger,
            experiments=self.learning.experiments,
            aftermath=Aftermath(
                metrics, rooms.telemetry, rooms.ledger, self.learning, settings, rooms.tracing
            ),
            metrics=metrics,
        )
        view = LiveView(
            # The coordinator is made below, with this reporter.
            lambda: self.coordinator.readiness(),
            knowledge,
            rooms.learning,
            metrics,
        )
        self.reporter = Reporter(
            settings,
            rooms.reporting,
            rooms.telemetry,
            metrics,
            live=view.ask,
        )
        self.coordinator = Coordinator(
            settings=settings,
            pipeline=pipeline,
            cache=cache,
            embedder=embedder,
            knowledge=knowledge,
            fleet=fleet,
            learning=self.learning,
            reporter=self.reporter,
            metrics=metrics,
        )

    def start(self) -> None:
        """Begin what goes on by itself."""
        self.learning.start()
        self.reporter.start()

    async def stop(self) -> None:
        """End it; requests are still answered."""
        await self.reporter.stop()
        await self.learning.stop()

    async def under(self, settings: Settings) -> Application:
        """The coordinator under other settings, its new backends probed; this one goes on.

        Where telemetry, stores and embedder are is not changed by it.

        Raises:
            SettingsError: a secret cannot be read, or an embedded model is missing.
        """
        keys = _backend_keys(settings)
        fresh = {
            name: build_backend(name, backend, keys[name], settings.state_directory)
            for name, backend in settings.backends.items()
            if self.settings.backends.get(name) != backend or self._keys[name] != keys[name]
        }
        fleet = self.fleet.successor(settings.backends, fresh)
        try:
            await fleet.start()
            await _engines_loaded(fleet)
            stores = self.rooms.stores
            knowledge = self.knowledge
            if settings.retrieval != self.settings.retrieval:
                knowledge = stores.knowledge_under(settings.retrieval)
                await knowledge.start()
            cache = self._cache.under(
                settings.cache, guard_of(settings, stores.embedder), in_prompts(settings)
            )
        except BaseException:
            await fleet.aclose()
            raise
        return Application(
            settings, self.rooms, cache=cache, knowledge=knowledge, fleet=fleet, keys=keys
        )


@asynccontextmanager
async def running(
    settings: Settings, metrics: Metrics, progress: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Application]:
    """Start every room, innermost first; close them in the reverse order.

    ``progress`` is told what the start is about to wait for.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_user(settings))
        telemetry = TelemetryWriter(
            settings.state_directory / "telemetry", settings.telemetry, metrics
        )
        telemetry.start()
        stack.push_async_callback(asyncio.to_thread, telemetry.close)
        tracing = opened_tracing(settings.tracing, metrics)
        if tracing is not None:
            stack.push_async_callback(asyncio.to_thread, tracing.close)
        stores = await stack.enter_async_context(opened_stores(settings, metrics, progress))
        ledger = SpendLedger(settings.state_directory / "spend.json", metrics=metrics)
        stack.push_async_callback(asyncio.to_thread, ledger.close)
        keys = _backend_keys(settings)
        fleet = Fleet(
            [
                build_backend(name, backend, keys[name], settings.state_directory)
                for name, backend in settings.backends.items()
            ],
            metrics,
        )
        stack.push_async_callback(fleet.aclose)
        progress("asking the backends whether they are ready")
        await fleet.start()
        progress("loading the embedded model")
        await _engines_loaded(fleet)
        progress("opening the outbox")
        learning = await stack.enter_async_context(opened_rooms(settings, metrics))
        classifier = Classifier(stores.embedder.name)
        figures = ReportingStore(
            settings.state_directory, kept_days=settings.reporting.retention_days
        )
        rooms = Rooms(metrics, telemetry, stores, classifier, ledger, learning, figures, tracing)
        application = Application(
            settings,
            rooms,
            cache=stores.cache,
            knowledge=stores.knowledge,
            fleet=fleet,
            keys=keys,
        )
        application.start()
        yield application


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


def _backend_keys(settings: Settings) -> dict[str, str | None]:
    """Each backend's API key, or nothing where it needs none."""
    return {
        name: None
        if backend.api_key_file is None
        else read_secret(backend.api_key_file, option=f"backends.{name}.api_key_file")
        for name, backend in settings.backends.items()
    }
