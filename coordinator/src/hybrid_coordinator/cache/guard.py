"""Whether the answer to one question may be given to another: hard rules, then a probability.

Similarity alone cannot tell: "enable dark mode" and "disable dark mode" are closer than most
paraphrases. A pair is refused by name where a rule of ``pair_rules`` sees a difference that
changes the answer; otherwise it must reach the bar that keeps the share of wrong answers. Which
questions may be compared at all (same caller, model, prompt…) is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hybrid_coordinator.cache.pair_alike import are_alike
from hybrid_coordinator.cache.pair_features import features
from hybrid_coordinator.cache.pair_model import PairWeights, shipped_weights
from hybrid_coordinator.cache.pair_rules import broken_rule
from hybrid_coordinator.cache.pair_text import MAX_CHARACTERS, Question, read
from hybrid_coordinator.errors import SettingsError

STRICTER: Final = 0.5
"""Share of the accepted error that is used with an embedder the weights were not calibrated for."""

ALIKE: Final = 0.99
"""Least probability of a pair that ``pair_alike`` takes for two wordings of one question."""


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """What the guard says of a pair.

    Attributes:
        same: whether the cached answer may be given.
        rule: why not: a hard rule's name, "length", or "probability"; None where it may.
        probability: that the pair asks the same (0…1), as learned. A hard rule overrides it.
    """

    same: bool
    rule: str | None
    probability: float


class Guard:
    """Judges pairs of questions for one embedder and one accepted share of wrong answers.

    Safe to share between threads; a call takes a fraction of a millisecond and does no I/O.
    """

    def __init__(
        self, embedder_name: str, max_error: float, *, weights: PairWeights | None = None
    ) -> None:
        """Choose the weights for ``embedder_name`` and the bar for ``max_error``.

        Args:
            embedder_name: what the similarities given to ``examine`` come from. With another one
                than the weights were calibrated for, similarity is not looked at and the bar is
                the one for half of ``max_error``.
            max_error: accepted share (0…1) of wrong answers among all questions asked.
            weights: others than the package's own.

        Raises:
            SettingsError: ``max_error`` is not a share.
        """
        if not 0.0 <= max_error <= 1.0:
            raise SettingsError(
                f"max_error is {max_error}: it is a share of all questions, so give it a value "
                "from 0 to 1.",
                field="cache.semantic.max_error",
            )
        weights = weights or shipped_weights()
        self.calibrated: Final = embedder_name == weights.embedder
        self._cues = weights.cues
        model = weights.with_similarity if self.calibrated else weights.without_similarity
        self._trees = model.trees
        self.bar: Final = model.bar(max_error if self.calibrated else max_error * STRICTER)

    def examine(self, asked: str, cached: str, similarity: float) -> GuardVerdict:
        """Judge whether the answer to ``cached`` answers ``asked``.

        ``similarity`` is the cosine of the two by the guard's embedder.
        """
        a, b = read(asked), read(cached)
        if max(a.characters, b.characters) > MAX_CHARACTERS:
            return GuardVerdict(same=False, rule="length", probability=0.0)
        rule = broken_rule(a, b)
        probability = self._probability(a, b, similarity, broken=rule is not None)
        if rule is None and probability < self.bar:
            rule = "probability"
        return GuardVerdict(same=rule is None, rule=rule, probability=probability)

    def _probability(self, a: Question, b: Question, similarity: float, *, broken: bool) -> float:
        seen = similarity if self.calibrated else 0.0
        learned = self._trees.probability(features(a, b, seen, self._cues, broken=broken))
        return max(learned, ALIKE) if not broken and are_alike(a, b) else learned
