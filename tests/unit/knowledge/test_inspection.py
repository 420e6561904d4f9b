"""What is known of an embedder without loading it, and a store that looking at it opens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_coordinator.knowledge import (
    FastembedEmbedder,
    Identity,
    Knowledge,
    SparseEncoder,
    identify,
)
from hybrid_coordinator.knowledge.embedder_files import PATH_VARIABLE
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.settings import Collection, EmbedderSettings, RetrievalSettings
from hybrid_coordinator.telemetry import Metrics


@pytest.fixture(autouse=True)
def _no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)


def test_the_bundled_embedder_is_identified_as_it_is_when_loaded(
    embedder: FastembedEmbedder,
) -> None:
    assert identify(EmbedderSettings()) == Identity(embedder.name, embedder.size)


def test_an_embedder_in_a_folder_has_the_folders_name_and_its_configs_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mini"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"hidden_size": 12}))
    assert identify(EmbedderSettings(model=str(folder))) == Identity("mini", 12)
    assert identify(EmbedderSettings(model="x", folder=folder)) == Identity("mini", 12)
    monkeypatch.setenv(PATH_VARIABLE, str(folder))
    assert identify(EmbedderSettings(model="x")) == Identity("mini", 12)
    bundled = identify(EmbedderSettings())
    assert bundled.name != "mini"
    assert bundled.size == 12


def test_what_the_files_do_not_tell_is_left_open(tmp_path: Path) -> None:
    assert identify(EmbedderSettings(model="BAAI/bge")) == Identity("BAAI/bge", None)
    gone = EmbedderSettings(model="x", folder=tmp_path / "gone")
    assert identify(gone) == Identity("gone", None)
    (tmp_path / "config.json").write_text("[1")
    assert identify(EmbedderSettings(model="x", folder=tmp_path)).size is None


async def test_a_store_that_came_later_than_the_coordinator_is_opened_when_it_is_looked_at(
    embedder: FastembedEmbedder,
) -> None:
    """Else its collections would be missed by every health check until the first question."""
    store = QdrantStore.local(None, embedder.size, embedder.name)

    async def unchanged(collection: Collection) -> None:
        raise AssertionError(collection)

    knowledge = Knowledge(
        store, embedder, SparseEncoder(), RetrievalSettings(), Metrics(), unchanged
    )
    try:
        report = await knowledge.status()
    finally:
        await knowledge.aclose()
    assert [found.problem for found in report.values()] == [None] * len(Collection)
