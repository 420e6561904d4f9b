"""The room's door: one object that keeps, scores, extracts, exports and forgets.

``Learning`` works on what lives as long as the process (``rooms``) under one
set of settings, and is made anew when they are read again. Each verb is one
call into the file that does it.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hybrid_coordinator.cache import Cache, Guard
from hybrid_coordinator.conversation import Caller, Json
from hybrid_coordinator.errors import (
    CollectionMismatch,
    StoreUnavailable,
    Unprocessable,
)
from hybrid_coordinator.inference import Fleet
from hybrid_coordinator.knowledge import Knowledge
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.dataset import DatasetWriter
from hybrid_coordinator.learning.delivery import Deliverer
from hybrid_coordinator.learning.entries import kept, raw_of
from hybrid_coordinator.learning.evidence import Evidence
from hybrid_coordinator.learning.experiments import ExperimentReport, Experiments
from hybrid_coordinator.learning.extraction import PatternExtractor
from hybrid_coordinator.learning.forgetting import MOST_EXPIRED, Forgetting
from hybrid_coordinator.learning.intake import Observed
from hybrid_coordinator.learning.keeping import Keeper
from hybrid_coordinator.learning.outbox_records import Totals
from hybrid_coordinator.learning.patterns import PatternShelf
from hybrid_coordinator.learning.reading import InteractionReader, interaction_id_of
from hybrid_coordinator.learning.records import (
    DatasetReport,
    DatasetRequest,
    ExtractionReport,
    Forgotten,
    InteractionView,
    LearnedRef,
    NewInteraction,
    OutcomeReceipt,
    PostedOutcome,
    QueuedExtraction,
    QueueView,
)
from hybrid_coordinator.learning.rooms import LearningRooms
from hybrid_coordinator.learning.scoring import Scorer
from hybrid_coordinator.learning.signals import Signals
from hybrid_coordinator.learning.sink import HistorySink
from hybrid_coordinator.learning.view_records import InteractionSteps, PatternChanged
from hybrid_coordinator.learning.views import Views
from hybrid_coordinator.learning.worker import ExtractionWorker
from hybrid_coordinator.scrubbing import Scrubber
from hybrid_coordinator.settings import Collection, Settings
from hybrid_coordinator.telemetry import Metrics, TelemetryWriter
from hybrid_coordinator.telemetry.reader import events_of

_ARRIVAL: Final = 10.0
"""Seconds an outcome waits for the answer it is about to be on disk."""
_FLUSH: Final = 10.0
"""Seconds a report waits for what was accepted before it to reach Qdrant."""
_SETTLED: Final = 2.0
"""Seconds a look at an answer's events waits for the last of them to be written."""
_DAY: Final = 86_400.0
_RESTART: Final = 5.0
"""Seconds until a part that failed is started again, so that a standing fault fills no log."""
_WINNERS: Final = 300.0
"""Seconds between two looks at the outcomes of experiments."""
_LETTERS: Final = 10_000
"""Dead letters that are looked through for a caller's own."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LearningState:
    """How learning is, with the sentence that explains it."""

    ok: bool
    detail: str


class Learning:
    """Everything learning does, under one set of settings. ``start`` it, ``stop`` it.

    The verbs work from the start on; what goes on by itself (delivery,
    extraction while idle) between ``start`` and ``stop``.
    """

    def __init__(
        self,
        settings: Settings,
        rooms: LearningRooms,
        *,
        knowledge: Knowledge,
        fleet: Fleet,
        cache: Cache,
        guard: Guard,
        metrics: Metrics,
        telemetry: TelemetryWriter,
        now: Callable[[], float] = time.time,
    ) -> None:
        learning = settings.learning
        self._settings = learning
        self._rooms = rooms
        self._knowledge = knowledge
        self._metrics = metrics
        self._now = now
        self.experiments = Experiments(settings.experiments, metrics)
        self._scrubber = Scrubber(learning.scrub, rooms.scrub_key, metrics)
        floor = knowledge.calibration.bar(Collection.INTERACTION_HISTORY)
        self._signals = Signals(learning.signals, guard, floor=floor)
        self._keeper = Keeper(
            rooms.outbox, rooms.intake, self._scrubber, self._signals, learning, metrics
        )
        self._reader = InteractionReader(rooms.outbox, knowledge)
        self._shelf = PatternShelf(knowledge, learning, metrics, telemetry, now=now)
        self._evidence = Evidence(
            knowledge,
            self._shelf.refresh,
            trusted_after=learning.patterns.trusted_after,
            now=now,
        )
        self._sink = HistorySink(
            knowledge,
            Scorer(knowledge),
            self._evidence,
            rooms.queue,
            learning,
            metrics,
            telemetry,
            wrong=self._evict(cache),
            now=now,
        )
        self._deliverer = Deliverer(
            rooms.outbox, self._sink, learning.outbox, metrics, rooms.activity
        )
        extractor = PatternExtractor(
            fleet,
            knowledge,
            self._shelf,
            rooms.queue,
            learning,
            self._scrubber,
            metrics,
            telemetry,
            recount=self._evidence.refresh,
            now=now,
        )
        self._worker = ExtractionWorker(
            rooms.queue, extractor, self._shelf, fleet, knowledge, rooms.activity, learning, metrics
        )
        self._dataset = DatasetWriter(
            knowledge,
            rooms.state / "fine-tuning",
            learning,
            self._scrubber,
            metrics,
            telemetry,
            now=now,
        )
        self._forgetting = Forgetting(
            notes=rooms.state / "forgetting",
            outbox=rooms.outbox,
            deliveries=self._deliverer,
            knowledge=knowledge,
            queue=rooms.queue,
            shelf=self._shelf,
            evidence=self._evidence,
            dataset=self._dataset,
            cache=cache,
            telemetry=telemetry,
            metrics=metrics,
        )

        def events(interaction_id: str, since: float) -> list[Json]:
            telemetry.flush(_SETTLED)
            return events_of(rooms.state / "telemetry", interaction_id, since)

        self.views = Views(rooms.outbox, knowledge, self._reader, events, metrics, now=now)
        self._tasks: list[asyncio.Task[None]] = []

    # What goes on by itself.

    def start(self) -> None:
        """Begin to deliver, and to extract while the machine is idle."""
        jobs: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "intake": lambda: self._rooms.intake.run(self._keeper.keep),
            "delivery": self._deliverer.run,
            "forgetting": self._forgetting.run,
            "upkeep": self._keep_up,
        }
        if self._settings.pattern_extraction_enabled and self._settings.extraction.in_service:
            jobs["extraction"] = self._worker.run
        self._tasks = [
            asyncio.create_task(self._kept_going(name, run), name=f"learning: {name}")
            for name, run in jobs.items()
        ]

    async def stop(self) -> None:
        """Put on disk what was handed over, then end what goes on; the outbox keeps the rest."""
        if self._tasks:
            await self._rooms.intake.settled()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _kept_going(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Each part handles what it knows can fail; a fault of ours ends none of them for good."""
        while True:
            try:
                await run()
            except Exception as error:
                self._metrics.failures.labels(room="learning", kind=type(error).__name__).inc()
                log.exception("%s ended unexpectedly and is started again", name)
            await asyncio.sleep(_RESTART)

    def state(self) -> LearningState:
        """Whether what comes in is kept and delivered."""
        outbox = self._rooms.outbox
        if not outbox.usable:
            return LearningState(False, "the outbox cannot be written: see the log")
        waiting = f"{outbox.depth} records wait for the store"
        if self._deliverer.failing:
            return LearningState(False, f"{waiting}, which does not take them at present")
        return LearningState(True, waiting if outbox.depth else "everything kept is in the store")

    @property
    def outbox_totals(self) -> Totals | None:
        """What the outbox holds; None where it cannot be used."""
        outbox = self._rooms.outbox
        return outbox.totals if outbox.usable else None

    async def queue_waiting(self) -> int:
        """How many interactions wait for extraction."""
        return (await self._rooms.queue.depth()).waiting

    async def _keep_up(self) -> None:
        """Tidy up after the last process, then look now and then who won an experiment."""
        await self._dataset.start()
        while True:
            try:
                await self.experiments.refresh(await self._knowledge.opened())
            except (StoreUnavailable, CollectionMismatch) as error:
                self._metrics.failures.labels(room="learning", kind=error.code).inc()
            await asyncio.sleep(_WINNERS)

    # A request of the gateway.

    def began(self, interaction_id: str) -> None:
        """A request is being answered."""
        self._rooms.activity.begin()
        if self._settings.enable:
            self._rooms.intake.expect(interaction_id)

    def ended(self, interaction_id: str, story: Observed | None) -> None:
        """It was answered; without a ``story`` there is nothing to learn from it."""
        self._rooms.activity.end()
        if story is None or not self._settings.enable:
            self._rooms.intake.cancel(interaction_id)
        else:
            self._rooms.intake.put(story)

    # The verbs.

    async def track(self, new: NewInteraction, caller: Caller) -> str:
        """Keep an interaction that was answered elsewhere; its id, once it is on disk.

        Raises:
            Conflict: its id is another interaction's.
            OutboxFull: come back later.
        """
        self._need_enabled()
        interaction_id = str(uuid.uuid4()) if new.id is None else interaction_id_of(new.id)
        raw = raw_of(new, interaction_id, caller.id, self._now())
        limit = self._settings.max_response_chars
        tracked = await asyncio.to_thread(kept, raw, self._scrubber, limit)
        await self._keeper.accept(tracked, "client")
        return interaction_id

    async def outcome(
        self, interaction_id: str, posted: PostedOutcome, caller: Caller
    ) -> OutcomeReceipt:
        """Note how an answer turned out; on disk when it returns.

        Raises:
            NotFound: unknown, forgotten, or somebody else's.
            Conflict: something else was said before.
            OutboxFull, StoreUnavailable: come back later.
        """
        interaction_id = interaction_id_of(interaction_id)
        await self._rooms.intake.arrival(interaction_id, _ARRIVAL)
        outbox = self._rooms.outbox
        if await outbox.known(interaction_id) is None:
            await outbox.adopt(await self._reader.adoptable(interaction_id, caller))
        return await outbox.accept_outcome(interaction_id, caller, posted)

    async def interaction(self, interaction_id: str, caller: Caller) -> InteractionView:
        """An interaction as it is now."""
        interaction_id = interaction_id_of(interaction_id)
        await self._rooms.intake.arrival(interaction_id, _ARRIVAL)
        return await self._reader.view(interaction_id, caller)

    async def steps(self, interaction_id: str, caller: Caller) -> InteractionSteps:
        """An interaction's whole way."""
        interaction_id = interaction_id_of(interaction_id)
        await self._rooms.intake.arrival(interaction_id, _ARRIVAL)
        return await self.views.steps(interaction_id, caller)

    async def forget(self, interaction_id: str, caller: Caller) -> Forgotten:
        """Remove an interaction and everything that was made of it."""
        interaction_id = interaction_id_of(interaction_id)
        await self._rooms.intake.arrival(interaction_id, _ARRIVAL)
        forgotten = await self._forgetting.forget(interaction_id, caller)
        self._signals.forget(interaction_id)
        return forgotten

    async def training_data(self, wanted: DatasetRequest, caller: Caller) -> DatasetReport:
        """Write the training data."""
        await self._deliverer.flush(_FLUSH)
        return await self._dataset.write(wanted, caller)

    async def extract_patterns(self, limit: int | None) -> ExtractionReport:
        """Work through the extraction queue now, and let go of what is too old."""
        await self._deliverer.flush(_FLUSH)
        report = await self._worker.drain(limit)
        before = self._now() - self._settings.retention_days * _DAY
        expired = some = await self._forgetting.expire(before)
        while some >= MOST_EXPIRED:
            some = await self._forgetting.expire(before)
            expired += some
        await self._rooms.outbox.prune(before)
        return replace(report, expired=expired)

    async def extraction_queue(self, limit: int, caller: Caller) -> QueueView:
        """The extraction queue: the caller's entries, or for an operator everybody's."""
        queue = self._rooms.queue
        waiting, dead = await queue.waiting(limit), await queue.dead(limit)

        def visible(entry: QueuedExtraction) -> bool:
            return caller.is_operator or entry.caller == caller.id

        return replace(
            await queue.depth(),
            entries=[entry for entry in waiting if visible(entry)],
            dead_letters=[entry for entry in dead if visible(entry)],
        )

    async def replay_extractions(self, ids: Sequence[str], caller: Caller) -> int:
        """Put dead letters back into the queue."""
        if not caller.is_operator:
            letters = await self._rooms.queue.dead(_LETTERS)
            own = {letter.interaction_id for letter in letters if letter.caller == caller.id}
            ids = [id_ for id_ in ids if id_ in own] if ids else sorted(own)
            if not ids:
                return 0
        return len(await self._rooms.queue.replay(list(ids) or None))

    async def set_pattern_status(
        self, ref: LearnedRef, status: PatternStatus, caller: Caller
    ) -> PatternChanged:
        """Retire a pattern, or take it back into use."""
        changed = await self._shelf.set_status(ref, status, caller)
        return PatternChanged(ref.collection, ref.id, status, changed)

    async def report(self) -> list[ExperimentReport]:
        """Every declared experiment and how its variants do."""
        return await self.experiments.report(await self._knowledge.opened())

    def scrub(self, value: Json) -> Json:
        """A payload to store, with placeholders for secrets and personal data."""
        scrubbed: Json = self._scrubber.scrub_value(value)
        return scrubbed

    def _need_enabled(self) -> None:
        if not self._settings.enable:
            raise Unprocessable(
                "Nothing is kept here: learning.enable is false; set it to track interactions.",
                field="learning.enable",
            )

    def _evict(self, cache: Cache) -> Callable[[str], Awaitable[None]]:
        async def wrong(interaction_id: str) -> None:
            try:
                await cache.invalidate(interaction_id=interaction_id)
            except StoreUnavailable as error:
                # Counted by the cache too; the entry ends by its time to live.
                log.warning("an answer called wrong stays cached: %s", error.message)

        return wrong
