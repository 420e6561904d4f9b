"""How well the router picks the questions worth paying for, beside simpler estimates.

``python -m tests.benchmarks.routing_quality`` from the repository's root. The
shipped weights have seen all of the data, so they are not what is measured:
each repetition halves the data, fits on one half and is tested on the other,
and again the other way round. Baselines are fitted on the same half. Nothing
passes or fails. Where the data are absent it says so and stops.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import astuple

import numpy as np
import numpy.typing as npt
from coordinator.scripts.train_router import data_file, load_outcomes
from rich.console import Console
from rich.table import Table

from hybrid_coordinator.routing.classifier import Classifier
from hybrid_coordinator.routing.evaluation import RankingQuality, ranking_quality
from hybrid_coordinator.routing.experts import shipped_weights
from hybrid_coordinator.routing.fitting import Outcomes, estimates, fit, folds

Gains = npt.NDArray[np.floating]

NEIGHBOURS = 50
RIDGE = 10.0
TIMED = 500


def ridge_on_embedding(inside: Outcomes, outside: Outcomes) -> Gains:
    """Ridge regression of the gain on the embedding: the figure to beat."""
    centre = inside.vectors.mean(axis=0)
    known, asked = inside.vectors - centre, outside.vectors - centre
    normal = known.T @ known + RIDGE * np.eye(known.shape[1])
    gains: Gains = asked @ np.linalg.solve(normal, known.T @ (inside.gain - inside.gain.mean()))
    return gains


def nearest_neighbours(inside: Outcomes, outside: Outcomes) -> Gains:
    """Mean gain of the nearest questions."""
    similar = outside.vectors @ inside.vectors.T
    nearest = np.argpartition(-similar, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    means: Gains = inside.gain[nearest].mean(axis=1)
    return means


def measured(inside: Outcomes, outside: Outcomes, embedder: str) -> dict[str, RankingQuality]:
    """Every estimate, fitted on ``inside``, on ``outside``."""
    weights = fit(inside, embedder)
    ours = {
        name: np.array([e.gain for e in estimates(weights, outside, embedded=embedded)])
        for name, embedded in (("ours, text alone", False), ("ours, with embedding", True))
    }
    gains: dict[str, Gains] = {
        "random": np.zeros(len(outside)),
        f"{NEIGHBOURS} nearest neighbours, gain": nearest_neighbours(inside, outside),
        "ridge on the embedding, gain": ridge_on_embedding(inside, outside),
        **ours,
        "oracle": outside.gain,
    }
    return {
        name: ranking_quality(gain, outside.weak_right, outside.strong_right)
        for name, gain in gains.items()
    }


def milliseconds(outcomes: Outcomes) -> tuple[float, float]:
    """Median and 99th percentile of one estimate with the shipped weights, features known."""
    classifier = Classifier(shipped_weights().facts.embedder)
    rows = list(zip(outcomes.features, outcomes.questions, outcomes.vectors, strict=True))[:TIMED]
    spent = []
    for row in rows:
        started = time.perf_counter()
        classifier.estimate(*row)
        spent.append(1000.0 * (time.perf_counter() - started))
    return float(np.median(spent)), float(np.quantile(spent, 0.99))


def main() -> int:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=2, help="times the data are halved")
    repeats = arguments.parse_args().repeats
    console = Console(highlight=False, soft_wrap=True)
    if not data_file().is_file():
        console.print("skipped: the routing outcomes are not here; set HYBRID_AI_DATA")
        return 0
    outcomes, embedder = load_outcomes(data_file())
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for seed in range(repeats):
        for first, second in folds(len(outcomes), 2, seed):
            for name, quality in measured(
                outcomes.take(first), outcomes.take(second), embedder
            ).items():
                rows[name].append(astuple(quality))
    table = Table(
        "estimate",
        *("APGR", "CPT(50 %)", "CPT(80 %)", "accuracy kept at 70 % local"),
        title=f"{len(outcomes)} questions, fitted on one half, tested on the other, "
        f"{2 * repeats} times",
    )
    for name, values in rows.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True)]
        table.add_row(name, *cells)
    console.print(table)
    median, tail = milliseconds(outcomes)
    console.print(f"one estimate, features known: median {median:.3f} ms, p99 {tail:.3f} ms")
    console.print("the shipped weights' certificate, for questions of this kind:")
    for line in shipped_weights().facts.certificate:
        console.print(f"  {line}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
