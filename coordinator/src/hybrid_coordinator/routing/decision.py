"""A routing decision as an object: what was chosen, why, and with which numbers.

It is returned, logged, counted and shown in response headers. How it is
reached is in ``policy``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from hybrid_coordinator.conversation import Tier
from hybrid_coordinator.routing.classifier import Complexity
from hybrid_coordinator.settings import BackendSettings, ModelSettings
from hybrid_coordinator.telemetry.events import RoutingDecision

MAX_SUMMARY_CHARS = 200
_ASCII_FOR = str.maketrans({"≥": ">=", "≤": "<=", "–": "-", "…": "...", "’": "'", "×": "x"})


class ReasonClass(StrEnum):
    """What settled the tier; a metric's label, so the set is closed."""

    PINNED = "pinned"
    """The client named the model or the backend."""
    NO_REMOTE = "no_remote"
    """No remote backend is configured."""
    NO_LOCAL = "no_local"
    """No local backend is configured."""
    CAPABILITY = "capability"
    """Only one tier can do what the request needs."""
    HEALTH = "health"
    """Only one tier is ready, or none is."""
    BUDGET = "budget"
    """The day's money is spent."""
    CONFIDENT_LOCAL = "confident_local"
    """The confidence reaches the threshold."""
    LOW_CONFIDENCE = "low_confidence"
    """The confidence is below the threshold."""


class BackendView(Protocol):
    """What the policy needs to know of a backend; inference's status has all of it."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> BackendSettings: ...

    @property
    def models(self) -> Sequence[ModelSettings]:
        """What it can be asked for, the default first; empty while that is unknown."""

    @property
    def usable(self) -> bool:
        """Whether a request would be sent to it now."""

    @property
    def detail(self) -> str:
        """Why it is not usable, as a phrase."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of a backend that may be asked."""

    backend: str
    model: ModelSettings


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a request goes first, and where after that.

    Attributes:
        tier: of the first candidate.
        candidates: at least one, in the order in which they are to be asked.
        reason: what settled the tier.
        detail: one sentence with the numbers.
        threshold: ``routing.local_confidence_threshold`` at the time.
        confidence: probability that the local answer is as good as the remote
            one; ``None`` where nothing was estimated (pinned).
        gain: expected accuracy gained by paying, P(remote right) − P(local right).
        complexity: the classifier's label.
        passed_over: backends that were left out, and why.
        spent_usd: spent on this UTC day before this request.
    """

    tier: Tier
    candidates: tuple[Candidate, ...]
    reason: ReasonClass
    detail: str
    threshold: float
    confidence: float | None = None
    gain: float | None = None
    complexity: Complexity | None = None
    passed_over: Mapping[str, str] = field(default_factory=dict)
    spent_usd: float = 0.0

    @property
    def route(self) -> str:
        """Tier, backend and model of the first candidate: ``local:lemonade/qwen3``."""
        first = self.candidates[0]
        return f"{self.tier.value}:{first.backend}/{first.model.name}"

    @property
    def summary(self) -> str:
        """``reason: detail`` in printable ASCII, one line, at most ``MAX_SUMMARY_CHARS`` long."""
        text = f"{self.reason.value}: {self.detail}".translate(_ASCII_FOR)
        text = "".join(c if " " <= c <= "~" else "?" for c in " ".join(text.split()))
        if len(text) <= MAX_SUMMARY_CHARS:
            return text
        return text[: MAX_SUMMARY_CHARS - 3].rstrip() + "..."

    def to_event(self, *, timestamp: float, interaction_id: str | None) -> RoutingDecision:
        """The telemetry event of this decision."""
        first = self.candidates[0]
        return RoutingDecision(
            timestamp=timestamp,
            interaction_id=interaction_id,
            tier=self.tier,
            backend=first.backend,
            model=first.model.name,
            reason=self.reason.value,
            confidence=self.confidence,
            threshold=self.threshold,
        )
