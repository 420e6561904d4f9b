"""Where delivered records end up: interaction-history, and what follows from an outcome.

An interaction becomes a point, an outcome is noted on it, the records of the
items that were in its prompt are counted anew, its value score is computed,
and one that is worth it is put into the extraction queue. All of it may be
done again with the same end (lesson 24): ids are given, values absolute, and
what is announced is compared with what the point already says. Order, retries
and durability are in ``delivery`` and ``outbox``.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from pydantic import ValidationError

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import StoreUnavailable, Unprocessable
from hybrid_coordinator.knowledge import Knowledge, NewItem
from hybrid_coordinator.knowledge.collections import read_record
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.evidence import Evidence
from hybrid_coordinator.learning.outcomes import Effective, OutcomeState
from hybrid_coordinator.learning.records import (
    POSTED_SOURCES,
    Outcome,
    QueuedExtraction,
    Tracked,
)
from hybrid_coordinator.learning.scoring import (
    Scorer,
    outcome_quality,
    user_feedback,
)
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.events import Event, OutcomeRecorded, ValueScoreComputed
from hybrid_coordinator.telemetry.metrics import Metrics

_HISTORY: Final = Collection.INTERACTION_HISTORY

_OWED: Final = 1024
"""Interactions whose announcement is remembered while their outcome could not be settled."""

_WORTH_EXTRACTING: Final = (Outcome.SUCCESS, Outcome.PARTIAL)

log = logging.getLogger(__name__)


class Queue(Protocol):
    """The end of the extraction queue that is put into."""

    async def add(self, entry: QueuedExtraction) -> bool:
        """Put an interaction in, once for ever; False where it was there."""


class Telemetry(Protocol):
    """Where events go."""

    def record(self, event: Event) -> None:
        """Take one event; never blocks and never raises."""


async def _nobody(_: str) -> None:
    """Tell nobody."""


class HistorySink:
    """Keeps interactions and outcomes in the store; a ``delivery.Sink``.

    ``wrong`` is awaited with the id of an interaction whose answer somebody
    called a failure: a cached answer goes. What it raises ends ``settle``, and
    it is called again. ``now`` gives epoch seconds.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        scorer: Scorer,
        evidence: Evidence,
        queue: Queue,
        settings: LearningSettings,
        metrics: Metrics,
        telemetry: Telemetry,
        *,
        wrong: Callable[[str], Awaitable[None]] = _nobody,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._knowledge = knowledge
        self._scorer = scorer
        self._evidence = evidence
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._telemetry = telemetry
        self._wrong = wrong
        self._now = now
        # A write that failed may have happened: then the point says what was not announced.
        self._owed: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def store(self, interactions: Sequence[Tracked]) -> None:
        """Keep interactions; those that are there stay as they are.

        Raises ``StoreUnavailable``, ``EmbeddingError``, and for one that can
        never be kept ``Unprocessable`` or ``Forbidden``.
        """
        for tracked in interactions:
            if not tracked.item.query.strip():
                raise Unprocessable("A question that says nothing cannot be kept.", field="query")
        store = await self._knowledge.opened()
        there = {
            (point.id, point.payload.get("caller"))
            for point in await store.get(_HISTORY, [tracked.id for tracked in interactions])
        }
        # What became of one that is there must not be lost by storing it again.
        fresh: dict[str, list[Tracked]] = {}
        for tracked in interactions:
            if (tracked.id, tracked.caller) not in there:
                fresh.setdefault(tracked.caller, []).append(tracked)
        for caller, owned in fresh.items():
            await self._knowledge.add(
                _HISTORY,
                [_new(tracked) for tracked in owned],
                caller,
                announce=self._knowledge.in_prompts(_HISTORY),
            )
        accessed: dict[str, float] = {}
        for item in (tracked.item for tracked in interactions if not tracked.item.parent):
            for id_ in item.context_provided:
                accessed[id_] = max(accessed.get(id_, 0.0), item.timestamp)
        await self._evidence.refresh(list(accessed), accessed=accessed)

    async def settle(self, interaction_id: str, caller: str, state: OutcomeState) -> None:
        """Note how an interaction turned out, and do what follows.

        One that is gone, or is not ``caller``'s, is passed over: it was
        forgotten. Raises ``StoreUnavailable``, ``EmbeddingError``.
        """
        effective = state.effective()
        item = await self._read(interaction_id, caller)
        if item is None:
            return
        item = await self._note(interaction_id, item, state, effective)
        await self._recount(interaction_id, item)
        if effective.outcome is Outcome.UNKNOWN:
            await self._unscore(interaction_id, item)
            return
        item = await self._score(interaction_id, caller, item, effective)
        if item.extraction == "queued":
            # Said on the point first: what is in no queue yet is found by that.
            entry = QueuedExtraction(interaction_id, caller, item.value_score, self._now())
            try:
                await self._queue.add(entry)
            except StoreUnavailable as error:
                # The next run puts it in: an outage of the queue holds up no other outcome.
                self._metrics.failures.labels(room="learning", kind="queue_unavailable").inc()
                log.info(
                    "an interaction is put into the extraction queue later",
                    extra={"interaction_id": interaction_id, "why": error.message},
                )

    async def _read(self, interaction_id: str, caller: str) -> InteractionHistory | None:
        store = await self._knowledge.opened()
        points = await store.get(_HISTORY, [interaction_id])
        if not points or points[0].payload.get("caller") != caller:
            return None
        try:
            item = read_record(_HISTORY, points[0].payload).item
        except ValidationError as error:
            raise Unprocessable("The stored interaction cannot be read.") from error
        return item if isinstance(item, InteractionHistory) else None

    async def _note(
        self,
        interaction_id: str,
        before: InteractionHistory,
        state: OutcomeState,
        effective: Effective,
    ) -> InteractionHistory:
        """Set what is known of the outcome; announce it where it is new."""
        payload = _outcome_fields(state, effective)
        after = before.model_copy(update=payload)
        owed = (interaction_id, "outcome")
        if _told(before) != _told(after):
            self._owe(owed)
        if before != after:
            await self._knowledge.amend(_HISTORY, [interaction_id], payload)
        if owed in self._owed:
            if effective.outcome is Outcome.FAILURE and effective.source in POSTED_SOURCES:
                await self._wrong(interaction_id)
            self._announce_outcome(interaction_id, effective)
            del self._owed[owed]
        return after

    async def _recount(self, interaction_id: str, item: InteractionHistory) -> None:
        """The records of what was in its prompt, and of what was learned from it."""
        ids = [] if item.parent else [*item.context_provided]
        if item.extraction == "done":
            ids += await self._evidence.taught_by(interaction_id)
        succeeded = item.timestamp if item.outcome == "success" else 0.0
        await self._evidence.refresh(ids, succeeded=succeeded)

    async def _unscore(self, interaction_id: str, item: InteractionHistory) -> None:
        """An outcome that was taken back leaves no score."""
        if item.value_parts:
            cleared = {"value_score": 0.0, "value_parts": {}, "scored": 0.0}
            await self._knowledge.amend(_HISTORY, [interaction_id], cleared)

    async def _score(
        self, interaction_id: str, caller: str, item: InteractionHistory, effective: Effective
    ) -> InteractionHistory:
        """The item with its score and whether patterns are looked for; both are stored."""
        changes: Json = {}
        owed = (interaction_id, "score")
        if not _is_scored(item, effective):
            scored = await self._scorer.score(
                interaction_id, caller, item, effective.outcome, effective.user_feedback
            )
            changes = {
                "value_score": scored.score,
                "value_parts": scored.parts(),
                "scored": self._now(),
            }
            self._owe(owed)
        item = item.model_copy(update=changes)
        if self._is_worth_extracting(item, effective):
            changes["extraction"] = "queued"
        if changes:
            await self._knowledge.amend(_HISTORY, [interaction_id], changes)
        if owed in self._owed:
            self._announce_score(interaction_id, item)
            del self._owed[owed]
        return item.model_copy(update=changes)

    def _is_worth_extracting(self, item: InteractionHistory, effective: Effective) -> bool:
        return (
            self._settings.pattern_extraction_enabled
            and not item.extraction
            and not item.parent
            and effective.outcome in _WORTH_EXTRACTING
            and item.value_score >= self._settings.high_value_threshold
        )

    def _owe(self, what: tuple[str, str]) -> None:
        self._owed[what] = None
        while len(self._owed) > _OWED:
            self._owed.popitem(last=False)

    def _announce_outcome(self, interaction_id: str, effective: Effective) -> None:
        source = effective.source.value if effective.source else "none"
        self._metrics.learning.outcomes.labels(outcome=effective.outcome, source=source).inc()
        self._telemetry.record(
            OutcomeRecorded(
                timestamp=self._now(),
                interaction_id=interaction_id,
                outcome=effective.outcome.value,
                user_feedback=effective.user_feedback,
                source=source,
            )
        )

    def _announce_score(self, interaction_id: str, item: InteractionHistory) -> None:
        self._metrics.learning.value_score.observe(item.value_score)
        self._telemetry.record(
            ValueScoreComputed(
                timestamp=self._now(),
                interaction_id=interaction_id,
                score=item.value_score,
                high_value=item.value_score >= self._settings.high_value_threshold,
                **item.value_parts,
            )
        )


def _new(tracked: Tracked) -> NewItem:
    item = tracked.item
    if item.parent:
        # Its prompt was that of the answer that was given, and the items in it count once.
        item = item.model_copy(update={"context_provided": (), "context_first": ""})
    return NewItem(item.model_dump(mode="json"), id=tracked.id, created=item.timestamp)


def _outcome_fields(state: OutcomeState, effective: Effective) -> Json:
    feedback = effective.user_feedback
    return {
        "outcome": effective.outcome.value,
        "user_feedback": 0 if feedback is None else feedback,
        "feedback_given": feedback is not None,
        "outcome_source": effective.source.value if effective.source else "",
        "signals": dict(state.signals),
    }


def _told(item: InteractionHistory) -> tuple[str, int, bool, str]:
    """What an announcement says of an item's outcome."""
    return item.outcome, item.user_feedback, item.feedback_given, item.outcome_source


def _is_scored(item: InteractionHistory, effective: Effective) -> bool:
    """Whether the item's score is for this outcome and feedback."""
    expected = {
        "outcome_quality": outcome_quality(effective.outcome),
        "user_feedback": user_feedback(effective.user_feedback),
    }
    return all(item.value_parts.get(name) == value for name, value in expected.items())
