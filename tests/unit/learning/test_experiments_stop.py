"""The stop rule of experiments: decided, undecided or running, and how seldom it is wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid_coordinator.learning.credible import best_probabilities, posterior
from hybrid_coordinator.learning.experiments import Decision, VariantReport, decide
from hybrid_coordinator.learning_settings import StopSettings


def variant(name: str, successes: int, failures: int, best: float) -> VariantReport:
    rate, count = posterior(successes, 0, failures), successes + failures
    return VariantReport(name, count, successes, 0, failures, rate.mean, 0.0, 1.0, best)


def stand(stop: StopSettings, *counts: tuple[int, int]) -> tuple[Decision, str | None, str]:
    best = best_probabilities([posterior(s, 0, f) for s, f in counts])
    reports = [variant("abc"[n], *count, best[n]) for n, count in enumerate(counts)]
    return decide(reports, stop)


def test_an_experiment_is_decided_once_every_variant_has_enough_and_one_is_clearly_better() -> None:
    decision, winner, why = stand(StopSettings(), (45, 15), (20, 40))
    assert (decision, winner) == (Decision.DECIDED, "a")
    assert why.startswith("'a' is the best with probability 1.000, and 1.000 where")
    assert why.endswith("after 120 known outcomes.")


def test_a_variant_with_too_few_outcomes_keeps_an_experiment_running() -> None:
    decision, winner, why = stand(StopSettings(), (90, 10), (5, 44))
    assert (decision, winner) == (Decision.RUNNING, None)
    assert why == "'b' has 49 known outcomes, and every variant needs 50."


def test_an_advantage_that_equal_variants_often_show_decides_nothing() -> None:
    decision, winner, why = stand(StopSettings(), (40, 20), (31, 29))
    assert (decision, winner) == (Decision.RUNNING, None)
    assert why.startswith("'a' is the best with probability 0.95")
    assert why.endswith("0.95 decides.")


def test_of_three_variants_the_best_must_beat_the_second_too() -> None:
    assert stand(StopSettings(), (80, 20), (78, 22), (10, 90))[0] is Decision.RUNNING
    assert stand(StopSettings(), (80, 20), (40, 60), (10, 90))[:2] == (Decision.DECIDED, "a")


def test_an_experiment_ends_undecided_at_its_limit() -> None:
    decision, winner, why = stand(StopSettings(max_outcomes=200), (61, 39), (60, 40))
    assert (decision, winner) == (Decision.UNDECIDED, None)
    assert why.startswith("It ended after 200 known outcomes: 'a' is the best with probability")
    decision, winner, why = stand(StopSettings(max_outcomes=200), (190, 5), (5, 0))
    assert (decision, winner) == (Decision.UNDECIDED, None)
    assert "'b' has 5 known outcomes" in why


def test_a_clear_result_at_the_limit_is_a_decision() -> None:
    assert stand(StopSettings(max_outcomes=200), (90, 10), (50, 50))[:2] == (
        Decision.DECIDED,
        "a",
    )


def test_looking_after_every_outcome_seldom_calls_one_of_equal_variants_the_better() -> None:
    """False decisions stay below what the probability leaves, with any number of looks."""
    random, stop = np.random.default_rng(3), StopSettings(min_outcomes=50, max_outcomes=1_200)
    decided = 0
    for _ in range(60):
        counts = np.zeros((2, 2), dtype=int)
        for outcome in range(1, 1_201):
            counts[outcome % 2, int(random.random() < 0.3)] += 1
            if outcome < 100 or outcome % 10 or not looks_better(counts):
                continue
            if stand(stop, *((int(s), int(f)) for s, f in counts))[0] is Decision.DECIDED:
                decided += 1
                break
    # The plain probability of being best decides 25 to 40 of such 60; this rule none to 2.
    assert decided <= 6


def looks_better(counts: np.ndarray[Any, np.dtype[np.int64]]) -> bool:
    """Whether two rates are 1.5 standard deviations apart; below it no rule of 0.95 decides."""
    one, other = (posterior(int(s), 0, int(f)) for s, f in counts)
    return abs(one.mean - other.mean) > 1.5 * math.hypot(one.deviation, other.deviation)
