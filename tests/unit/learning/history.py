"""A real knowledge room with interactions in it, for the tests of learning. No tests here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.knowledge import Knowledge, KnowledgeStore, NewItem, SparseEncoder
from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.settings import Collection, RetrievalSettings
from hybrid_coordinator.telemetry.metrics import Metrics

HISTORY = Collection.INTERACTION_HISTORY


@dataclass
class KnowledgeRoom:
    """``Knowledge`` over a real store, and the collections whose change it announced."""

    knowledge: Knowledge
    metrics: Metrics
    changed: list[Collection] = field(default_factory=list)

    @classmethod
    async def open(
        cls,
        embedder: FastembedEmbedder,
        around: Callable[[KnowledgeStore], KnowledgeStore] = lambda store: store,
        settings: RetrievalSettings | None = None,
        folder: Path | None = None,
    ) -> Self:
        """Make one; ``around`` may put something around its store.

        With a ``folder`` the embedded engine keeps it there.
        """
        metrics = Metrics()
        changed: list[Collection] = []

        async def on_change(collection: Collection) -> None:
            changed.append(collection)

        knowledge = Knowledge(
            around(
                QdrantStore.local(None, embedder.size, embedder.name)
                if folder is None
                else EdgeStore(folder, embedder.size, embedder.name)
            ),
            embedder,
            SparseEncoder(),
            settings or RetrievalSettings(),
            metrics,
            on_change,
            now=lambda: 1_700_000_000.0,
        )
        await knowledge.start()
        return cls(knowledge, metrics, changed)

    async def ask(
        self,
        question: str,
        caller: str = "anna",
        timestamp: float = 0.0,
        context: Sequence[str] = (),
        outcome: str = "unknown",
        **more: Any,
    ) -> str:
        """Store an interaction; returns its id."""
        payload = {
            "query": question,
            "response": "Like this.",
            "timestamp": timestamp,
            "context_provided": list(context),
            "context_first": context[0] if context else "",
            "outcome": outcome,
            **more,
        }
        new = NewItem(payload, id=str(uuid.uuid4()))
        (id_,) = await self.knowledge.add(HISTORY, [new], caller, announce=False)
        return id_

    async def payload(self, collection: Collection, id_: str) -> Json:
        """What is stored of one item."""
        store = await self.knowledge.opened()
        (point,) = await store.get(collection, [id_])
        return point.payload
