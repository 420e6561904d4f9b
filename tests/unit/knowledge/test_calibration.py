"""Thresholds from samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.knowledge.calibration import Calibration, Sample, derive
from hybrid_coordinator.knowledge.probes import CODE, PROSE
from hybrid_coordinator.settings import Collection

CALIBRATION = Calibration(prose=0.3, code=0.2, lift=0.05, origin="a test")


def sample(related: float, unrelated: float, spread: float, size: int) -> Sample:
    noise = np.random.default_rng(1).normal(size=size)
    return Sample(np.full(50, related), unrelated + spread * noise)


@pytest.mark.parametrize("size", [400, 20_000])
def test_lesson_3_one_unrelated_pair_of_a_hundred_passes_the_floor(size: int) -> None:
    """Whatever the model's scale is: the threshold moves with it."""
    for centre, spread in ((0.05, 0.08), (0.7, 0.02)):
        drawn = sample(0.95, centre, spread, size)
        found = derive(drawn, drawn, "a test")
        assert np.mean(drawn.unrelated > found.prose) == pytest.approx(0.01, abs=0.008)
        assert found.prose < found.prose + found.lift < 0.95


def test_a_floor_does_not_shut_out_related_texts() -> None:
    overlapping = Sample(np.linspace(0.2, 0.8, 101), np.full(100, 0.5))
    assert derive(overlapping, overlapping, "a test").prose == pytest.approx(0.26, abs=0.01)


def test_code_and_prose_have_floors_of_their_own_and_settings_override_them() -> None:
    assert CALIBRATION.floor(Collection.CODEBASE_CONTEXT) == 0.2
    assert CALIBRATION.floor(Collection.ERROR_SOLUTIONS) == 0.3
    chosen = Calibration(0.3, 0.2, 0.05, "a test", overrides={Collection.ERROR_SOLUTIONS: 0.6})
    assert chosen.floor(Collection.ERROR_SOLUTIONS) == 0.6
    assert chosen.bar(Collection.ERROR_SOLUTIONS) == pytest.approx(0.65)
    assert chosen.floor(Collection.BEST_PRACTICES) == 0.3


@given(st.floats(-1, 1), st.floats(-1, 1), st.sampled_from(list(Collection)))
def test_a_margin_is_between_0_and_1_and_grows_with_the_cosine(
    one: float, other: float, collection: Collection
) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= CALIBRATION.margin(collection, low) <= CALIBRATION.margin(collection, high) <= 1.0


def test_no_probe_is_there_twice() -> None:
    """A text that belonged to two questions would count as unrelated to one of them."""
    for pairs in (PROSE, CODE):
        assert len({question for question, _ in pairs}) == len({text for _, text in pairs})
        assert len({text for _, text in pairs}) == len(pairs)
