"""Fixed log-spaced bins for latencies, and percentiles from their counts.

A bin is 10^(1/20), about 12 %, wide, so a percentile is at most 6 % off
whatever is added up. Counts of bins may be summed over time, which percentiles
may not. Knows nothing of where counts are kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

_PER_DECADE: Final = 20
_LOWEST_MS: Final = 0.01
_HIGHEST_MS: Final = 100_000.0

BINS: Final = 7 * _PER_DECADE
"""From 0.01 ms to 100 s; what is outside is in the first or the last bin."""


def bin_of(milliseconds: float) -> int:
    """The bin of a latency, from 0 to ``BINS`` - 1."""
    if milliseconds <= _LOWEST_MS:
        return 0
    # Only then divided: what is far too long would become infinite.
    if milliseconds >= _HIGHEST_MS:
        return BINS - 1
    return min(BINS - 1, int(math.log10(milliseconds / _LOWEST_MS) * _PER_DECADE))


def middle_of(number: int) -> float:
    """The latency, in milliseconds, that stands for a bin: its geometric middle."""
    return float(_LOWEST_MS * 10 ** ((number + 0.5) / _PER_DECADE))


def percentile(counts: Mapping[int, float], share: float) -> float | None:
    """The latency that ``share`` (0…1) of the counted ones are at or below; None for no counts."""
    total = sum(counts.values())
    if total <= 0:
        return None
    wanted, seen = share * total, 0.0
    for number in sorted(counts):
        seen += counts[number]
        # The sum of whole numbers is exact; the product is not.
        if counts[number] > 0 and seen >= wanted - 1e-9:
            return middle_of(number)
    return middle_of(max(counts))
