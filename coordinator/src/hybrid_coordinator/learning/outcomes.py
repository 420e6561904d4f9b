"""What is known of how an answer turned out, and how another word or sign changes it.

Pure. A posted outcome is explicit and wins; an agent's report, a thumb and what
is observed here are signs with a weight each, which decide together where
nothing explicit was said. Where it is kept is in ``outbox``; what it is worth
in ``scoring``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from hybrid_coordinator.errors import Conflict, Unprocessable
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.records import (
    POSTED_SOURCES,
    Outcome,
    OutcomeSource,
    PostedOutcome,
)
from hybrid_coordinator.learning_settings import SignalSettings, SignalsSettings

DECISIVE: Final = 0.5
"""Signs of one direction that add up to this decide the outcome."""

_DIRECTION: Final = {Outcome.SUCCESS: 1, Outcome.PARTIAL: 0, Outcome.FAILURE: -1}
_IMPLIED: Final = {1: Outcome.SUCCESS, 0: None, -1: Outcome.FAILURE}


@dataclass(frozen=True, slots=True)
class Effective:
    """What counts: the outcome, somebody's feedback if there is any, and who decided the outcome.

    ``source`` is None exactly where the outcome is unknown.
    """

    outcome: Outcome
    user_feedback: int | None
    source: OutcomeSource | None


class OutcomeState(BaseModel):
    """All that was said of one answer.

    ``outcome`` and ``user_feedback`` are a client's explicit words. ``signals``:
    the last sign of each other source, its weight with + for a success, − for
    a failure, and 0 for a partial success.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Outcome | None = None
    user_feedback: Annotated[int, Field(ge=-1, le=1)] | None = None
    signals: dict[str, Annotated[float, Field(ge=-1.0, le=1.0)]] = {}

    @classmethod
    def of(cls, item: InteractionHistory) -> Self:
        """What an item of interaction-history says of itself."""
        known = {source.value for source in OutcomeSource}
        signals = {name: weight for name, weight in item.signals.items() if name in known}
        explicit = item.outcome_source == OutcomeSource.CLIENT
        # A thumb's feedback is in its sign; it does not become a client's word by being stored.
        by_thumb = not explicit and OutcomeSource.THUMBS.value in signals
        return cls(
            outcome=Outcome(item.outcome) if explicit and item.outcome != "unknown" else None,
            user_feedback=item.user_feedback if item.feedback_given and not by_thumb else None,
            signals=signals,
        )

    @property
    def empty(self) -> bool:
        """Whether nothing at all was said."""
        return self.outcome is None and self.user_feedback is None and not self.signals

    def effective(self) -> Effective:
        """What counts at present."""
        feedback = self._feedback()
        if self.outcome is not None:
            return Effective(self.outcome, feedback, OutcomeSource.CLIENT)
        implied = _IMPLIED[self.user_feedback] if self.user_feedback is not None else None
        if implied is not None:
            return Effective(implied, feedback, OutcomeSource.CLIENT)
        total = sum(self.signals.values())
        if total >= DECISIVE:
            return Effective(Outcome.SUCCESS, feedback, self._strongest(1))
        if total <= -DECISIVE:
            return Effective(Outcome.FAILURE, feedback, self._strongest(-1))
        if self.signals and not any(self.signals.values()):
            return Effective(Outcome.PARTIAL, feedback, self._strongest(0))
        return Effective(Outcome.UNKNOWN, feedback, None)

    def posted(self, posted: PostedOutcome, settings: SignalsSettings) -> Self:
        """The state after a post; the same state where nothing new was said.

        Raises:
            Unprocessable: values out of range, contradictory, or a source that is switched off.
            Conflict: something else was said before, and ``replace`` is not set.
        """
        check_posted(posted, settings)
        if posted.source is OutcomeSource.CLIENT:
            return self._explicit(posted)
        if posted.source is OutcomeSource.THUMBS and _takes_back(posted):
            return self._taken_back(posted)
        weight = _posted_settings(posted.source, settings).weight
        return self._signed(posted.source, weight * _posted_direction(posted), posted.replace)

    def observed(self, source: OutcomeSource, weight: float) -> Self:
        """The state after a sign was observed; a source's last sign is the one that counts."""
        signals = {**self.signals, source.value: weight}
        return self if signals == self.signals else self.model_copy(update={"signals": signals})

    def _explicit(self, posted: PostedOutcome) -> Self:
        changes: dict[str, Outcome | int] = {}
        if posted.outcome is not None and posted.outcome is not self.outcome:
            if self.outcome is not None and not posted.replace:
                raise _conflict("outcome", self.outcome.value)
            changes["outcome"] = posted.outcome
        if posted.user_feedback is not None and posted.user_feedback != self.user_feedback:
            if self.user_feedback is not None and not posted.replace:
                raise _conflict("user_feedback", str(self.user_feedback))
            changes["user_feedback"] = posted.user_feedback
        return self.model_copy(update=changes) if changes else self

    def _signed(self, source: OutcomeSource, weight: float, replace: bool) -> Self:
        before = self.signals.get(source.value)
        # By direction: another weight in the settings makes the same word no other word.
        if before is not None and _sign(before) == _sign(weight):
            return self
        if before is not None and not replace:
            raise _conflict("outcome", _said(before))
        return self.model_copy(update={"signals": {**self.signals, source.value: weight}})

    def _taken_back(self, posted: PostedOutcome) -> Self:
        before = self.signals.get(posted.source.value)
        if before is None:
            return self
        if not posted.replace:
            raise _conflict("user_feedback", str(_sign(before)))
        left = {name: w for name, w in self.signals.items() if name != posted.source.value}
        return self.model_copy(update={"signals": left})

    def _feedback(self) -> int | None:
        if self.user_feedback is not None:
            return self.user_feedback
        thumb = self.signals.get(OutcomeSource.THUMBS.value)
        return None if thumb is None else _sign(thumb)

    def _strongest(self, sign: int) -> OutcomeSource:
        """The source that weighs most in a direction; of equals the first in the enum's order."""
        able = [s for s in OutcomeSource if s in self.signals and _sign(self.signals[s]) == sign]
        return max(able, key=lambda source: abs(self.signals[source]))


