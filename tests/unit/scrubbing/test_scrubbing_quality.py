"""Floors under what scrubbing finds and takes wrongly, on the labelled set."""

from __future__ import annotations

import pytest

from hybrid_coordinator.scrubbing.placeholders import PLACEHOLDER
from hybrid_coordinator.scrubbing.token_formats import TOKEN_FORMATS
from tests.benchmarks.scrubbing import SECRETS, judge
from tests.benchmarks.scrubbing_set import negatives, positives
from tests.unit.scrubbing.scrubbing_parts import scrubber

SEEDS = [20_260_101, 7, 8]


def test_the_set_is_large_enough_to_say_something() -> None:
    assert len(positives()) >= 150
    assert len(negatives()) >= 150
    assert len({sample.text for sample in positives() + negatives()}) >= 400


@pytest.mark.parametrize("seed", SEEDS)
def test_recall_and_precision_stay_above_their_floors(seed: int) -> None:
    verdict = judge(positives(seed) + negatives(seed), scrubber())
    assert verdict.total().recall >= 0.98, verdict.missed
    assert verdict.total().precision >= 0.98, verdict.wrong
    assert verdict.total(*SECRETS).recall >= 0.98, verdict.missed
    for kind, tally in verdict.kinds.items():
        assert tally.recall >= 0.9, (kind, verdict.missed)
        assert tally.precision >= 0.9, (kind, verdict.wrong)


def test_what_is_replaced_begins_and_ends_where_the_value_does() -> None:
    """Half-replaced values would leak; greedy ones would eat the text."""
    samples = positives()
    exact = 0
    for sample in samples:
        scrubbed = scrubber().scrub(sample.text)
        expected = sample.text
        for label in sample.labels:
            expected = expected.replace(label.value, "…")
        exact += PLACEHOLDER.sub("…", scrubbed) == expected
        assert not any(label.value in scrubbed for label in sample.labels)
    assert exact / len(samples) >= 0.97


def test_every_vendor_of_our_own_table_names_its_source_and_prefixes() -> None:
    prefixes = [prefix for form in TOKEN_FORMATS for prefix in form.prefixes]
    assert len(prefixes) == len(set(prefixes))
    for form in TOKEN_FORMATS:
        assert form.source
        assert all(len(prefix) >= 3 for prefix in form.prefixes)
