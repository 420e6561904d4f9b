"""The learning verbs of the scripted gateway: a few rules over what is kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.errors import Conflict, HybridError, NotFound
from hybrid_coordinator.learning.experiments import Decision, ExperimentReport, VariantReport
from hybrid_coordinator.learning.records import (
    DatasetReport,
    DatasetRequest,
    ExtractionReport,
    Forgotten,
    InteractionView,
    NewInteraction,
    Outcome,
    OutcomeReceipt,
    PostedOutcome,
    QueuedExtraction,
    QueueView,
)

TRACKED_ID = "0190f7a0-0000-7000-8000-000000000001"
DEAD_ID = "0190f7a0-0000-7000-8000-00000000dead"

EXTRACTED = ExtractionReport(processed=3, stored=1, merged=1, nothing=1)


@dataclass(kw_only=True)
class ScriptedLearning:
    """Keeps what is tracked and said; ``error`` is raised instead where it is set."""

    error: HybridError | None = None
    calls: list[tuple[object, ...]] = field(default_factory=list)
    kept: dict[tuple[str, str], NewInteraction] = field(default_factory=dict)
    """What was tracked, by caller's id and interaction id."""
    said: dict[str, PostedOutcome] = field(default_factory=dict)
    extracted: ExtractionReport = EXTRACTED

    async def track(self, new: NewInteraction, caller: Caller) -> str:
        self.refuse()
        id_ = new.id or TRACKED_ID
        if self.kept.setdefault((caller.id, id_), new) != new:
            raise Conflict("Another interaction has this id: take a fresh one.", field="id")
        return id_

    async def interaction(self, interaction_id: str, caller: Caller) -> InteractionView:
        new = self.own(interaction_id, caller)
        payload = {"query": new.query, "response": new.response, "outcome": "unknown"}
        return InteractionView(interaction_id, payload, delivered=True)

    async def outcome(
        self, interaction_id: str, posted: PostedOutcome, caller: Caller
    ) -> OutcomeReceipt:
        self.refuse()
        self.own(interaction_id, caller)
        before = self.said.get(interaction_id)
        same = before is not None and (before.outcome, before.user_feedback) == (
            posted.outcome,
            posted.user_feedback,
        )
        if before is not None and not same and not posted.replace:
            raise Conflict('Something else was said: send "replace": true.', field="outcome")
        self.said[interaction_id] = posted
        outcome = posted.outcome or Outcome.UNKNOWN
        return OutcomeReceipt(interaction_id, outcome, posted.user_feedback, not same)

    async def forget(self, interaction_id: str, caller: Caller) -> Forgotten:
        self.own(interaction_id, caller)
        del self.kept[caller.id, interaction_id]
        return Forgotten(interaction_id, {"interaction-history": 1, "patterns": 2})

    async def training_data(self, wanted: DatasetRequest, caller: Caller) -> DatasetReport:
        self.refuse()
        self.calls.append(("training_data", wanted, caller))
        return DatasetReport(
            path="/state/fine-tuning/dataset.jsonl",
            manifest_path="/state/fine-tuning/manifest.json",
            dataset_size=5,
            new_examples=2,
            files={"dataset.jsonl": {"examples": 5, "sha256": "0" * 64}},
            left_out={"low score": 3},
        )

    async def extract_patterns(self, limit: int | None) -> ExtractionReport:
        self.refuse()
        self.calls.append(("extract", limit))
        return self.extracted

    async def extraction_queue(self, limit: int, caller: Caller) -> QueueView:
        self.calls.append(("queue", limit, caller))
        entry = QueuedExtraction(TRACKED_ID, caller.id, 0.9, 1_700_000_000.0)
        dead = QueuedExtraction(DEAD_ID, caller.id, 0.8, 1_600_000_000.0, 3, "it was no JSON")
        return QueueView(1, 0, 1, entry.enqueued, (entry,), (dead,))

    async def replay_extractions(self, ids: Sequence[str], caller: Caller) -> int:
        self.calls.append(("replay", tuple(ids), caller))
        return len(ids) or 1

    async def experiments(self) -> Sequence[ExperimentReport]:
        variants = (
            VariantReport("plain", 60, 30, 0, 30, 0.5, 0.38, 0.62, 0.01),
            VariantReport("short-prompt", 60, 48, 2, 10, 0.8, 0.68, 0.88, 0.99, 812.5, 0.002),
        )
        return [ExperimentReport("prompt", Decision.DECIDED, "short-prompt", "p = 0.99", variants)]

    def refuse(self) -> None:
        if self.error is not None:
            raise self.error

    def own(self, interaction_id: str, caller: Caller) -> NewInteraction:
        new = self.kept.get((caller.id, interaction_id))
        if new is None:
            raise NotFound("There is no such interaction.", field="interaction_id")
        return new
