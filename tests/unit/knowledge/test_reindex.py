"""Changing the embedder without losing what is stored."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from hybrid_coordinator.errors import CollectionMismatch, EmbeddingError
from hybrid_coordinator.knowledge import Knowledge, NewItem, SparseEncoder
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.reindex import reindex
from hybrid_coordinator.knowledge.store import KnowledgeStore
from hybrid_coordinator.settings import Collection, RetrievalSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.knowledge.conftest import make_store, needs_edge, point, unit

BEST = Collection.BEST_PRACTICES
TITLES = ["Undo a commit with git reset --soft", "Let bread dough rise", "Rotate certificates"]


@pytest.fixture(params=[pytest.param("edge", marks=needs_edge), "local", "server"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def filled(kind: str, place: Path | str) -> None:
    """Leave a store of a smaller embedder behind, with three items and one that is none."""
    old = make_store(kind, place)
    await old.init()
    points = [point(n, unit(n + 1, 1), title=title) for n, title in enumerate(TITLES)]
    await old.upsert(BEST, [*points, point(9, unit(1), nothing="known")])
    await old.aclose()


def opened(kind: str, place: Path | str, embedder: FastembedEmbedder) -> KnowledgeStore:
    return make_store(kind, place, embedder.size, embedder.name)


async def test_lesson_1_after_reindexing_everything_is_found_with_the_new_embedder(
    kind: str, place: Path | str, tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    await filled(kind, place)
    store = opened(kind, place, embedder)
    with pytest.raises(CollectionMismatch):
        await store.init()
    seen: list[tuple[Collection, int, int]] = []
    done = await reindex(
        store, embedder, SparseEncoder(), tmp_path, lambda *told: seen.append(told)
    )
    assert done[BEST] == 3
    assert seen == [(BEST, 4, 4)]
    assert list(tmp_path.iterdir()) == []
    knowledge = Knowledge(store, embedder, SparseEncoder(), RetrievalSettings(), Metrics())
    await knowledge.start()
    found = await knowledge.search("How do I undo my last commit?", None, "")
    assert [uuid.UUID(hit.id).int for hit in found.hits] == [0]
    assert found.hits[0].tokens > 0
    assert await reindex(store, embedder, SparseEncoder(), tmp_path) == {}
    await knowledge.aclose()


async def test_an_interrupted_run_loses_nothing_and_is_simply_run_again(
    kind: str, place: Path | str, tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    class Failing:
        """The embedder on the day it fails."""

        name, size, count_tokens = embedder.name, embedder.size, embedder.count_tokens

        async def embed_documents(self, texts: list[str]) -> None:
            raise EmbeddingError("no")

    await filled(kind, place)
    store = opened(kind, place, embedder)
    with pytest.raises(EmbeddingError):
        await reindex(store, Failing(), SparseEncoder(), tmp_path)  # type: ignore[arg-type]
    assert await store.count(BEST) == 0
    await store.aclose()
    store = opened(kind, place, embedder)
    done = await reindex(store, embedder, SparseEncoder(), tmp_path)
    assert done[BEST] == 3
    assert await store.count(BEST) == 3
    await store.aclose()


async def test_what_was_added_after_an_interrupted_run_stays(
    folder: Path, tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    """The file of the interrupted run comes back into collections that fit by now."""
    store = opened("local", folder, embedder)
    await store.init()
    knowledge = Knowledge(store, embedder, SparseEncoder(), RetrievalSettings(), Metrics())
    await knowledge.start()
    (newer,) = await knowledge.add(BEST, [NewItem({"title": "Newer"})], "")
    row = {"id": str(uuid.UUID(int=1)), "payload": {"title": "Older", "caller": ""}}
    (tmp_path / f"reindex-{BEST}.jsonl").write_text(json.dumps(row) + "\n")
    assert await reindex(store, embedder, SparseEncoder(), tmp_path) == {BEST: 1}
    stored = await store.get(BEST, [newer, str(row["id"])])
    assert sorted(p.payload["title"] for p in stored) == ["Newer", "Older"]
    assert list(tmp_path.iterdir()) == []
    await knowledge.aclose()