def check_posted(posted: PostedOutcome, settings: SignalsSettings) -> None:
    """Refuse a post that cannot mean anything, whatever was said before.

    Raises:
        Unprocessable: names the field.
    """
    if posted.user_feedback is not None and posted.user_feedback not in (-1, 0, 1):
        raise Unprocessable("user_feedback is −1, 0 or 1", field="user_feedback")
    if posted.outcome is Outcome.UNKNOWN:
        raise Unprocessable("outcome is success, partial or failure", field="outcome")
    if posted.outcome is None and posted.user_feedback is None:
        raise Unprocessable("say an outcome, a user_feedback, or both", field="outcome")
    if posted.source is OutcomeSource.CLIENT:
        return
    if posted.source not in POSTED_SOURCES:
        raise Unprocessable(
            f"'{posted.source}' is observed here and cannot be posted: "
            f"source is one of {', '.join(POSTED_SOURCES)}",
            field="source",
        )
    setting = _posted_settings(posted.source, settings)
    if not setting.enable or setting.weight == 0:
        raise Unprocessable(
            f"outcomes of '{posted.source}' are switched off: set "
            f"learning.signals.{posted.source}.enable and a weight over 0, or post as client",
            field="source",
        )
    if posted.user_feedback is None:
        return
    if posted.source is OutcomeSource.AGENT:
        raise Unprocessable(
            "user_feedback is what a person said: post it with source client or thumbs",
            field="user_feedback",
        )
    if posted.outcome is not None and _DIRECTION[posted.outcome] != posted.user_feedback:
        raise Unprocessable(
            "a thumb points one way: outcome and user_feedback contradict each other",
            field="user_feedback",
        )


def _posted_settings(source: OutcomeSource, settings: SignalsSettings) -> SignalSettings:
    return settings.agent if source is OutcomeSource.AGENT else settings.thumbs


def _posted_direction(posted: PostedOutcome) -> int:
    if posted.outcome is not None:
        return _DIRECTION[posted.outcome]
    return posted.user_feedback or 0


def _takes_back(posted: PostedOutcome) -> bool:
    """A thumb that points nowhere, without a word, is none any more."""
    return posted.outcome is None and posted.user_feedback == 0


def _sign(weight: float) -> int:
    return (weight > 0) - (weight < 0)


def _said(weight: float) -> str:
    return next(outcome.value for outcome, sign in _DIRECTION.items() if sign == _sign(weight))


def _conflict(field: str, before: str) -> Conflict:
    return Conflict(
        f"'{before}' was said before: send \"replace\": true if this is meant to take its place",
        field=field,
    )
