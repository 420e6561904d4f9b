"""The labelled set for scrubbing, whole: what has to be replaced, and what may not be."""

from __future__ import annotations

from tests.benchmarks.scrubbing_held_out import held_out_negatives, held_out_positives
from tests.benchmarks.scrubbing_negatives import first_negatives
from tests.benchmarks.scrubbing_personal import personal_data
from tests.benchmarks.scrubbing_samples import Sample
from tests.benchmarks.scrubbing_secrets import secrets


def positives(seed: int = 20_260_101) -> list[Sample]:
    """All texts with something to replace; another seed draws other values."""
    return [*secrets(seed), *personal_data(seed + 1), *held_out_positives(seed + 2)]


def negatives(seed: int = 20_260_104) -> list[Sample]:
    """All texts with nothing to replace."""
    return [*first_negatives(seed), *held_out_negatives(seed + 1)]
