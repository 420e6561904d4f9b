"""How often the stop rule of experiments is wrong, by simulation.

    python -m tests.benchmarks.learning_stop_rule    (from the repository's root)

Two variants of known success rates get an outcome by turns, and the rule of
``learning.experiments`` is asked again and again, as a dashboard would. Shown
beside what the plain probability of being the best would have decided.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from hybrid_coordinator.learning.credible import best_probabilities, different, posterior
from hybrid_coordinator.learning.experiments import Decision, VariantReport, decide
from hybrid_coordinator.learning_settings import StopSettings

_RATES = ((0.7, 0.7), (0.5, 0.5), (0.95, 0.95), (0.6, 0.7), (0.5, 0.8))
_TRIALS = 300

Counts: TypeAlias = Sequence[tuple[int, int]]
"""Successes and failures of each variant."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How trials ended: shares of all, and outcomes until a decision in the median."""

    better: float
    worse: float
    outcomes: float

    def cells(self) -> tuple[str, str, str]:
        """The shares, and the number of outcomes."""
        outcomes = f"{self.outcomes:,.0f}" if math.isfinite(self.outcomes) else "–"
        return f"{self.better:.1%}", f"{self.worse:.1%}", outcomes


def simulate(rates: tuple[float, float], stop: StopSettings, trials: int) -> tuple[Tally, Tally]:
    """Trials with the rule, and with the plain probability; "better" is the second variant."""
    random = np.random.default_rng(5)
    ruled, plain = [], []
    each = stop.max_outcomes // 2
    for _ in range(trials):
        good = [np.cumsum(random.random(each) < rate, dtype=np.int64) for rate in rates]
        if end := _first(_rule, good, stop):
            ruled.append(end)
        if end := _first(_plain, good, stop):
            plain.append(end)
    return _tally(ruled, trials), _tally(plain, trials)


def _rule(counts: Counts, stop: StopSettings) -> str | None:
    """The product's own decision."""
    one, other = (posterior(s, 0, f) for s, f in counts)
    if different(one, other) < stop.probability:
        return None  # which the rule could only lower; spares the exact calculation
    best = best_probabilities([one, other])
    reports = [
        VariantReport(name, s + f, s, 0, f, 0.0, 0.0, 0.0, probability)
        for name, (s, f), probability in zip("ab", counts, best, strict=True)
    ]
    decision, winner, _ = decide(reports, stop)
    return winner if decision is Decision.DECIDED else None


def _plain(counts: Counts, stop: StopSettings) -> str | None:
    """What the probability of being the best alone would decide."""
    one, other = (posterior(s, 0, f) for s, f in counts)
    distance = abs(one.mean - other.mean) / math.hypot(one.deviation, other.deviation)
    if distance < statistics.NormalDist().inv_cdf(stop.probability) - 0.1:
        return None  # far from it even by a normal distribution
    probability, name = max(zip(best_probabilities([one, other]), "ab", strict=True))
    return name if probability >= stop.probability else None


def _first(
    rule: Callable[[Counts, StopSettings], str | None],
    good: Sequence[npt.NDArray[np.int64]],
    stop: StopSettings,
) -> tuple[str, int] | None:
    """Who is called the better first, and after how many outcomes."""
    for number in range(stop.min_outcomes, len(good[0]) + 1):
        counts = [(int(g[number - 1]), number - int(g[number - 1])) for g in good]
        if winner := rule(counts, stop):
            return winner, 2 * number
    return None


def _tally(ends: list[tuple[str, int]], trials: int) -> Tally:
    better = sum(winner == "b" for winner, _ in ends)
    outcomes = statistics.median(count for _, count in ends) if ends else math.nan
    return Tally(better / trials, (len(ends) - better) / trials, outcomes)


def run(console: Console, trials: int = _TRIALS) -> None:
    """Print the table for the rule as it is by default."""
    stop = StopSettings()
    table = Table(title=f"stop rule: {trials} experiments, a look after every second outcome")
    table.add_column("success rates a, b")
    for rule in ("rule", "plain probability"):
        for column in ("says b", "says a", "outcomes"):
            table.add_column(f"{rule}: {column}", justify="right")
    for rates in _RATES:
        ruled, plain = simulate(rates, stop, trials)
        table.add_row(f"{rates[0]:g}, {rates[1]:g}", *ruled.cells(), *plain.cells())
    console.print(table)


if __name__ == "__main__":
    run(Console(highlight=False, width=140))
    sys.exit(0)
