"""The Beta distribution and what is said with it, against closed forms and published values."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.learning.credible import (
    Beta,
    best_probabilities,
    different,
    incomplete_beta,
    posterior,
)

COUNTS = st.integers(min_value=0, max_value=400)
RATES = st.floats(min_value=0.0, max_value=1.0)


def binomial_tail(a: int, b: int, x: float) -> float:
    """I_x(a, b) of whole a and b as a finite sum (DLMF 8.17.5), in exact fractions."""
    exact, n = Fraction(x), a + b - 1
    total = sum(math.comb(n, j) * exact**j * (1 - exact) ** (n - j) for j in range(a, n + 1))
    return float(total)


@given(a=st.integers(1, 40), b=st.integers(1, 40), x=RATES)
def test_the_distribution_function_is_the_binomial_sum_for_whole_parameters(
    a: int, b: int, x: float
) -> None:
    assert incomplete_beta(a, b, np.array([x]))[0] == pytest.approx(
        binomial_tail(a, b, x), abs=1e-12
    )


@given(x=RATES)
def test_the_distribution_function_of_one_half_and_one_half_is_the_arcsine_law(x: float) -> None:
    # The arcsine is ill-conditioned near 1; 1 − x is exact there.
    near = 2 / math.pi * math.asin(math.sqrt(min(x, 1 - x)))
    expected = near if x <= 0.5 else 1 - near
    assert incomplete_beta(0.5, 0.5, np.array([x]))[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "probability", "rate"),
    [
        (1, 1, 0.025, 0.025),
        (1, 1, 0.975, 0.975),
        (2, 2, 0.5, 0.5),
        (2, 1, 0.25, 0.5),  # F(x) = x²
        (1, 10, 0.975, 1 - 0.025 ** (1 / 10)),  # F(x) = 1 − (1 − x)¹⁰
        (3, 1, 0.1, 0.1 ** (1 / 3)),
        (2, 3, 11 / 16, 0.5),  # F(x) = 6x² − 8x³ + 3x⁴
        (2, 3, 67 / 256, 0.25),
        # Clopper and Pearson's 95 % limits, as tables of the binomial have them: 5, 0 and 1 of 10
        (5, 6, 0.025, 0.18709),
        (6, 5, 0.975, 0.81291),
        (1, 10, 0.975, 0.30850),
        (1, 10, 0.025, 0.00253),
        (2, 9, 0.975, 0.44502),
    ],
)
def test_quantiles_are_those_of_closed_forms_and_tables(
    a: float, b: float, probability: float, rate: float
) -> None:
    assert Beta(a, b).quantiles([probability])[0] == pytest.approx(rate, abs=5e-6)


@settings(max_examples=25)
@given(s=COUNTS, p=COUNTS, f=COUNTS)
def test_the_interval_holds_the_mean_and_leaves_the_same_probability_on_both_sides(
    s: int, p: int, f: int
) -> None:
    rate = posterior(s, p, f)
    low, high = rate.interval()
    assert 0 < low < rate.mean < high < 1
    below, above = incomplete_beta(rate.a, rate.b, np.array([low, high]))
    assert (below, above) == pytest.approx((0.025, 0.975), abs=1e-9)


def test_an_interval_of_a_million_outcomes_is_that_of_the_normal_distribution() -> None:
    rate = posterior(700_000, 0, 300_000)
    low, high = rate.interval()
    half = 1.959964 * math.sqrt(0.7 * 0.3 / 1e6)
    assert (low, high) == pytest.approx((0.7 - half, 0.7 + half), abs=3e-6)


def test_a_partial_success_is_half_a_success_and_half_a_failure() -> None:
    assert posterior(3, 2, 5) == Beta(5.0, 7.0)
    assert posterior(0, 0, 0).mean == 0.5


@given(counts=st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=6))
def test_the_probabilities_of_being_best_add_up_to_one(counts: list[tuple[int, int]]) -> None:
    assert sum(best_probabilities([posterior(s, 0, f) for s, f in counts])) == pytest.approx(
        1.0, abs=1e-8
    )


def test_of_two_rates_the_probability_of_being_best_is_the_known_sum() -> None:
    # P(X > Y) for X ~ Beta(1, 1): the mean of 1 − F is E[1 − Y], so here 1 − 3/5.
    uniform, other = Beta(1, 1), Beta(3, 2)
    assert best_probabilities([uniform, other]) == pytest.approx([0.4, 0.6], abs=1e-12)
    # X ~ Beta(2, 1) against Y ~ Beta(1, 2): the integral of 2x·(2x − x²) is 5/6.
    assert best_probabilities([Beta(2, 1), Beta(1, 2)]) == pytest.approx([5 / 6, 1 / 6], abs=1e-12)


@pytest.mark.parametrize(
    "rates",
    [
        [Beta(61, 41), Beta(51, 51), Beta(4, 2)],
        [Beta(1, 10_001), Beta(2, 10_001), Beta(1, 30)],
        [Beta(7_001, 3_001), Beta(6_901, 3_101)],
        [Beta(1, 1)] * 5,
    ],
)
def test_the_quadrature_agrees_with_random_draws(rates: list[Beta]) -> None:
    random, draws = np.random.default_rng(7), 200_000
    drawn = np.array([random.beta(rate.a, rate.b, draws) for rate in rates])
    shares = np.bincount(drawn.argmax(axis=0), minlength=len(rates)) / draws
    # Five standard errors of a share of so many draws.
    assert best_probabilities(rates) == pytest.approx(shares, abs=5 * 0.5 / math.sqrt(draws))


def test_narrow_and_wide_rates_are_compared_as_exactly() -> None:
    narrow, wide = Beta(1e6, 1e6), Beta(1, 1)
    assert best_probabilities([narrow, wide]) == pytest.approx([0.5, 0.5], abs=1e-8)


@given(s=COUNTS, f=COUNTS, t=COUNTS, g=COUNTS)
def test_whether_rates_differ_does_not_depend_on_which_comes_first(
    s: int, f: int, t: int, g: int
) -> None:
    one, other = posterior(s, 0, f), posterior(t, 0, g)
    assert different(one, other) == pytest.approx(different(other, one), rel=1e-9)
    assert 0 <= different(one, other) <= 1


def test_whether_rates_differ_is_the_share_of_the_evidence_for_two_rates() -> None:
    # One success against one failure: two rates give 1/2 · 1/2, a common one B(2, 2) = 1/6.
    assert different(posterior(1, 0, 0), posterior(0, 0, 1)) == pytest.approx(0.25 / (0.25 + 1 / 6))
    # Nothing known of one of them: nothing is learnt, it stays as likely as not.
    assert different(posterior(0, 0, 0), posterior(80, 0, 20)) == pytest.approx(0.5)


def test_whether_rates_differ_is_sure_for_very_many_outcomes() -> None:
    assert different(posterior(900_000, 0, 100_000), posterior(100_000, 0, 900_000)) == 1.0
    assert different(posterior(500_000, 0, 500_000), posterior(500_000, 0, 500_000)) < 0.01
