"""What passes between the edge and learning: interactions, outcomes, reports.

Data only. How they are kept is in ``outbox``, what an outcome means in
``outcomes``, what it is worth in ``scoring``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.settings import Collection


class Outcome(StrEnum):
    """How an answer turned out; ``UNKNOWN`` until somebody or something says so."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class OutcomeSource(StrEnum):
    """Who or what said how an answer turned out."""

    CLIENT = "client"
    """A posted outcome: it wins over everything else."""
    AGENT = "agent"
    THUMBS = "thumbs"
    REASK = "reask"
    RETRY = "retry"
    ESCALATION = "escalation"


POSTED_SOURCES: Final = (OutcomeSource.CLIENT, OutcomeSource.AGENT, OutcomeSource.THUMBS)
"""The sources that may come in over the API; the others are observed here."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """An interaction to keep. ``id`` is a UUID, ``caller`` the id of who asked."""

    id: str
    caller: str
    item: InteractionHistory


@dataclass(frozen=True, slots=True)
class NewInteraction:
    """An interaction as a client reports it (``track_interaction``).

    With ``id`` the same report may be repeated without a second effect.
    """

    query: str
    response: str
    model_used: str = ""
    tokens_used: int = 0
    agent_type: str = "generic"
    context_ids: tuple[str, ...] = ()
    latency_ms: float = 0.0
    turns: int = 1
    tool_calls: int = 0
    id: str | None = None


@dataclass(frozen=True, slots=True)
class PostedOutcome:
    """What is said of an answer. At least one of ``outcome`` and ``user_feedback`` is set.

    ``user_feedback``: −1, 0 or 1. ``replace``: also where something else was said before.
    """

    outcome: Outcome | None = None
    user_feedback: int | None = None
    source: OutcomeSource = OutcomeSource.CLIENT
    replace: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeReceipt:
    """What a posted outcome did. ``changed`` is False where the same was said before."""

    interaction_id: str
    outcome: Outcome
    user_feedback: int | None
    changed: bool


@dataclass(frozen=True, slots=True)
class InteractionView:
    """An interaction as it is now. ``delivered``: Qdrant has all that is known of it."""

    id: str
    payload: Json
    delivered: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a ``forget`` removed, by place."""

    interaction_id: str
    removed: Mapping[str, int] = field(default_factory=dict)


class DatasetFormat(StrEnum):
    """How training examples are written."""

    OPENAI = "openai"
    """``{"messages": […]}`` a line; the file ``dataset.jsonl``."""
    SHAREGPT = "sharegpt"
    PREFERENCE = "preference"


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """Which training data to write. ``min_score`` None: the high-value threshold."""

    formats: tuple[DatasetFormat, ...] = tuple(DatasetFormat)
    min_score: float | None = None
    validation_share: float = 0.1


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What was written. ``path`` is the training file of the first format.

    ``new_examples`` counts those that the data set before this one did not have.
    """

    path: str
    manifest_path: str
    dataset_size: int
    new_examples: int
    files: Mapping[str, Json] = field(default_factory=dict)
    """By file name: examples and SHA-256."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many interactions were not used, by reason."""


@dataclass(frozen=True, slots=True)
class ExtractionReport:
    """What one run over the extraction queue did; all counts of queue entries."""

    processed: int = 0
    stored: int = 0
    merged: int = 0
    nothing: int = 0
    failed: int = 0
    dead: int = 0
    waiting: int = 0
    """Entries that are left."""
    retired: int = 0
    """Learned items that this run retired, by age or by harm."""
    expired: int = 0
    """Interactions that this run forgot, by age."""
    reason: str = ""
    """Why the run ended before the queue was empty, if it did."""


@dataclass(frozen=True, slots=True)
class QueuedExtraction:
    """One interaction that waits for extraction, or whose extraction was given up on."""

    interaction_id: str
    caller: str
    score: float
    enqueued: float
    """Epoch seconds."""
    tries: int = 0
    reason: str = ""
    """Why the last try failed, in words; names no content."""


@dataclass(frozen=True, slots=True)
class QueueView:
    """The extraction queue as a person wants to see it."""

    waiting: int
    claimed: int
    dead: int
    oldest: float | None
    """Epoch seconds at which the oldest waiting entry was put in."""
    entries: Sequence[QueuedExtraction] = ()
    dead_letters: Sequence[QueuedExtraction] = ()


@dataclass(frozen=True, slots=True)
class LearnedRef:
    """A learned or stored item that something was done to."""

    collection: Collection
    id: str
