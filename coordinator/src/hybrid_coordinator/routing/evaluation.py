"""How good a ranking of questions by the gain of paying is: PGR, APGR, CPT.

The measures of RouteLLM (Ong et al. 2024). Used by the training script and
the benchmark, never while serving.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LOCAL_SHARE = 0.7
_ROUNDING = 1e-9

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RankingQuality:
    """What a ranking gives, from no strong calls to all.

    Attributes:
        apgr: performance gap recovered, averaged over all shares of strong calls.
        cpt50: share of strong calls that recovers half of the gap.
        cpt80: share of strong calls that recovers 80 % of it.
        kept: accuracy with ``LOCAL_SHARE`` on the weak model / accuracy of the strong one.
    """

    apgr: float
    cpt50: float
    cpt80: float
    kept: float


def ranking_quality(
    gain: npt.NDArray[np.floating], weak_right: BoolArray, strong_right: BoolArray
) -> RankingQuality:
    """Quality of sending questions to the strong model in descending order of ``gain``.

    Ties share what they hold evenly, so that the order of the questions in
    the data cannot matter.
    """
    real = strong_right.astype(np.float64) - weak_right
    _, group = np.unique(-gain, return_inverse=True)
    mean = np.bincount(group, weights=real) / np.bincount(group)
    won = np.concatenate(([0.0], np.cumsum(mean[np.sort(group)])))
    total = len(real)
    recovered = won / real.sum()
    share = np.arange(total + 1) / total
    strong_calls = round((1.0 - LOCAL_SHARE) * total)
    return RankingQuality(
        apgr=float(np.sum((recovered[1:] + recovered[:-1]) / 2.0) / total),
        cpt50=float(share[np.argmax(recovered >= 0.5 - _ROUNDING)]),
        cpt80=float(share[np.argmax(recovered >= 0.8 - _ROUNDING)]),
        kept=float((weak_right.sum() + won[strong_calls]) / strong_right.sum()),
    )


def calibration_error(
    probability: npt.NDArray[np.floating], happened: BoolArray, bins: int = 10
) -> float:
    """Expected calibration error over ``bins`` groups of equal size (Naeini et al. 2015)."""
    order = np.argsort(probability, kind="stable")
    groups = np.array_split(order, bins)
    return float(
        sum(
            len(g) * abs(float(probability[g].mean()) - float(happened[g].mean()))
            for g in groups
            if len(g)
        )
        / len(order)
    )
