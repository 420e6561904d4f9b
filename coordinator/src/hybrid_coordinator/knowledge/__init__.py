"""Knowledge: what is stored, how it is found, and how it gets into a prompt.

The door is ``Knowledge``; ``open_store`` chooses the store that the settings
ask for. Not here: caching answers, choosing models, reading repositories
(``ingest``).
"""

from hybrid_coordinator.knowledge.base import Knowledge
from hybrid_coordinator.knowledge.collections import SHARED
from hybrid_coordinator.knowledge.embedder_files import Identity, identify
from hybrid_coordinator.knowledge.embedding import Embedder, FastembedEmbedder
from hybrid_coordinator.knowledge.inspection import ServerReport, inspect_server
from hybrid_coordinator.knowledge.opening import open_store
from hybrid_coordinator.knowledge.packing import (
    Context,
    augment_messages,
    augment_native,
    native_with_system_text,
    with_system_text,
)
from hybrid_coordinator.knowledge.reindex import reindex
from hybrid_coordinator.knowledge.retrieval import Hit, Retrieved
from hybrid_coordinator.knowledge.sparse import SparseEncoder
from hybrid_coordinator.knowledge.store import CollectionReport, KnowledgeStore
from hybrid_coordinator.knowledge.writing import NewItem

__all__ = [
    "SHARED",
    "CollectionReport",
    "Context",
    "Embedder",
    "FastembedEmbedder",
    "Hit",
    "Identity",
    "Knowledge",
    "KnowledgeStore",
    "NewItem",
    "Retrieved",
    "ServerReport",
    "SparseEncoder",
    "augment_messages",
    "augment_native",
    "identify",
    "inspect_server",
    "native_with_system_text",
    "open_store",
    "reindex",
    "with_system_text",
]
