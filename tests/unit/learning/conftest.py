"""What several tests of learning need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.settings import EmbedderSettings


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastembedEmbedder]:
    """The bundled embedder, loaded once; its thread serves any event loop."""
    pytest.importorskip("fastembed", reason="the extra 'embeddings' is not installed")
    made = FastembedEmbedder(EmbedderSettings(), tmp_path_factory.mktemp("embedder"))
    asyncio.run(made.start())
    yield made
    asyncio.run(made.aclose())
