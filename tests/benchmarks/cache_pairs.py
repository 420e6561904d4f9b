"""How many repeated questions the semantic cache answers, at how many wrong answers.

    python -m tests.benchmarks.cache_pairs        (from the repository's root)

Draws the whole curve on judged question pairs: ``a`` is the cached question, ``b`` is asked.
For similarity alone (a static threshold) and for the guard, on the pairs that the guard's
training left out; ``--all FILE`` takes every pair of another file. Skips where the data is absent.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from coordinator.scripts.pair_vectors import data_file, vectors_of
from rich.console import Console
from rich.table import Table

from hybrid_coordinator.cache.guard import Guard
from hybrid_coordinator.cache.pair_data import JudgedPair, load

ERRORS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
MAX_ERRORS = (0.002, 0.005, 0.01, 0.02, 0.05)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares for one way of deciding: hits of all asked, wrong of all asked."""

    hits: float
    wrong: float

    def cells(self) -> tuple[str, str, str]:
        """Hits, wrong of asked, wrong of hits, in per cent."""
        of_hits = self.wrong / self.hits if self.hits else 0.0
        return f"{self.hits:.1%}", f"{self.wrong:.2%}", f"{of_hits:.1%}"


def best_at(score: Floats, same: Flags, max_error: float) -> Outcome:
    """The most hits a threshold on ``score`` gives with at most ``max_error`` wrong of all asked.

    A score of −1 is always a miss. Equal scores are hits together.
    """
    order = np.argsort(-score, kind="stable")
    wrong = np.cumsum(~same[order])
    sorted_score = score[order]
    ends = np.append(sorted_score[1:] != sorted_score[:-1], True)
    allowed = ends & (wrong <= max_error * len(score)) & (sorted_score >= 0.0)
    if not allowed.any():
        return Outcome(0.0, 0.0)
    last = int(np.flatnonzero(allowed)[-1])
    return Outcome((last + 1) / len(score), float(wrong[last]) / len(score))


def area_under_curve(score: Floats, same: Flags) -> float:
    """AUC: the chance that a same pair scores above another; ties count half (Mann–Whitney)."""
    _, where, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[where]
    positives = int(same.sum())
    negatives = len(same) - positives
    return float((ranks[same].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def similarities(pairs: list[JudgedPair]) -> tuple[Floats, str]:
    """The cosine of each pair, and the embedder's name."""
    questions = sorted({q for p in pairs for q in (p.a, p.b)})
    vectors, embedder = vectors_of(questions)
    at = {q: i for i, q in enumerate(questions)}
    a, b = vectors[[at[p.a] for p in pairs]], vectors[[at[p.b] for p in pairs]]
    return np.einsum("ij,ij->i", a, b).astype(np.float64), embedder


def report(pairs: list[JudgedPair], console: Console) -> None:
    """Print the curves, what the guard's own bars do, and what a call takes."""
    same: Flags = np.array([p.same for p in pairs])
    similarity, embedder = similarities(pairs)
    console.print(f"{len(pairs)} pairs, {same.mean():.1%} the same, embedder {embedder}")
    curves: dict[str, Floats] = {"similarity alone": np.maximum(similarity, 0.0)}
    for name, judged_by in (("guard", embedder), ("guard, other embedder", "another")):
        guard = Guard(judged_by, 1.0)
        started = time.perf_counter()
        verdicts = [
            guard.examine(p.b, p.a, float(s)) for p, s in zip(pairs, similarity, strict=True)
        ]
        took = (time.perf_counter() - started) / len(pairs)
        probability = np.array([v.probability for v in verdicts])
        refused = np.array([v.rule is not None for v in verdicts])
        curves[name] = np.where(refused, -1.0, probability)
        console.print(
            f"{name}: {took * 1e6:.0f} µs a pair; AUC of the probability "
            f"{area_under_curve(probability, same):.3f}"
        )
    table = Table("wrong of asked ≤", *[f"{name}: hits / wrong of hits" for name in curves])
    for error in ERRORS:
        cells = [best_at(score, same, error).cells() for score in curves.values()]
        table.add_row(f"{error:.1%}", *[f"{hits} / {of_hits}" for hits, _, of_hits in cells])
    table.add_row(
        "AUC, refused last", *[f"{area_under_curve(s, same):.3f}" for s in curves.values()]
    )
    console.print(table)
    own = Table("max_error", "bar", "hits", "wrong of asked", "wrong of hits")
    for max_error in MAX_ERRORS:
        guard = Guard(embedder, max_error)
        hit = curves["guard"] >= guard.bar
        outcome = Outcome(float(hit.mean()), float((hit & ~same).mean()))
        own.add_row(f"{max_error:.1%}", f"{guard.bar:.3f}", *outcome.cells())
    console.print("What the guard does at its own bars:")
    console.print(own)


def main() -> int:
    """Measure, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, help="another file of pairs, all of which are used")
    arguments = parser.parse_args()
    path: Path = arguments.all or data_file()
    console = Console(highlight=False, width=140)
    if not path.is_file():
        console.print(f"skipped: {path} is not there; set HYBRID_AI_DATA to its folder")
        return 0
    pairs = load(path)
    report(pairs if arguments.all else [p for p in pairs if p.held_out], console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
