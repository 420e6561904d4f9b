"""What the edge asks of the pipeline, and the types that pass between the two.

Only the contract: no transport above it and no policy below it. The pipeline
implements ``Gateway``; tests put a scripted one in its place. Every method
raises errors of ``hybrid_coordinator.errors`` and nothing else on purpose.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid_coordinator.analysis.report import Analysis
from hybrid_coordinator.conversation import (
    CacheStatus,
    Caller,
    ChatRequest,
    Completion,
    Delta,
    Json,
    Tier,
)
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.health_report import Report
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.experiments import ExperimentReport
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
    QueueView,
)
from hybrid_coordinator.learning.view_records import (
    InteractionPage,
    InteractionQuery,
    InteractionSteps,
    PatternChanged,
    PatternPage,
    PatternQuery,
)
from hybrid_coordinator.reporting.figures import DashboardData
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class AnswerMeta:
    """Where an answer came from: the four ``x-hybrid-*`` headers.

    ``cache`` and ``route`` are None where an error struck before they were known.
    """

    interaction_id: str
    cache: CacheStatus | None = None
    route: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Answer:
    """An answer, whole or streamed: exactly one of ``completion`` and ``deltas`` is set.

    ``deltas`` is always exhausted or closed by the edge, so its ``finally`` runs
    once whatever happens to the client. ``after`` is awaited once after the last
    byte was handed to the transport, or after the client went away.
    """

    meta: AnswerMeta
    completion: Completion | None = None
    deltas: AsyncGenerator[Delta, None] | None = None
    after: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors, float32 of shape (texts, size), in the order of the texts; ``tokens`` read."""

    vectors: NDArray[np.float32]
    model: str
    tokens: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A name a client may put into ``model``. ``created`` is epoch seconds."""

    id: str
    owned_by: str
    tier: Tier | None = None
    context_tokens: int | None = None
    ready: bool = True
    created: int = 0


@dataclass(frozen=True, slots=True)
class Augmented:
    """A question with the stored knowledge that belongs to it."""

    augmented_prompt: str
    context_ids: Sequence[str]
    original_query: str
    context_count: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A stored item. ``score`` is comparable within one answer only."""

    id: str
    collection: Collection
    score: float
    payload: Json


@dataclass(frozen=True, slots=True)
class KnowledgeItem:
    """An item to store. Without ``vector`` its text is embedded; without ``id`` it gets one."""

    payload: Json
    id: str | None = None
    vector: list[float] | None = None


