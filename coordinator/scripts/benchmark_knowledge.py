"""How long retrieval and packing take at a given number of stored items, per store.

Fills four collections with synthetic items (clustered vectors, text of some
150 words), then times what a request pays apart from the question's
embedding: search over all four, and packing. Prints one line a state.

    python scripts/benchmark_knowledge.py edge 10000
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from hybrid_coordinator.knowledge.calibration import Calibration
from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.packing import pack
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.retrieval import Retriever
from hybrid_coordinator.knowledge.store import KnowledgeStore, Point, SparseVector, Vector
from hybrid_coordinator.settings import Collection, RetrievalSettings
from hybrid_coordinator.telemetry.metrics import Metrics

SIZE = 384
REQUESTS = 200
TERMS = 40_000


class Items:
    """Vectors like an embedder's (clustered, of some 40 effective dimensions) and items of them."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(5)
        self._spread = self._random.normal(size=(40, SIZE))
        self._topics = self._random.normal(size=(300, 40))

    def vectors(self, count: int) -> list[Vector]:
        """Vectors of length 1."""
        topics = self._topics[self._random.integers(0, len(self._topics), count)]
        raw = (topics + 0.6 * self._random.normal(size=(count, 40))) @ self._spread
        raw += self._random.normal(size=raw.shape)
        return list((raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32))

    def words(self, count: int) -> SparseVector:
        """Terms drawn by Zipf's law."""
        terms = np.unique(self._random.zipf(1.3, size=count) % TERMS)
        return SparseVector(tuple(int(t) for t in terms), (1.0,) * len(terms))

    def points(self, collection: Collection, start: int, count: int) -> list[Point]:
        """Items of a collection."""
        made = []
        for number, vector in enumerate(self.vectors(count), start):
            text = " ".join(f"word{(number * 31 + n * n) % 9973}" for n in range(150))
            content = {
                Collection.CODEBASE_CONTEXT: {"file_path": f"f{number}.py", "code_snippet": text},
                Collection.SKILLS_PATTERNS: {"skill_name": f"s{number}", "description": text},
                Collection.ERROR_SOLUTIONS: {"error_message": f"e{number}", "solution": text},
                Collection.BEST_PRACTICES: {"title": f"b{number}", "description": text},
            }[collection]
            payload = {"caller": "", "tokens": 200, "content_hash": str(number), **content}
            made.append(Point(str(uuid.UUID(int=number)), vector, self.words(60), payload))
        return made


async def measure(store: KnowledgeStore, items: Items, state: str) -> None:
    """Time requests one after another and print the percentiles."""
    retriever = Retriever(store, Calibration(0.3, 0.2, 0.0, "benchmark"), Metrics())
    limits = RetrievalSettings().limits
    searched, packed, found = [], [], 0
    for vector in items.vectors(REQUESTS):
        words = items.words(8)
        started = time.perf_counter()
        result = await retriever.search(vector, words, "anna", limits, timeout=30.0)
        between = time.perf_counter()
        pack(result.hits, 1500, lambda text: len(text) // 4)
        packed.append(time.perf_counter() - between)
        searched.append(between - started)
        found += len(result.hits)
    cuts = statistics.quantiles(searched, n=20)
    say(
        f"{state:32} search p50 {cuts[9] * 1e3:6.2f} ms  p95 {cuts[18] * 1e3:6.2f} ms  "
        f"min {min(searched) * 1e3:6.2f} ms  pack p50 {statistics.median(packed) * 1e3:5.2f} ms  "
        f"{found / REQUESTS:.1f} items"
    )


async def main(kind: str, total: int) -> None:
    """Fill a store, measure, and for the embedded engine optimise and measure again."""
    items = Items()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        store: EdgeStore | QdrantStore
        if kind == "edge":
            store = EdgeStore(path, SIZE, "benchmark", flush_seconds=1e9)
        elif kind == "local":
            store = QdrantStore.local(path, SIZE, "benchmark")
        else:
            store = QdrantStore.server(kind, SIZE, "benchmark", timeout=60.0)
        started = time.perf_counter()
        await store.init()
        say(f"open {time.perf_counter() - started:.2f} s")
        collections = [c for c in Collection if c is not Collection.INTERACTION_HISTORY]
        share, spent = total // len(collections), 0.0
        for collection in collections:
            for start in range(0, share, 500):
                points = items.points(collection, start, min(500, share - start))
                started = time.perf_counter()
                await store.upsert(collection, points)
                spent += time.perf_counter() - started
        say(f"{kind} {total} items: {share * len(collections) / spent:,.0f} items/s in")
        await measure(store, items, "as written")
        if isinstance(store, EdgeStore):
            started = time.perf_counter()
            for collection in collections:
                await store.optimise(collection)
            say(f"optimised in {time.perf_counter() - started:.1f} s")
            await measure(store, items, "optimised")
        await store.aclose()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
