"""Percentiles from bins are near those of the values themselves, however counts are added up."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.reporting.histogram import BINS, bin_of, middle_of, percentile

LATENCIES = st.floats(min_value=0.011, max_value=99_000)


@given(LATENCIES)
def test_a_bin_stands_for_its_latencies_within_six_percent(latency: float) -> None:
    assert middle_of(bin_of(latency)) == pytest.approx(latency, rel=0.06)


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_every_latency_has_a_bin(latency: float) -> None:
    assert 0 <= bin_of(latency) < BINS


@given(st.lists(LATENCIES, min_size=1), st.floats(min_value=0.01, max_value=1.0))
def test_a_percentile_is_within_six_percent_of_the_exact_one(
    latencies: list[float], share: float
) -> None:
    counts = Counter(bin_of(latency) for latency in latencies)
    found = percentile(counts, share)
    assert found is not None
    # The smallest value that so large a share is at or below; either neighbour where the
    # share falls between two values by less than a product of floats can tell.
    ordered = sorted(latencies)
    exact = share * len(ordered)
    ranks = {min(len(ordered), max(1, -int(-(exact + slip) // 1))) for slip in (-1e-6, 0, 1e-6)}
    assert any(found == pytest.approx(ordered[rank - 1], rel=0.06) for rank in ranks)


@given(st.lists(LATENCIES), st.lists(LATENCIES))
def test_counts_of_two_spans_add_up_to_those_of_both(one: list[float], other: list[float]) -> None:
    def counted(latencies: list[float]) -> Counter[int]:
        return Counter(bin_of(latency) for latency in latencies)

    added = percentile(counted(one) + counted(other), 0.95)
    assert added == percentile(counted(one + other), 0.95)


def test_nothing_measured_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({3: 0.0}, 0.5) is None
