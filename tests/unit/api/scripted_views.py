"""The lists of the scripted gateway: one interaction and one pattern, and what was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.errors import HybridError, NotFound
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.records import InteractionView, LearnedRef
from hybrid_coordinator.learning.view_records import (
    ContextUsed,
    InteractionPage,
    InteractionQuery,
    InteractionRow,
    InteractionSteps,
    PatternChanged,
    PatternPage,
    PatternQuery,
    PatternRow,
)
from hybrid_coordinator.settings import Collection

LISTED_ID = "0190f7a0-0000-7000-8000-00000000beef"
PATTERN_ID = "0190f7a0-0000-7000-8000-00000000cafe"

ROW = InteractionRow(
    id=LISTED_ID,
    timestamp=1_700_000_000.0,
    query="Why is the unit failed?",
    agent_type="generic",
    model="small",
    backend="lemonade",
    route="local",
    cache="miss",
    outcome="success",
    user_feedback=None,
    tokens=120,
    cost_usd=0.0,
    latency_ms=210.0,
    value_score=None,
    delivered=True,
)
PATTERN = PatternRow(
    id=PATTERN_ID,
    collection=Collection.SKILLS_PATTERNS,
    status=PatternStatus.CANDIDATE,
    title="Undo the last commit",
    text="Undo the last commit\ngit reset --soft HEAD~1",
    learned=True,
    shared=False,
    may_change=True,
    created=1_700_000_000.0,
    last_used=None,
    uses=0,
    outcomes=0,
    success_rate=None,
    source_interactions=(LISTED_ID,),
)


@dataclass(kw_only=True)
class ScriptedViews:
    """Everybody has the one interaction and the one pattern."""

    error: HybridError | None = None
    calls: list[tuple[object, ...]] = field(default_factory=list)

    async def interactions(self, wanted: InteractionQuery, caller: Caller) -> InteractionPage:
        self.calls.append(("interactions", wanted, caller))
        if self.error is not None:
            raise self.error
        return InteractionPage([ROW], "1700000000.0_x")

    async def interaction_steps(self, interaction_id: str, caller: Caller) -> InteractionSteps:
        if interaction_id != LISTED_ID:
            raise NotFound("There is no such interaction.", field="interaction_id")
        view = InteractionView(interaction_id, {"query": ROW.query}, delivered=True)
        event = {"type": "routing_decision", "reason": "confidence"}
        return InteractionSteps(view, [event], [ContextUsed(PATTERN_ID)])

    async def patterns(self, wanted: PatternQuery, caller: Caller) -> PatternPage:
        self.calls.append(("patterns", wanted, caller))
        return PatternPage([PATTERN])

    async def set_pattern_status(
        self, ref: LearnedRef, status: PatternStatus, caller: Caller
    ) -> PatternChanged:
        self.calls.append(("pattern_status", ref, status, caller))
        if ref.id != PATTERN_ID:
            raise NotFound("There is no such pattern.", field="id")
        return PatternChanged(ref.collection, ref.id, status, changed=True)
