"""Everything between an interaction that is worth it and a stored pattern, real but for the model.

No tests here. The model is a scripted server that speaks OpenAI's protocol, or
with ``Extraction.open(fleet=…)`` a real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from hybrid_coordinator.inference import Fleet, build_backend
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.evidence import Evidence
from hybrid_coordinator.learning.extraction import PatternExtractor, Result
from hybrid_coordinator.learning.patterns import PatternShelf
from hybrid_coordinator.learning.queue_sqlite import SqliteQueue
from hybrid_coordinator.learning.records import QueuedExtraction
from hybrid_coordinator.learning.worker import ExtractionWorker
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.scrubbing import Scrubber
from hybrid_coordinator.settings import BackendKind, BackendSettings, Collection, ModelSettings
from hybrid_coordinator.telemetry.events import Event
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.fakes import FakeOpenAI, running
from tests.unit.learning.history import HISTORY, KnowledgeRoom

NOW = 1_700_000_000.0
PATTERNS = tuple(collection for collection in Collection if collection is not HISTORY)

E = TypeVar("E", bound=BaseModel)


class Clock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Extraction:
    """The parts, put together as the service does."""

    room: KnowledgeRoom
    queue: SqliteQueue
    fleet: Fleet
    settings: LearningSettings
    metrics: Metrics
    shelf: PatternShelf
    extractor: PatternExtractor
    worker: ExtractionWorker
    activity: Activity
    events: list[Event] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        embedder: FastembedEmbedder,
        fleet: Fleet,
        settings: LearningSettings,
        around: Any = lambda store: store,
    ) -> AsyncIterator[Extraction]:
        metrics = Metrics()
        events: list[Event] = []
        naps: list[float] = []
        room = await KnowledgeRoom.open(embedder, around)
        queue = SqliteQueue(folder / "extraction.sqlite", metrics, now=lambda: NOW)
        await queue.start()

        class Telemetry:
            def record(self, event: Event) -> None:
                events.append(event)

        async def nap(seconds: float) -> None:
            naps.append(seconds)

        shelf = PatternShelf(room.knowledge, settings, metrics, Telemetry(), now=lambda: NOW)
        evidence = Evidence(room.knowledge, shelf.refresh, now=lambda: NOW)
        extractor = PatternExtractor(
            fleet,
            room.knowledge,
            shelf,
            queue,
            settings,
            Scrubber(settings.scrub, bytes(32), metrics),
            metrics,
            Telemetry(),
            recount=evidence.refresh,
            now=lambda: NOW,
        )
        activity = Activity()
        worker = ExtractionWorker(
            queue,
            extractor,
            shelf,
            fleet,
            room.knowledge,
            activity,
            settings,
            metrics,
            now=lambda: NOW,
            sleep=nap,
        )
        made = cls(
            room, queue, fleet, settings, metrics, shelf, extractor, worker, activity, events, naps
        )
        try:
            yield made
        finally:
            await queue.aclose()
            await room.knowledge.aclose()

    async def worth_it(
        self, question: str, answer: str, caller: str = "anna", **more: Any
    ) -> QueuedExtraction:
        """An interaction that turned out well and waits in the queue."""
        known = {
            "outcome": "success",
            "value_score": 0.8,
            "extraction": "queued",
            "timestamp": NOW - 60,
            **more,
        }
        id_ = await self.room.ask(question, caller, response=answer, **known)
        entry = QueuedExtraction(id_, caller, 0.8, NOW)
        assert await self.queue.add(entry)
        return entry

    async def extract(self) -> Result:
        """Work on the next entry."""
        entry = await self.queue.claim(60.0)
        assert entry is not None
        return await self.extractor.extract(entry)

    async def stored(self) -> list[tuple[Collection, str, dict[str, Any]]]:
        """Every item of the collections that patterns are in."""
        store = await self.room.knowledge.opened()
        return [
            (collection, point.id, dict(point.payload))
            for collection in PATTERNS
            for point in (await store.scroll(collection)).points
        ]

    async def state_of(self, interaction_id: str) -> str:
        """How far an interaction says that extraction has come."""
        return str((await self.room.payload(HISTORY, interaction_id))["extraction"])

    def of(self, kind: type[E]) -> list[E]:
        """The recorded events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def counted(self, result: str) -> float:
        """Attempts with that result."""
        name = "hybrid_extractions_total"
        return self.metrics.registry.get_sample_value(name, {"result": result}) or 0.0


@asynccontextmanager
async def scripted_fleet(model: FakeOpenAI) -> AsyncIterator[Fleet]:
    """A local backend with one model that says what it is told to."""
    async with running(model) as url:
        settings = BackendSettings(
            kind=BackendKind.OPENAI,
            tier="local",
            base_url=url,
            models=(ModelSettings(name="scripted"),),
            retries=0,
        )
        fleet = Fleet([build_backend("local", settings, None, Path())], Metrics())
        await fleet.start()
        try:
            yield fleet
        finally:
            await fleet.aclose()
