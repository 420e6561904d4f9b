"""Derive the bundled embedder's retrieval thresholds, and show what they let through.

Prints the ``Calibration`` that ``knowledge/embedding.py`` holds as a constant.
Reads the question pairs of ``HYBRID_AI_DATA`` (default ``../shared/data``
beside the repository) and the hand-written pairs of ``knowledge/probes.py``.
Run it again when the bundled model changes.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

from hybrid_coordinator.knowledge.calibration import Sample, derive
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.probes import CODE, PROSE
from hybrid_coordinator.settings import EmbedderSettings

PAIRS = 1500


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def question_pairs() -> list[tuple[str, str, bool]] | None:
    """A fixed sample of the judged question pairs; ``None`` where they are absent."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("HYBRID_AI_DATA", default)) / "duplicate-questions.jsonl.gz"
    if not path.is_file():
        return None
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    random.Random(7).shuffle(rows)
    return [(row["a"], row["b"], row["same"]) for row in rows[:PAIRS]]


async def main() -> int:
    """Embed, derive, print."""
    pairs = question_pairs()
    if pairs is None:
        say("skipped: the question pairs are not here; set HYBRID_AI_DATA")
        return 0
    with tempfile.TemporaryDirectory() as state:
        embedder = FastembedEmbedder(EmbedderSettings(), Path(state))
        await embedder.start()
        a = await embedder.embed_documents([pair[0] for pair in pairs])
        b = await embedder.embed_documents([pair[1] for pair in pairs])
        prose = [await embedder.embed_documents([pair[i] for pair in PROSE]) for i in (0, 1)]
        code = [await embedder.embed_documents([pair[i] for pair in CODE]) for i in (0, 1)]
        await embedder.aclose()

    same = np.array([pair[2] for pair in pairs])
    together = np.sum(a * b, axis=1)
    apart = (a @ b.T)[~np.eye(len(pairs), dtype=bool)]
    prose_grid, code_grid = prose[0] @ prose[1].T, code[0] @ code[1].T
    prose_apart = prose_grid[~np.eye(len(PROSE), dtype=bool)]
    code_apart = np.concatenate(
        [code_grid[~np.eye(len(CODE), dtype=bool)], (prose[0] @ code[1].T).ravel()]
    )
    for name, values in {
        "questions, the same": together[same],
        "questions, near but not the same": together[~same],
        "questions at random": apart,
        "question and its text": np.diag(prose_grid),
        "question and another's text": prose_apart,
        "question and its code": np.diag(code_grid),
        "question and another's code": code_apart,
    }.items():
        quantiles = np.quantile(values, [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999])
        shown = " ".join(f"{value:6.3f}" for value in quantiles)
        say(f"{name:34} n={values.size:8} mean {values.mean():6.3f} sd {values.std():.3f} {shown}")

    found = derive(
        Sample(np.diag(prose_grid), np.concatenate([apart, prose_apart])),
        Sample(np.diag(code_grid), code_apart),
        origin=f"{len(pairs):,} judged question pairs and {len(PROSE) + len(CODE)} of our own",
    )
    every_prose = np.concatenate([apart, prose_apart])
    say(str(found))
    say(f"unrelated over the prose floor: {np.mean(every_prose >= found.prose):.4f}")
    say(f"unrelated over the code floor: {np.mean(code_apart >= found.code):.4f}")
    say(f"related texts over the floor: {np.mean(np.diag(prose_grid) >= found.prose):.3f}")
    say(f"related code over the floor: {np.mean(np.diag(code_grid) >= found.code):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
