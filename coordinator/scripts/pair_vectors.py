"""Vectors of the judged questions by the bundled embedder, kept in the user's cache directory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.cache.pair_data import FILE_NAME
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.settings import EmbedderSettings


def data_file() -> Path:
    """Where the judged pairs are, if they are anywhere (``HYBRID_AI_DATA``, or beside us)."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("HYBRID_AI_DATA", default)) / FILE_NAME


def vectors_of(questions: Sequence[str]) -> tuple[npt.NDArray[np.float32], str]:
    """A unit vector a question (n × size), and the embedder's name."""
    return asyncio.run(_embed(list(questions)))


async def _embed(questions: list[str]) -> tuple[npt.NDArray[np.float32], str]:
    with tempfile.TemporaryDirectory() as state:
        embedder = FastembedEmbedder(EmbedderSettings(), Path(state))
        await embedder.start()
        try:
            probe = np.round(await embedder.embed_query(questions[0]), 4) + 0.0
            digest = hashlib.blake2b(probe.tobytes(), digest_size=12)
            for question in questions:
                digest.update(question.encode("utf-8", "surrogatepass") + b"\0")
            kept = _cache_directory() / f"pair-vectors-{digest.hexdigest()}.npy"
            if kept.is_file():
                return np.load(kept, allow_pickle=False), embedder.name
            vectors = await embedder.embed_documents(questions)
        finally:
            await embedder.aclose()
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
    partial.replace(kept)
    return vectors, embedder.name


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hybrid-ai"
