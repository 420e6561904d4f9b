"""Signs that an answer did not help, seen in what the same caller asks next.

Nearly the same question again in other words, or the same request again,
within some minutes: the answer before was a failure. Only what the last few
questions of recent callers need is kept, in memory; after a restart it begins
anew. What a sign is worth beside others is in ``outcomes``.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from hybrid_coordinator.knowledge.store import Vector
from hybrid_coordinator.learning.records import OutcomeSource
from hybrid_coordinator.learning_settings import SignalsSettings, WindowSignalSettings

MAX_CALLERS: Final = 512
"""Callers remembered; the one that was quiet for longest goes first."""

MAX_QUESTIONS: Final = 16
"""Questions remembered of a caller. With the callers above, 12 MB of vectors at most."""

_LONGEST: Final = 512
"""Characters of a question that can be compared; of longer ones no text is kept."""

_SHORTEST: Final = 20
"""Bytes of a question that stands for itself: "yes, go on" is said again and again."""

Sign: TypeAlias = tuple[str, OutcomeSource, float]
"""Interaction, source, and weight with its sign (negative: a failure)."""


class Verdict(Protocol):
    """What is said of two questions."""

    @property
    def same(self) -> bool:
        """Whether they ask the same."""


class SameQuestion(Protocol):
    """Tells whether two questions ask the same: ``cache.Guard``.

    It knows that a number or a negation makes another question of it.
    """

    def examine(self, asked: str, cached: str, similarity: float) -> Verdict:
        """Judge two questions with the cosine of their embeddings."""


@dataclass(slots=True)
class _Asked:
    interaction_id: str
    key: str
    question: str
    vector: Vector | None
    answered: float
    given: set[OutcomeSource] = field(default_factory=set)


class Signals:
    """Remembers what callers asked; belongs to one event loop.

    ``floor``: the cosine below which two questions need not be looked at; it
    belongs to the embedder (its calibration's bar for interaction-history).
    """

    def __init__(
        self, settings: SignalsSettings, same: SameQuestion, *, floor: float = 0.0
    ) -> None:
        self._settings = settings
        self._same = same
        self._floor = floor
        self._callers: OrderedDict[str, deque[_Asked]] = OrderedDict()

    def observe(
        self,
        caller: str,
        key: str,
        vector: Vector | None,
        question: str,
        interaction_id: str,
        now: float,
        *,
        began: float | None = None,
        continued: bool = False,
    ) -> list[Sign]:
        """Note an answered question; returns what it says of earlier ones, each once.

        ``key`` is equal for equal requests (empty: not known), ``vector`` the
        question's embedding (None: not known). ``now``: epoch seconds of the
        answer, ``began`` of the request, so that two that ran side by side
        are no repeat. ``continued``: the request brought a tool's results in the
        same turn, so its question was not asked anew.
        """
        asked = _Asked(
            interaction_id,
            key,
            question if len(question) <= _LONGEST else "",
            None if continued else vector,
            now,
        )
        earlier = self._of(caller)
        signs: list[Sign] = []
        at = now if began is None else began
        for before in earlier:
            if before.interaction_id == interaction_id:
                continue
            for source, settings, fits in (
                (OutcomeSource.RETRY, self._settings.retry, self._repeats),
                (OutcomeSource.REASK, self._settings.reask, self._asks_again),
            ):
                if (
                    _counts(settings, before.answered, at)
                    and source not in before.given
                    and fits(asked, before)
                ):
                    before.given.add(source)
                    signs.append((before.interaction_id, source, -settings.weight))
        earlier.append(asked)
        return signs

    def forget(self, interaction_id: str) -> None:
        """Remember nothing of an interaction."""
        for caller in list(self._callers):
            kept = [a for a in self._callers[caller] if a.interaction_id != interaction_id]
            if len(kept) < len(self._callers[caller]):
                self._callers[caller] = deque(kept, MAX_QUESTIONS)

    def _of(self, caller: str) -> deque[_Asked]:
        """The caller's last questions, oldest first."""
        if caller not in self._callers:
            self._callers[caller] = deque(maxlen=MAX_QUESTIONS)
        self._callers.move_to_end(caller)
        while len(self._callers) > MAX_CALLERS:
            self._callers.popitem(last=False)
        return self._callers[caller]

    def _repeats(self, asked: _Asked, before: _Asked) -> bool:
        return bool(asked.key) and asked.key == before.key

    def _asks_again(self, asked: _Asked, before: _Asked) -> bool:
        if self._repeats(asked, before) or asked.vector is None or before.vector is None:
            return False
        # The same words in another request: a conversation that goes on, an agent at work.
        if _words(asked.question) == _words(before.question):
            return False
        if min(len(a.question.encode("utf-8", "replace")) for a in (asked, before)) < _SHORTEST:
            return False
        if asked.vector.shape != before.vector.shape:
            return False
        cosine = float(asked.vector @ before.vector)
        return (
            cosine >= self._floor
            and self._same.examine(asked.question, before.question, cosine).same
        )


def _counts(settings: WindowSignalSettings, answered: float, at: float) -> bool:
    """Whether the sign is wanted and in time; never where the clock went backwards."""
    return settings.enable and settings.weight > 0 and 0 <= at - answered <= settings.window


def _words(text: str) -> str:
    return " ".join(text.casefold().split())
