"""What a threshold is worth, with a guarantee: the routing certificate.

For questions drawn from the distribution the router was calibrated on, a
table says for each threshold which share stays local and how often, at most,
staying local costs a right answer. The bounds are exact binomial ones
(Clopper and Pearson 1934), and hold for all thresholds of the table at once
by Bonferroni's correction, as in Learn then Test (Angelopoulos et al. 2021),
so that a threshold may be picked from the table. The outcomes are those of
cross-validation, each judged by weights that had not seen it; the shipped
weights were then fitted to all of them by the same procedure, and are taken to
be no worse. Nothing is said about questions of another kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

CONFIDENCE_LEVEL = 0.95
THRESHOLDS = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


class Guarantee(BaseModel):
    """One threshold's line of the table.

    Attributes:
        threshold: requests of at least this confidence stay local.
        local_share: share of the calibration questions that does.
        accuracy_kept: accuracy of the mixture / accuracy of the strong model alone.
        accuracy_kept_at_least: lower bound of that, jointly at ``CONFIDENCE_LEVEL``.
        regret: share of all questions on which staying local cost a right answer.
        regret_at_most: upper bound of that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float
    local_share: float
    accuracy_kept: float
    accuracy_kept_at_least: float
    regret: float
    regret_at_most: float

    def __str__(self) -> str:
        return (
            f"at {self.threshold:.2f}: {self.local_share:.0%} local, at least "
            f"{self.accuracy_kept_at_least:.1%} of the strong model's accuracy with "
            f"{CONFIDENCE_LEVEL:.0%} confidence (measured {self.accuracy_kept:.1%})"
        )


def certify(
    confidence: npt.NDArray[np.float64],
    weak_right: npt.NDArray[np.bool_],
    strong_right: npt.NDArray[np.bool_],
    thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[Guarantee, ...]:
    """The table for outcomes that played no part in fitting ``confidence`` (out of fold).

    With R the share of questions on which local costs a right answer, W that
    on which it gains one and S the strong model's accuracy, the accuracy kept
    is ``1 − (R − W)/S``. R is bounded from above, W from below and S from the
    side that lowers the result, each at a quarter of the error that
    Bonferroni leaves to a threshold (S counts twice: its side is chosen late).
    """
    total = len(confidence)
    error = (1.0 - CONFIDENCE_LEVEL) / len(thresholds) / 4.0
    strong = int(strong_right.sum())
    table = []
    for threshold in thresholds:
        local = confidence >= threshold
        lost = int((local & strong_right & ~weak_right).sum())
        won = int((local & weak_right & ~strong_right).sum())
        most_lost = binomial_upper(lost, total, error)
        # 1 − (R − W)/S falls with S where R < W and rises with it where R > W.
        net = most_lost - binomial_lower(won, total, error)
        bound = binomial_lower if net > 0 else binomial_upper
        table.append(
            Guarantee(
                threshold=threshold,
                local_share=float(local.mean()),
                accuracy_kept=1.0 - (lost - won) / max(strong, 1),
                accuracy_kept_at_least=1.0 - net / max(bound(strong, total, error), 1e-9),
                regret=lost / total,
                regret_at_most=most_lost,
            )
        )
    return tuple(table)


def binomial_upper(successes: int, trials: int, error: float) -> float:
    """Clopper–Pearson's one-sided upper bound of a proportion: wrong with probability ``error``."""
    if successes >= trials:
        return 1.0
    k = np.arange(successes + 1)
    factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, trials + 1)))))
    ways = factorials[trials] - factorials[k] - factorials[trials - k]
    low, high = successes / trials, 1.0
    for _ in range(50):
        p = (low + high) / 2.0
        logs = ways + k * math.log(p) + (trials - k) * math.log1p(-p)
        if float(np.exp(logs).sum()) > error:  # P(X ≤ successes), X ~ Binomial(trials, p)
            low = p
        else:
            high = p
    return high


def binomial_lower(successes: int, trials: int, error: float) -> float:
    """Clopper–Pearson's one-sided lower bound of a proportion: wrong with probability ``error``."""
    return 1.0 - binomial_upper(trials - successes, trials, error)
