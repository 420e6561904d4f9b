"""Which store the settings ask for: a server, the embedded engine, or qdrant-client's local mode.

The only place of the room that knows every store.
"""

from __future__ import annotations

import logging
from pathlib import Path

from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.edge_filter import edge_installed
from hybrid_coordinator.knowledge.store import KnowledgeStore
from hybrid_coordinator.settings import QdrantSettings

_log = logging.getLogger(__name__)


def open_store(
    settings: QdrantSettings,
    state_directory: Path,
    size: int,
    embedder: str,
    *,
    api_key: str | None = None,
) -> KnowledgeStore:
    """A store for vectors of ``size`` by the embedder of that name; ``init`` opens it.

    ``api_key`` is the content of ``settings.api_key_file``, which the caller
    reads.
    """
    folder = state_directory.expanduser() / "knowledge"
    if settings.url is None and edge_installed():
        return EdgeStore(folder / "edge", size, embedder)
    # Here and not above: qdrant-client takes one to two seconds to import, which the embedded
    # default need not wait for.
    from hybrid_coordinator.knowledge.qdrant import QdrantStore

    if settings.url is not None:
        return QdrantStore.server(
            settings.url, size, embedder, api_key=api_key, timeout=settings.timeout
        )
    _log.warning(
        "The extra 'embedded' is not installed: knowledge is kept by qdrant-client's local mode, "
        "which is slow beyond some thousand items. Install it, or set qdrant.url."
    )
    return QdrantStore.local(folder / "local", size, embedder)
