"""The embedded stores as people meet them: killed in the middle, growing, with the real model.

A Qdrant server's turn is in ``test_knowledge_server``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

from hybrid_coordinator.knowledge import (
    FastembedEmbedder,
    Knowledge,
    NewItem,
    SparseEncoder,
    augment_messages,
    open_store,
)
from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.edge_filter import edge_installed
from hybrid_coordinator.knowledge.store import Point, SparseVector
from hybrid_coordinator.settings import (
    Collection,
    EmbedderSettings,
    QdrantSettings,
    RetrievalSettings,
)
from hybrid_coordinator.telemetry.metrics import Metrics

SIZE = 8
SKILLS = Collection.SKILLS_PATTERNS

needs_edge = pytest.mark.skipif(
    not edge_installed(), reason="the extra 'embedded' (qdrant-edge-py) is not installed"
)

WRITER = """
import asyncio, sys
from pathlib import Path
import numpy as np
from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.store import Point, SparseVector
from hybrid_coordinator.settings import Collection
import uuid

async def main():
    store = EdgeStore(Path(sys.argv[1]), 8, "test")
    await store.init()
    vector = np.zeros(8, dtype=np.float32); vector[0] = 1
    for n in range(100_000):
        point = Point(str(uuid.UUID(int=n)), vector, SparseVector((1,), (1.0,)), {"caller": ""})
        await store.upsert(Collection.SKILLS_PATTERNS, [point])
        print(n, flush=True)

asyncio.run(main())
"""


def unit(*values: float) -> np.ndarray:
    vector = np.zeros(SIZE, dtype=np.float32)
    vector[: len(values)] = values
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@needs_edge
async def test_every_confirmed_write_survives_kill_9(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "store")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert writer.stdout is not None
    confirmed = -1
    for line in writer.stdout:
        confirmed = int(line)
        if confirmed == 150:
            writer.kill()
    writer.wait()
    store = EdgeStore(tmp_path / "store", SIZE, "test")
    await store.init()
    present = await store.count(SKILLS)
    assert present in (confirmed + 1, confirmed + 2), "the last one may not have been confirmed"
    hits = await store.query(SKILLS, unit(1), SparseVector((1,), (1.0,)), 3)
    assert hits[0].cosine == pytest.approx(1.0, abs=1e-3)
    await store.upsert(SKILLS, [Point(str(uuid.uuid4()), unit(0, 1), SparseVector(), {})])
    assert await store.count(SKILLS) == present + 1
    await store.aclose()


@needs_edge
async def test_a_growing_collection_is_optimised_by_itself_while_it_answers(
    tmp_path: Path,
) -> None:
    store = EdgeStore(tmp_path, SIZE, "test", flush_seconds=0.05)
    await store.init()
    random = np.random.default_rng(1)
    points = [
        Point(
            str(uuid.UUID(int=n)), unit(*random.normal(size=SIZE)), SparseVector(), {"caller": ""}
        )
        for n in range(4500)
    ]
    await store.upsert(SKILLS, points)
    optimised = tmp_path / SKILLS / "generation-000002"
    removed = tmp_path / SKILLS / "generation-000001"
    async with asyncio.timeout(120):
        while removed.exists() or not optimised.exists():
            assert await store.query(SKILLS, points[7].dense, SparseVector(), 1)
            await asyncio.sleep(0.05)
    assert await store.count(SKILLS) == 4500
    found = [
        (await store.query(SKILLS, point.dense, SparseVector(), 1))[0].id == point.id
        for point in points[::100]
    ]
    assert sum(found) >= 0.95 * len(found)
    await store.aclose()


async def test_a_question_gets_the_right_item_into_its_prompt(tmp_path: Path) -> None:
    """The whole room with its defaults: model, store, search, packing, augmenting."""
    embedder = FastembedEmbedder(EmbedderSettings(), tmp_path)
    await embedder.start()
    store = open_store(QdrantSettings(), tmp_path, embedder.size, embedder.name)
    metrics = Metrics()
    knowledge = Knowledge(store, embedder, SparseEncoder(), RetrievalSettings(), metrics)
    await knowledge.start()
    code = (
        "def backoff(attempt: int, base: float = 0.2) -> float:\n"
        "    return random.uniform(0, base * 2**attempt)"
    )
    ids = await knowledge.add(
        Collection.CODEBASE_CONTEXT,
        [
            NewItem({"file_path": "net/retry.py", "code_snippet": code, "language": "python"}),
            NewItem({"file_path": "ui/theme.css", "code_snippet": "body { color: #333; }"}),
        ],
        "",
    )
    await knowledge.add(
        Collection.ERROR_SOLUTIONS,
        [NewItem({"error_message": "E0502 cannot borrow as mutable", "solution": "Clone it."})],
        "",
    )
    question = "Where is the retry delay computed?"
    found = await knowledge.search(question, await embedder.embed_query(question), "anna")
    assert [hit.id for hit in found.hits] == [ids[0]]
    context = knowledge.pack(found.hits)
    body = {"messages": [{"role": "user", "content": question}]}
    (system, user) = augment_messages(body, context)["messages"]
    assert "random.uniform" in system["content"]
    assert ids[0] in system["content"]
    assert user == body["messages"][0]
    errors = await knowledge.search("what does E0502 mean?", None, "anna")
    assert [hit.collection for hit in errors.hits] == [Collection.ERROR_SOLUTIONS]
    status = await knowledge.status()
    assert {c: r.points for c, r in status.items() if r.points} == {
        Collection.CODEBASE_CONTEXT: 2,
        Collection.ERROR_SOLUTIONS: 1,
    }
    assert (
        metrics.registry.get_sample_value("hybrid_step_seconds_count", {"step": "retrieval"}) == 2
    )
    await knowledge.aclose()
    await embedder.aclose()
