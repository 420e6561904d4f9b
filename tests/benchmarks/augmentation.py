"""What finding and packing stored knowledge adds to a request, at several sizes of the store."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from hybrid_coordinator.knowledge import NewItem
from hybrid_coordinator.settings import Collection, EmbedderSettings, Settings
from hybrid_coordinator.stores import opened_stores
from hybrid_coordinator.telemetry import Metrics

_QUESTIONS = 200
_BATCH = 500


def run(console: Console, state: Path, sizes: tuple[int, ...]) -> None:
    """Print one row a size: inserting, then embedding and searching and packing."""
    table = Table(title="augmentation (embedded store, four collections searched)")
    for column in ("items", "stored per s", "embedding p50", "search p50", "p99", "packing p50"):
        table.add_column(column, justify="right")
    for size in sizes:
        console.print(f"  augmentation, {size:,} items", style="dim")
        table.add_row(*asyncio.run(_measure(Path(tempfile.mkdtemp(dir=state)), size)))
    console.print(table)


async def _measure(folder: Path, size: int) -> list[str]:
    settings = Settings(state_directory=folder, embedder=EmbedderSettings(memory=0))
    async with opened_stores(settings, Metrics()) as stores:
        knowledge, embedder = stores.knowledge, stores.embedder
        rate = await _fill(knowledge.add, size, embedder.size)
        times: dict[str, list[float]] = {"embedding": [], "search": [], "packing": []}
        for number in range(_QUESTIONS):
            question = f"How do I configure service {number % 40} on host {number}?"
            started = time.perf_counter()
            vector = await embedder.embed_query(question)
            embedded = time.perf_counter()
            found = await knowledge.search(question, vector, "")
            searched = time.perf_counter()
            knowledge.pack(found.hits)
            packed = time.perf_counter()
            times["embedding"].append(embedded - started)
            times["search"].append(searched - embedded)
            times["packing"].append(packed - searched)
    search = times["search"]
    return [
        f"{size:,}",
        f"{rate:,.0f}",
        _ms(statistics.median(times["embedding"])),
        _ms(statistics.median(search)),
        _ms(statistics.quantiles(search, n=100)[98]),
        _ms(statistics.median(times["packing"])),
    ]


async def _fill(add: object, size: int, dimensions: int) -> float:
    """Store ``size`` items with vectors of their own, so that the embedder is not measured."""
    assert callable(add)
    random = np.random.default_rng(1)
    started = time.perf_counter()
    for first in range(0, size, _BATCH):
        vectors = random.standard_normal((_BATCH, dimensions)).astype(np.float32)
        items = [
            NewItem(
                {
                    "file_path": f"project/module_{n % 97}/file_{n}.py",
                    "code_snippet": f"def handler_{n}(r):\n    return service_{n % 40}(r)",
                    "language": "python",
                },
                vector=vectors[n - first].tolist(),
            )
            for n in range(first, min(size, first + _BATCH))
        ]
        await add(Collection.CODEBASE_CONTEXT, items, "")
    return size / (time.perf_counter() - started)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