class PartState(StrEnum):
    """How a dependency is."""

    READY = "ready"
    DEGRADED = "degraded"
    """Requests are answered without it."""
    DOWN = "down"
    OFF = "off"
    """Switched off by a setting."""


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One dependency's state and the sentence that explains it."""

    state: PartState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a question could be answered now, and every dependency by name."""

    ready: bool
    parts: Mapping[str, PartStatus] = field(default_factory=dict)


class Gateway(Protocol):
    """The way of a request, seen from the edge."""

    @property
    def metrics(self) -> Metrics:
        """The metrics this gateway counts in."""

    async def answer(self, request: ChatRequest) -> Answer:
        """Answer a question; ``deltas`` is set if and only if ``request.stream``."""

    async def embed(self, texts: Sequence[str], model: str | None, caller: Caller) -> Embeddings:
        """Embed texts with the configured embedder; ``UnknownModel`` for any other."""

    def models(self) -> Sequence[ModelInfo]:
        """Every name that ``model`` accepts, ``auto`` first."""

    async def count_tokens(self, request: ChatRequest) -> int:
        """How many tokens the request's prompt has."""

    async def augment(
        self, query: str, agent_type: str, caller: Caller, token_budget: int | None
    ) -> Augmented:
        """Put stored knowledge around a question without asking a model."""

    async def search(
        self,
        query: str,
        collections: Sequence[Collection],
        limit: int,
        caller: Caller,
        filters: Mapping[str, object],
    ) -> Sequence[SearchHit]:
        """Search the collections (all, where none is named), best first."""

    async def add_knowledge(
        self, collection: Collection, items: Sequence[KnowledgeItem], caller: Caller
    ) -> Sequence[str]:
        """Store items and return their ids in order; all of them or none."""

    async def delete_knowledge(
        self, collection: Collection, ids: Sequence[str], caller: Caller
    ) -> int:
        """Delete items; returns how many there were."""

    async def invalidate(
        self, interaction_id: str | None, query: str | None, caller: Caller
    ) -> int:
        """Evict cached answers ("that answer was wrong"); returns how many left."""

    async def track(self, new: NewInteraction, caller: Caller) -> str:
        """Keep an interaction that was answered elsewhere; returns its id once it is durable."""

    async def interaction(self, interaction_id: str, caller: Caller) -> InteractionView:
        """An interaction of the caller's as it is now; ``NotFound`` for any other."""

    async def outcome(
        self, interaction_id: str, posted: PostedOutcome, caller: Caller
    ) -> OutcomeReceipt:
        """Note how an answer turned out; durable when it returns.

        ``NotFound``; ``Conflict`` where something else was said before and
        ``replace`` is not set; ``OutboxFull``.
        """

    async def forget(self, interaction_id: str, caller: Caller) -> Forgotten:
        """Remove an interaction and everything derived from it; ``NotFound``."""

    async def training_data(self, wanted: DatasetRequest, caller: Caller) -> DatasetReport:
        """Write the training data: the caller's, or for an operator everybody's."""

    async def extract_patterns(self, limit: int | None) -> ExtractionReport:
        """Work through the extraction queue now, ``limit`` entries at most."""

    async def extraction_queue(self, limit: int, caller: Caller) -> QueueView:
        """The extraction queue: the caller's entries, or for an operator everybody's."""

    async def replay_extractions(self, ids: Sequence[str], caller: Caller) -> int:
        """Put dead letters (all, where none is named) back into the queue; how many."""

    async def interactions(self, wanted: InteractionQuery, caller: Caller) -> InteractionPage:
        """The caller's interactions (an operator: everybody's), newest first or by a question."""

    async def interaction_steps(self, interaction_id: str, caller: Caller) -> InteractionSteps:
        """One interaction's whole way; ``NotFound`` for what is not the caller's."""

    async def patterns(self, wanted: PatternQuery, caller: Caller) -> PatternPage:
        """The caller's learned items and the shared ones (an operator: everybody's)."""

    async def set_pattern_status(
        self, ref: LearnedRef, status: PatternStatus, caller: Caller
    ) -> PatternChanged:
        """Retire a pattern or take it back into use; ``NotFound``, ``Forbidden``."""

    async def experiments(self) -> Sequence[ExperimentReport]:
        """Every declared experiment and how its variants do."""

    async def figures(self, range_s: int, caller: Caller) -> DashboardData:
        """What the dashboard shows of the last ``range_s`` seconds; ``Forbidden`` for no operator.

        Works with every store down. Only the spans of ``reporting.figures.Range`` are kept:
        ``InvalidRequest`` for another one.
        """

    def figures_stream(self, range_s: int, caller: Caller) -> AsyncIterator[DashboardData]:
        """The same at once and again at each interval, until the service ends or reloads."""

    async def system_health(self, caller: Caller) -> Report:
        """Check every part as ``hybrid-coordinator health`` does; ``Forbidden`` for no operator."""

    async def system_analysis(self, caller: Caller) -> Analysis:
        """Compare the settings with their use; ``Forbidden`` for no operator."""

    async def readiness(self) -> Readiness:
        """Ask, or recall from a moment ago, how every dependency is."""


def attach_meta(error: HybridError, meta: AnswerMeta) -> HybridError:
    """Note on an error what was known of the answer when it struck, for the headers."""
    error.__dict__["answer_meta"] = meta
    return error


def meta_of(error: HybridError) -> AnswerMeta | None:
    """What ``attach_meta`` noted on the error, if anything."""
    meta = error.__dict__.get("answer_meta")
    return meta if isinstance(meta, AnswerMeta) else None
