"""Stores of every kind, and points to put into them, for the tests of knowledge."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.edge_files import copy_with_holes
from hybrid_coordinator.knowledge.edge_filter import edge_installed
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.store import KnowledgeStore, Point, SparseVector, Vector
from hybrid_coordinator.settings import EmbedderSettings
from tests.testbed.qdrant import QdrantServer

SIZE = 8
EMBEDDER = "test-embedder"

needs_edge = pytest.mark.skipif(
    not edge_installed(), reason="the extra 'embedded' (qdrant-edge-py) is not installed"
)


def make_store(
    kind: str, place: Path | str, size: int = SIZE, embedder: str = EMBEDDER
) -> KnowledgeStore:
    if isinstance(place, str):
        return QdrantStore.server(place, size, embedder, timeout=30)
    if kind == "edge":
        return EdgeStore(place, size, embedder)
    return QdrantStore.local(None if kind == "memory" else place, size, embedder)


@pytest.fixture(params=[pytest.param("edge", marks=needs_edge), "local", "memory", "server"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a store, in memory where that is possible: the engines sync a lot."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path / "store"
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="hybrid-ai-test-") as made:
        yield Path(made) / "store"


@pytest.fixture
def place(kind: str, folder: Path, request: pytest.FixtureRequest) -> Path | str:
    """Where a store of this kind keeps everything: a folder, or an empty server's address."""
    if kind != "server":
        return folder
    server: QdrantServer = request.getfixturevalue("qdrant")
    server.clear()
    return server.url


@pytest.fixture(scope="session")
def empty_edge_store() -> Iterator[Path | None]:
    """An embedded store just after its first start, to be copied: making one syncs the disk."""
    if not edge_installed():
        yield None
        return
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "store"

        async def start() -> None:
            store = EdgeStore(path, SIZE, EMBEDDER)
            await store.init()
            await store.aclose()

        asyncio.run(start())
        yield path


@pytest.fixture
async def store(
    kind: str, place: Path | str, empty_edge_store: Path | None
) -> AsyncIterator[KnowledgeStore]:
    if kind == "edge" and empty_edge_store is not None and isinstance(place, Path):
        copy_with_holes(empty_edge_store, place)
    made = make_store(kind, place)
    await made.init()
    yield made
    await made.aclose()


@pytest.fixture
def reopen(kind: str, place: Path | str) -> Callable[..., KnowledgeStore]:
    """Makes a store over the folder or server that ``store`` uses."""
    if kind == "memory":
        pytest.skip("a store in memory keeps nothing")
    return lambda **changed: make_store(kind, place, **changed)


def unit(*values: float) -> Vector:
    """A vector of length 1 whose first components are in the proportion of ``values``."""
    vector = np.zeros(SIZE, dtype=np.float32)
    vector[: len(values)] = values
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def point(
    number: int, dense: Vector, words: dict[int, float] | None = None, **payload: object
) -> Point:
    return Point(
        id=str(uuid.UUID(int=number)),
        dense=dense,
        sparse=SparseVector(tuple(words or {}), tuple((words or {}).values())),
        payload={"caller": "", **payload},
    )


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastembedEmbedder]:
    """The bundled embedder, loaded once; its thread serves any event loop."""
    pytest.importorskip("fastembed", reason="the extra 'embeddings' is not installed")
    made = FastembedEmbedder(EmbedderSettings(), tmp_path_factory.mktemp("embedder"))
    asyncio.run(made.start())
    yield made
    asyncio.run(made.aclose())
