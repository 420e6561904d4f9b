from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hybrid_coordinator.routing.certificate import (
    THRESHOLDS,
    binomial_lower,
    binomial_upper,
    certify,
)
from hybrid_coordinator.routing.evaluation import calibration_error, ranking_quality
from hybrid_coordinator.routing.experts import shipped_weights
from hybrid_coordinator.routing.fitting import Outcomes, estimates, fit, folds

WEAK = np.array([1, 0, 0, 1, 0, 1, 1, 1, 1, 0], dtype=np.bool_)
STRONG = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1, 0], dtype=np.bool_)
GAIN = STRONG.astype(float) - WEAK


def test_a_ranking_that_knows_nothing_recovers_half_of_the_gap() -> None:
    quality = ranking_quality(np.zeros(10), WEAK, STRONG)
    assert quality.apgr == pytest.approx(0.5)
    assert quality.cpt50 == pytest.approx(0.5)
    assert quality.cpt80 == pytest.approx(0.8)


def test_the_oracle_is_worked_out_by_hand() -> None:
    # gap 3 − 1 = 2; best order: three gains, then zeros, the loss last
    quality = ranking_quality(GAIN, WEAK, STRONG)
    recovered = [0, 0.5, 1, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.0]
    assert quality.apgr == pytest.approx(sum((a + b) / 2 for a, b in pairwise(recovered)) / 10)
    assert (quality.cpt50, quality.cpt80) == (0.1, 0.2)
    assert quality.kept == pytest.approx((6 + 3) / 8)


def test_the_order_of_tied_questions_does_not_matter() -> None:
    order = np.array([3, 1, 9, 0, 2, 8, 7, 5, 4, 6])
    gain = np.array([1, 1, 0, 0, 0, 1, 1, 0, 0, 0], dtype=float)
    here = ranking_quality(gain, WEAK, STRONG)
    there = ranking_quality(gain[order], WEAK[order], STRONG[order])
    assert here == there


def test_calibration_error_is_zero_for_the_truth_and_large_for_its_opposite() -> None:
    happened = np.array([0, 1] * 50, dtype=np.bool_)
    assert calibration_error(happened.astype(float), happened) == 0.0
    assert calibration_error(1.0 - happened, happened) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("successes", "trials", "upper"),
    # The rule of three's exact form 1 − 0.05^(1/n), and tables of Clopper and Pearson.
    [(0, 10, 1 - 0.05 ** (1 / 10)), (0, 100, 1 - 0.05 ** (1 / 100)), (1, 10, 0.3942), (10, 10, 1)],
)
def test_the_binomial_bound_is_the_exact_one(successes: int, trials: int, upper: float) -> None:
    assert binomial_upper(successes, trials, 0.05) == pytest.approx(upper, abs=1e-4)
    assert binomial_lower(trials - successes, trials, 0.05) == pytest.approx(1 - upper, abs=1e-4)


def test_the_certificate_holds_in_at_least_its_share_of_repetitions() -> None:
    """Drawn from a known distribution, the bound for all thresholds at once."""
    rng = np.random.default_rng(5)
    broken = 0
    for _ in range(25):
        confidence = rng.uniform(0.4, 1.0, 400)
        regret = rng.uniform(size=400) > confidence
        strong = regret | (rng.uniform(size=400) < 0.8)
        table = certify(confidence, strong & ~regret, strong)
        for line in table:
            # P(confidence ≥ t and regret) for confidence uniform on 0.4…1
            truth = ((1 - max(line.threshold, 0.4)) ** 2 / 2) / 0.6
            broken += truth > line.regret_at_most
    assert broken <= 2


def test_the_certificate_counts_what_it_says() -> None:
    confidence = np.linspace(0.5, 0.95, 10)
    (line,) = certify(confidence, WEAK, STRONG, thresholds=(0.7,))
    local = confidence >= 0.7
    kept = (WEAK & local).sum() + (STRONG & ~local).sum()
    assert line.local_share == local.mean()
    assert line.accuracy_kept == pytest.approx(kept / STRONG.sum())
    assert line.accuracy_kept_at_least < line.accuracy_kept
    assert len(certify(confidence, WEAK, STRONG)) == len(THRESHOLDS)


def made_up(count: int = 240) -> Outcomes:
    """Questions whose gain is all in one word and one direction of the embedding."""
    rng = np.random.default_rng(3)
    hard = rng.uniform(size=count) < 0.5
    questions = [
        f"Which {'quasar' if h else 'pebble'} is number {i}?\nA. this\nB. that"
        for i, h in enumerate(hard)
    ]
    vectors = rng.standard_normal((count, 8)) * 0.3
    vectors[:, 0] += np.where(hard, 1.0, -1.0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    strong = np.ones(count, dtype=np.bool_)
    weak = rng.uniform(size=count) > np.where(hard, 0.9, 0.02)
    return Outcomes.of(questions, vectors.astype(np.float32), weak, strong)


def test_fitting_is_deterministic_and_learns_what_is_there() -> None:
    outcomes = made_up()
    inside, outside = next(folds(len(outcomes), 4, seed=1))
    weights = fit(outcomes.take(inside), "made-up")
    assert fit(outcomes.take(inside), "made-up").to_bytes() == weights.to_bytes()
    held_out = outcomes.take(outside)
    for embedded in (True, False):
        said = estimates(weights, held_out, embedded=embedded)
        gain = np.array([estimate.gain for estimate in said])
        assert ranking_quality(gain, held_out.weak_right, held_out.strong_right).apgr > 0.7
        confidence = np.array([estimate.confidence for estimate in said])
        assert calibration_error(1 - confidence, held_out.regret, bins=2) < 0.15


def test_folds_hold_out_every_row_once() -> None:
    seen = np.concatenate([outside for _, outside in folds(103, 5, seed=0)])
    assert sorted(seen.tolist()) == list(range(103))
    for inside, outside in folds(103, 5, seed=0):
        assert not set(inside.tolist()) & set(outside.tolist())


def test_a_question_without_words_cannot_be_fitted_to() -> None:
    right = np.array([True, False])
    with pytest.raises(ValueError, match="without any word"):
        Outcomes.of(["  ", "word"], np.eye(2, dtype=np.float32), right, right)


def test_the_shipped_weights_were_fitted_to_enough() -> None:
    facts = shipped_weights().facts
    assert facts.questions > 5000
    assert facts.both.regret_slope > 0
    assert facts.text.regret_slope > 0
