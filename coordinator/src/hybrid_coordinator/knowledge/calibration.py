"""What a similarity means: the thresholds of one embedder, and how they are found.

Cosines of two embedders are not comparable (lesson 3), so no threshold
stands in the code that searches. The bundled embedder's were derived on a
large set (``BUNDLED``); any other's are derived when it starts, from the
pairs in ``probes``. Both are reported with where they came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.settings import Collection

UNRELATED_SHARE: Final = 0.01
"""Share of unrelated pairs that a floor lets through."""

_ENOUGH: Final = 5_000
"""Pairs from which on their own quantile is used instead of a normal distribution's."""

Cosines: TypeAlias = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds on the cosine, −1 to 1.

    ``prose`` and ``code``: an item of text, or of code, below it is unrelated
    to the question. ``lift``: where no item is this far above its floor,
    nothing that was found is worth a place in a prompt. ``origin`` says how
    they were found.
    """

    prose: float
    code: float
    lift: float
    origin: str
    overrides: Mapping[Collection, float] = field(default_factory=dict)

    def floor(self, collection: Collection) -> float:
        """The lowest cosine at which an item of the collection may be used."""
        override = self.overrides.get(collection)
        if override is not None:
            return override
        return self.code if collection is Collection.CODEBASE_CONTEXT else self.prose

    def bar(self, collection: Collection) -> float:
        """The cosine that at least one item of a result must reach."""
        return self.floor(collection) + self.lift

    def margin(self, collection: Collection, cosine: float) -> float:
        """How far above the floor, as a share of what is possible: 0 at the floor, 1 for equal."""
        floor = self.floor(collection)
        return max(0.0, (cosine - floor) / (1.0 - floor)) if floor < 1.0 else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Cosines of questions with what answers them, and with what does not."""

    related: Cosines
    unrelated: Cosines


def derive(prose: Sample, code: Sample, origin: str) -> Calibration:
    """Thresholds from samples.

    The floor is the cosine that 1 % of unrelated pairs exceed, but no higher
    than the lowest tenth of related pairs. Of a small sample the quantile is
    estimated as mean + 2.33 standard deviations (a normal distribution's; the
    real one has a longer tail, so this errs towards letting items in). The
    lift is a quarter of the way from the floor to the median related pair:
    a search looks at many items, and the best of a hundred unrelated ones
    often passes the floor.
    """
    floors = [_floor(sample) for sample in (prose, code)]
    medians = [float(np.median(sample.related)) for sample in (prose, code)]
    ways = [max(0.0, median - floor) for median, floor in zip(medians, floors, strict=True)]
    return Calibration(
        prose=round(floors[0], 3),
        code=round(floors[1], 3),
        lift=round(sum(ways) / len(ways) / 4, 3),
        origin=origin,
    )


def _floor(sample: Sample) -> float:
    if sample.unrelated.size >= _ENOUGH:
        floor = float(np.quantile(sample.unrelated, 1 - UNRELATED_SHARE))
    else:
        floor = float(np.mean(sample.unrelated) + 2.326 * np.std(sample.unrelated))
    return min(floor, float(np.quantile(sample.related, 0.1)))
