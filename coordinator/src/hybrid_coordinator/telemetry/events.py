"""The telemetry events: one pydantic model a type, used by writer and readers alike.

Every event is one JSON object on one line, discriminated by ``type``. Times
are epoch seconds. No event carries a prompt's or an answer's text except
``ContextSearch.query``, which is scrubbed and cut before it gets here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from hybrid_coordinator.conversation import CacheStatus, Rejection, Tier

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    timestamp: float
    interaction_id: str | None = None


class ContextSearch(_Event):
    """Retrieval ran. ``avg_score`` is the mean similarity of what was kept, 0 for nothing."""

    type: Literal["context_search"] = "context_search"
    query: str
    results_count: Count
    avg_score: float
    latency_ms: float = Field(ge=0.0)
    collections: dict[str, Count] = {}


class PatternExtraction(_Event):
    """A local model was asked for patterns in one interaction."""

    type: Literal["pattern_extraction"] = "pattern_extraction"
    patterns_found: Count
    result: Literal["stored", "merged", "nothing", "rejected", "dead"] = "stored"
    """``rejected``: the model's answer was none; it is asked again. ``dead``: given up on."""
    collections: dict[str, Count] = {}
    latency_ms: float = Field(0.0, ge=0.0)


class FineTuningUpdate(_Event):
    """The training data set was written."""

    type: Literal["fine_tuning_update"] = "fine_tuning_update"
    dataset_size: Count
    new_examples: Count
    formats: dict[str, Count] = {}


class ValueScoreComputed(_Event):
    """An interaction's outcome became known and was scored."""

    type: Literal["value_score_computed"] = "value_score_computed"
    score: Probability
    outcome_quality: Probability | None = None
    user_feedback: Probability | None = None
    reusability: Probability | None = None
    complexity: Probability | None = None
    novelty: Probability | None = None
    high_value: bool = False


class CacheLookup(_Event):
    """The cache was asked. ``similarity`` is the nearest question's, where one was examined."""

    type: Literal["cache_lookup"] = "cache_lookup"
    status: CacheStatus
    similarity: float | None = None
    why: str | None = None
    latency_ms: float = Field(ge=0.0)


class PatternStatusChanged(_Event):
    """A learned item rose or was retired. ``why`` is a class of reasons, never a text."""

    type: Literal["pattern_status"] = "pattern_status"
    collection: str
    item_id: str
    status: Literal["candidate", "trusted", "retired"]
    why: str


class RoutingDecision(_Event):
    """The router decided."""

    type: Literal["routing_decision"] = "routing_decision"
    tier: Tier
    backend: str
    model: str
    reason: str
    confidence: Probability | None = None
    threshold: Probability | None = None


class Inference(_Event):
    """A backend was asked. ``outcome`` is ``ok`` or the class of the error."""

    type: Literal["inference"] = "inference"
    backend: str
    model: str
    tier: Tier
    outcome: str
    input_tokens: Count = 0
    output_tokens: Count = 0
    usage_estimated: bool = False
    cost_usd: float = Field(0.0, ge=0.0)
    first_token_ms: float | None = None
    latency_ms: float = Field(ge=0.0)


class ResponseRejected(_Event):
    """Validation turned an answer down."""

    type: Literal["response_rejected"] = "response_rejected"
    backend: str
    rejection: Rejection
    escalated: bool


class InteractionRecorded(_Event):
    """One request, whole: where its answer came from and what it cost.

    ``cost_saved_usd`` is what a cached answer cost when it was made; whatever
    else was saved is computed by readers from tokens and prices.
    """

    type: Literal["interaction"] = "interaction"
    caller: str
    dialect: str
    cache: CacheStatus
    route: Tier | None = None
    backend: str | None = None
    model: str | None = None
    reason: str
    status: int
    input_tokens: Count = 0
    output_tokens: Count = 0
    usage_estimated: bool = False
    cost_usd: float = Field(0.0, ge=0.0)
    cost_saved_usd: float = Field(0.0, ge=0.0)
    context_ids: list[str] = []
    context_tokens: Count = 0
    context_collections: dict[str, Count] = {}
    """How many of the items in the prompt came from each collection."""
    experiment: str = ""
    """Experiment and variant, ``name/variant``; empty for none."""
    skipped: dict[str, str] = {}
    """Steps that were passed over, and why."""
    overhead_ms: float = Field(ge=0.0)
    latency_ms: float = Field(ge=0.0)


class OutcomeRecorded(_Event):
    """Somebody, or a signal, said how an answer turned out."""

    type: Literal["outcome"] = "outcome"
    outcome: Literal["success", "partial", "failure", "unknown"]
    user_feedback: Annotated[int, Field(ge=-1, le=1)] | None = None
    source: str = "client"


Event = Annotated[
    ContextSearch
    | PatternExtraction
    | FineTuningUpdate
    | ValueScoreComputed
    | PatternStatusChanged
    | CacheLookup
    | RoutingDecision
    | Inference
    | ResponseRejected
    | InteractionRecorded
    | OutcomeRecorded,
    Field(discriminator="type"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
