"""What the lists of interactions and patterns show, and one interaction's whole way. Data only.

Times are epoch seconds, money is US dollars, similarities are cosines. None is
"nobody knows"; it is never shown as a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.records import InteractionView, Outcome
from hybrid_coordinator.settings import Collection


@dataclass(frozen=True, slots=True)
class InteractionQuery:
    """Which interactions. ``before`` is the ``next`` of a page; a ``query`` has one page only.

    ``route``: as it is stored (``cache``, ``local:lemonade/qwen3``), or a tier alone.
    """

    query: str = ""
    limit: int = 50
    before: str | None = None
    outcome: Outcome | None = None
    route: str | None = None


@dataclass(frozen=True, slots=True)
class InteractionRow:
    """An interaction in a list. ``query`` is cut; ``similarity`` is to what was looked for."""

    id: str
    timestamp: float
    query: str
    agent_type: str
    model: str
    backend: str
    route: str
    cache: str
    outcome: str
    user_feedback: int | None
    tokens: int
    cost_usd: float
    latency_ms: float
    value_score: float | None
    delivered: bool
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class InteractionPage:
    """A page of interactions.

    ``next``: the ``before`` of the following page; None after the last. A page
    may have fewer than were asked for and be followed by another all the same.
    ``trouble``: why this is less than there is; empty where it is all.
    """

    items: Sequence[InteractionRow]
    next: str | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ContextUsed:
    """A stored item that was in the prompt, as it is now.

    ``collection`` and ``status`` are None, and the texts empty, for one that is
    gone or somebody else's. ``similarity``: to the stored question, now.
    """

    id: str
    collection: Collection | None = None
    title: str = ""
    text: str = ""
    status: PatternStatus | None = None
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class InteractionSteps:
    """One interaction's whole way: what is stored of it, its events, and its context.

    ``events``: the telemetry of it that is still on disk, oldest first, as
    ``telemetry.events`` writes it.
    """

    interaction: InteractionView
    events: Sequence[Json]
    context: Sequence[ContextUsed]


@dataclass(frozen=True, slots=True)
class PatternQuery:
    """Which learned items. ``before`` is the ``next`` of a page; a ``query`` has one page only."""

    query: str = ""
    limit: int = 50
    before: str | None = None
    status: PatternStatus | None = None
    collection: Collection | None = None


@dataclass(frozen=True, slots=True)
class PatternRow:
    """A learned item. ``may_change``: the caller may retire and restore it.

    ``source_interactions``: what it was taken from. ``uses``: answers that had
    it in their prompt, ``outcomes``: those of them whose outcome was told.
    """

    id: str
    collection: Collection
    status: PatternStatus
    title: str
    text: str
    learned: bool
    shared: bool
    may_change: bool
    created: float
    last_used: float | None
    uses: int
    outcomes: int
    success_rate: float | None
    source_interactions: Sequence[str]
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class PatternPage:
    """A page of learned items; ``next`` is the ``before`` of the following one."""

    items: Sequence[PatternRow]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class PatternChanged:
    """What a retire or restore did. ``changed`` is False where it was so before."""

    collection: Collection
    id: str
    status: PatternStatus
    changed: bool
