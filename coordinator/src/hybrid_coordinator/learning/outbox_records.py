"""What the outbox holds, as it is passed around: known interactions and waiting records."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import Outcome, OutcomeSource, Tracked

Kind = Literal["interaction", "outcome"]

_NO_CONTENT: Final = frozenset(
    {
        *("timestamp", "latency_ms", "outcome", "user_feedback", "outcome_source"),
        *("feedback_given", "signals", "value_score", "value_parts", "scored", "extraction"),
    }
)
"""When it was, how long it took, and what became of it: not what was said."""


def content_digest(caller: str, item: InteractionHistory) -> str:
    """Equal for the same interaction told twice; BLAKE2b, 128 bits, of its content and owner."""
    content = item.model_dump(mode="json", exclude=set(_NO_CONTENT))
    text = json.dumps([caller, content], sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Known:
    """An interaction that outcomes can be accepted for.

    ``outcome`` and ``user_feedback`` are explicit ones only, ``source`` who
    decides the outcome at present, None where it is unknown.
    """

    id: str
    caller: str
    timestamp: float
    outcome: Outcome | None = None
    user_feedback: int | None = None
    source: OutcomeSource | None = None
    signals: dict[str, float] = field(default_factory=dict)
    digest: str = ""
    """Of its content (``content_digest``); empty where that is not known."""

    @classmethod
    def of(cls, tracked: Tracked) -> Self:
        """An interaction as it is stored, with whatever was said of it."""
        digest = content_digest(tracked.caller, tracked.item)
        state = OutcomeState.of(tracked.item)
        return cls.told(tracked.id, tracked.caller, tracked.item.timestamp, digest, state)

    @classmethod
    def told(
        cls, id_: str, caller: str, timestamp: float, digest: str, state: OutcomeState
    ) -> Self:
        """From what was said of it."""
        return cls(
            id=id_,
            caller=caller,
            timestamp=timestamp,
            outcome=state.outcome,
            user_feedback=state.user_feedback,
            source=state.effective().source,
            signals=dict(state.signals),
            digest=digest,
        )

    @property
    def state(self) -> OutcomeState:
        """What was said of it."""
        return OutcomeState(
            outcome=self.outcome, user_feedback=self.user_feedback, signals=self.signals
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that waits for Qdrant. ``seq`` only ever grows; ``accepted`` is epoch seconds."""

    seq: int
    interaction_id: str
    caller: str
    kind: Kind
    body: bytes
    """JSON of an ``InteractionHistory`` or an ``OutcomeState``."""
    accepted: float
    attempts: int = 0
    """Tries that failed by what the record itself is."""

    def tracked(self) -> Tracked:
        """The interaction; ``ValueError`` where the body is not one (any more)."""
        item = InteractionHistory.model_validate_json(self.body)
        return Tracked(self.interaction_id, self.caller, item)

    def state(self) -> OutcomeState:
        """What was said of the interaction; ``ValueError`` where the body is not that."""
        return OutcomeState.model_validate_json(self.body)


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """A record that was given up on, when (epoch seconds) and why."""

    record: Record
    died: float
    why: str


@dataclass(frozen=True, slots=True)
class Totals:
    """What the file holds.

    ``records`` and ``bytes`` are of those that wait, ``delivered`` of those that
    are kept for some time after. ``oldest``: when the first waiting record was
    accepted, if any waits; ``last``: the last sequence number given out, if any was.
    """

    records: int = 0
    bytes: int = 0
    delivered: int = 0
    dead: int = 0
    dead_bytes: int = 0
    known: int = 0
    forgotten: int = 0
    oldest: float | None = None
    last: int | None = None
