"""Train the router's weights and show what they are worth.

Reads ``routing.jsonl.gz`` from ``HYBRID_AI_DATA`` (default ``../shared/data``
beside the repository), embeds the prompts one by one with the bundled
embedder, as serving does (kept in the user's cache directory), estimates
quality and the certificate on questions that the respective model did not
see, fits the weights to all of them and writes ``routing/weights.npz``.
On one machine the result is the same each time. The data's labels ``subject``
and ``source`` are not read.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.routing import experts
from hybrid_coordinator.routing.certificate import certify
from hybrid_coordinator.routing.evaluation import calibration_error, ranking_quality
from hybrid_coordinator.routing.experts import Weights
from hybrid_coordinator.routing.features import FloatArray
from hybrid_coordinator.routing.fitting import Outcomes, estimates, fit, folds
from hybrid_coordinator.settings import EmbedderSettings

FloatArray64 = npt.NDArray[np.float64]

OUTER_FOLDS = 5
console = Console(highlight=False, soft_wrap=True)

WEIGHTS = Path(experts.__file__).with_name(experts.WEIGHTS_FILE)


def data_file() -> Path:
    """Where the outcomes are, if they are anywhere."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("HYBRID_AI_DATA", default)) / "routing.jsonl.gz"


def load_outcomes(path: Path) -> tuple[Outcomes, str]:
    """The outcomes in ``path``, embedded, and the embedder's name."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    prompts = [str(row["prompt"]) for row in rows]
    vectors, embedder = asyncio.run(_embed(prompts))
    weak = np.array([row["weak_correct"] for row in rows], dtype=np.bool_)
    strong = np.array([row["strong_correct"] for row in rows], dtype=np.bool_)
    return Outcomes.of(prompts, vectors, weak, strong), embedder


async def _embed(prompts: list[str]) -> tuple[FloatArray, str]:
    """A vector a prompt; kept under a digest of the prompts and of the embedder's answer to one."""
    with tempfile.TemporaryDirectory() as state:
        embedder = FastembedEmbedder(EmbedderSettings(), Path(state))
        await embedder.start()
        try:
            probe = await embedder.embed_query(prompts[-1])
            digest = hashlib.blake2b(probe.tobytes(), digest_size=12)
            for prompt in prompts:
                digest.update(prompt.encode("utf-8", "surrogatepass") + b"\0")
            kept = _cache_directory() / f"routing-vectors-{digest.hexdigest()}.npy"
            if kept.is_file():
                return np.load(kept, allow_pickle=False), embedder.name
            vectors = np.stack([await embedder.embed_query(prompt) for prompt in prompts])
        finally:
            await embedder.aclose()
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
    partial.replace(kept)
    return vectors, embedder.name


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base) / "hybrid-ai"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Confidence and gain of every question, by weights that were fitted without it."""

    confidence: FloatArray64
    gain: FloatArray64


def cross_validate(outcomes: Outcomes, embedder: str, *, seed: int) -> tuple[HeldOut, HeldOut]:
    """Held-out estimates with the embedding, and by the text alone.

    Each outer fold fits and calibrates (on inner folds) anew, so nothing of
    the held-out questions is in their own estimates.
    """
    said = tuple(HeldOut(np.zeros(len(outcomes)), np.zeros(len(outcomes))) for _ in range(2))
    for inside, outside in folds(len(outcomes), OUTER_FOLDS, seed):
        weights = fit(outcomes.take(inside), embedder, seed=seed)
        for held_out, embedded in zip(said, (True, False), strict=True):
            values = estimates(weights, outcomes.take(outside), embedded=embedded)
            held_out.confidence[outside] = [estimate.confidence for estimate in values]
            held_out.gain[outside] = [estimate.gain for estimate in values]
    return said[0], said[1]


def report(outcomes: Outcomes, runs: Sequence[HeldOut]) -> None:
    """Print mean and standard deviation over repeated cross-validations."""
    weak, strong = outcomes.weak_right, outcomes.strong_right
    rows = [
        [
            *astuple(ranking_quality(run.gain, weak, strong)),
            ranking_quality(-run.confidence, weak, strong).apgr,
            calibration_error(1.0 - run.confidence, outcomes.regret),
        ]
        for run in runs
    ]
    names = ("APGR", "CPT(50 %)", "CPT(80 %)", "kept at 70 % local", "APGR by confidence", "ECE")
    for name, mean, spread in zip(names, np.mean(rows, axis=0), np.std(rows, axis=0), strict=True):
        console.print(f"  {name:20s} {mean:.4f} ± {spread:.4f}")


def main() -> int:
    """Cross-validate, certify, fit, write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=3, help="cross-validations to average")
    arguments.add_argument("--output", type=Path, default=WEIGHTS)
    chosen = arguments.parse_args()
    path = data_file()
    if not path.is_file():
        console.print("skipped: the outcomes are not here; set HYBRID_AI_DATA")
        return 0
    outcomes, embedder = load_outcomes(path)
    console.print(
        f"{len(outcomes)} questions, embedded by {embedder}; {OUTER_FOLDS}-fold "
        f"cross-validation, {chosen.repeats} times:"
    )
    runs = [cross_validate(outcomes, embedder, seed=seed) for seed in range(chosen.repeats)]
    console.print("text and embedding:")
    report(outcomes, [run[0] for run in runs])
    console.print("text alone:")
    report(outcomes, [run[1] for run in runs])
    confidence = runs[0][0].confidence
    table = certify(confidence, outcomes.weak_right, outcomes.strong_right)
    for line in table:
        console.print(f"  {line}")
    content: bytes = fit(outcomes, embedder, certificate=table).to_bytes()
    Weights.from_bytes(content)
    chosen.output.write_bytes(content)
    console.print(f"{len(content) / 1024:.0f} KiB written to {chosen.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
