"""Whether learning from outcomes ranks the right item higher than plain retrieval does.

    python -m tests.benchmarks.learning_retrieval [--sweep]    (from the repository's root)

Replays judged question pairs (``learning_replay``) against the real store, search and evidence.
Questions that teach are asked, answered from the first item found, and what became of it is
counted; then other questions are measured, which nothing was learnt from. ``--sweep`` tries other
weights of an item's record, with good and with random outcomes. Skips where the data is absent.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from coordinator.scripts.pair_vectors import data_file, vectors_of
from rich.console import Console
from rich.table import Table

from hybrid_coordinator.cache.pair_data import load
from hybrid_coordinator.knowledge.store import Vector
from tests.benchmarks.learning_rankings import Ranks, interval, replaying, weighted
from tests.benchmarks.learning_replay import Stream, confusable, groups, loners, two_answers

_SEED = 11
_OTHERS = 1_500
_PASSES = (1, 4)
"""After how many times that every teaching question was asked the measured ones are."""
_NOISE = 0.1
"""Share of outcomes of which the opposite is said."""
_WEIGHTS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.2)


class Embedded:
    """Unit vectors of questions, each embedded once."""

    def __init__(self) -> None:
        self.vectors: dict[str, Vector] = {}

    def __call__(self, questions: Sequence[str]) -> npt.NDArray[np.float32]:
        """A row a question."""
        missing = sorted(set(questions) - self.vectors.keys())
        if missing:
            self.vectors |= dict(zip(missing, vectors_of(missing)[0], strict=True))
        return np.stack([self.vectors[question] for question in questions])


def streams(path: Path) -> tuple[list[Stream], dict[str, Vector]]:
    """The two streams, and the vectors of their questions."""
    pairs = load(path)
    members, alone, embedded = groups(pairs, _SEED), loners(pairs, _SEED), Embedded()
    others = alone[:_OTHERS]
    found = [
        two_answers(members, others),
        confusable(members, pairs, alone, others, embedded),
    ]
    embedded([q for stream in found for q in stream.questions()])
    return found, embedded.vectors


async def compare(stream: Stream, vectors: Mapping[str, Vector], table: Table) -> None:
    """Plain retrieval against what was learnt, for prompts of one item and of three."""
    async with replaying(stream, vectors) as replay:
        plain = await replay.measure()
        table.add_row(stream.name, "nothing", "", *_cells(plain))
        for prompt in (1, 3):
            taught = 0
            for number in range(1, max(_PASSES) + 1):
                taught += await replay.teach(prompt, _NOISE)
                if number in _PASSES:
                    ranks = await replay.measure()
                    what = f"{taught:,} outcomes, prompts of {prompt}"
                    table.add_row("", what, _gain(plain, ranks), *_cells(ranks))
            await replay.forget()


async def retire(stream: Stream, vectors: Mapping[str, Vector], table: Table) -> None:
    """What is retired after the last pass, and whether it is found after that."""
    async with replaying(stream, vectors) as replay:
        plain = await replay.measure()
        for prompt in (1, 3):
            for _ in range(max(_PASSES)):
                await replay.teach(prompt, _NOISE, retiring=True)
            ranks, retired = await replay.measure(), await replay.retired()
            table.add_row(
                stream.name if prompt == 1 else "",
                f"{prompt}",
                f"{retired.wrong} of {len(stream.cases)}",
                f"{retired.right}",
                f"{len(retired.ids) - retired.wrong - retired.right}",
                f"{retired.shown(plain):,} / {retired.shown(ranks):,}",
                _gain(plain, ranks),
            )
            await replay.forget()


async def sweep(stream: Stream, vectors: Mapping[str, Vector], console: Console) -> None:
    """The gain in MRR by weight of the record, for outcomes that mean something and that do not."""
    table = Table(
        "weight", "outcomes 10 % wrong", "30 % wrong", "random", title=f"weights: {stream.name}"
    )
    async with replaying(stream, vectors) as replay:
        plain = await replay.measure()
        for weight in _WEIGHTS:
            cells = []
            with weighted(weight):
                for noise in (0.1, 0.3, 0.5):
                    for _ in range(max(_PASSES)):
                        await replay.teach(1, noise)
                    cells.append(_gain(plain, await replay.measure()))
                    await replay.forget()
            table.add_row(f"{weight:g}", *cells)
    console.print(table)


def run(console: Console, *, sweeping: bool = False) -> None:
    """Print the tables, or why there are none."""
    path = data_file()
    if not path.is_file():
        console.print(f"learning skipped: {path} is not there; set HYBRID_AI_DATA to its folder")
        return
    started = time.perf_counter()
    console.print("  learning from outcomes: embedding the questions", style="dim")
    found, vectors = streams(path)
    table = Table(title="learning from outcomes: the right item among those found")
    for column in ("stream", "learnt from", "gain in MRR (95 %)", "MRR", "first", "nDCG"):
        table.add_column(column, justify="left" if column in ("stream", "learnt from") else "right")
    for stream in found:
        console.print(f"  learning from outcomes: {stream.name}", style="dim")
        asyncio.run(compare(stream, vectors, table))
    console.print(table)
    table = Table(title="retired after the same outcomes: items that harmed more than they helped")
    table.add_column("stream")
    for column in ("prompts of", "wrong", "right", "others", "found before / after", "gain in MRR"):
        table.add_column(column, justify="right")
    for stream in found:
        console.print(f"  learning from outcomes: {stream.name}, retiring", style="dim")
        asyncio.run(retire(stream, vectors, table))
    console.print(table)
    for stream in found:
        console.print(
            f"{stream.name}: {len(stream.cases)} cases, "
            f"{sum(len(c.taught) for c in stream.cases)} questions that teach, "
            f"{sum(len(c.measured) for c in stream.cases)} that are measured"
        )
    console.print(f"took {time.perf_counter() - started:.0f} s", style="dim")
    if sweeping:
        for stream in found:
            asyncio.run(sweep(stream, vectors, console))


def main() -> int:
    """Measure, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="try other weights as well")
    run(Console(highlight=False, width=140), sweeping=parser.parse_args().sweep)
    return 0


def _gain(before: Ranks, after: Ranks) -> str:
    return "{:+.3f} ({:+.3f} … {:+.3f})".format(*interval(before, after))


def _cells(ranks: Ranks) -> tuple[str, str, str]:
    return f"{ranks.reciprocal.mean():.3f}", f"{ranks.first:.1%}", f"{ranks.ndcg:.3f}"


if __name__ == "__main__":
    sys.exit(main())
