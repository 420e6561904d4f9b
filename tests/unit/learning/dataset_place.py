"""Stored interactions with vectors of the test's choosing, for the tests of training data."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_coordinator.conversation import LOOPBACK_CALLER
from hybrid_coordinator.knowledge.collections import Provenance, Record
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.store import KnowledgeStore, Point, SparseVector, Vector
from hybrid_coordinator.learning.dataset import DatasetWriter
from hybrid_coordinator.learning.records import DatasetRequest
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.events import Event
from hybrid_coordinator.telemetry.metrics import Metrics

HISTORY = Collection.INTERACTION_HISTORY
SIZE = 16
NAMES = (
    "dataset.jsonl",
    "dataset.validation.jsonl",
    "dataset.sharegpt.jsonl",
    "dataset.sharegpt.validation.jsonl",
    "preferences.jsonl",
    "preferences.validation.jsonl",
)
EMBEDDER = "test-embedder"


class Shouts:
    """Stands in for the scrubber: one word is a secret."""

    def scrub_value(self, value: Any) -> Any:
        return [text.replace("hunter2", "<secret>") for text in value]


@dataclass(frozen=True)
class Named:
    name: str = EMBEDDER


@dataclass
class Stored:
    """What the writer needs of ``Knowledge``, over a real store."""

    store: KnowledgeStore
    embedder: Named = field(default_factory=Named)

    async def opened(self) -> KnowledgeStore:
        return self.store


class Noted:
    """The telemetry's place: keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)


def direction(seed: int, off: float = 0.0) -> Vector:
    """A unit vector of the seed; ``off`` turns it: the cosine is 1/√(1 + off²)."""
    random = np.random.default_rng(seed)
    vector, other = random.normal(size=(2, SIZE))
    vector /= np.linalg.norm(vector)
    other -= vector * (vector @ other)
    other /= np.linalg.norm(other)
    turned = vector + off * other
    made: Vector = (turned / np.linalg.norm(turned)).astype(np.float32)
    return made


def interaction(
    number: int,
    question: str | None = None,
    answer: str | None = None,
    *,
    caller: str = "anna",
    vector: Vector | None = None,
    **fields: Any,
) -> Point:
    """An interaction that is an example unless ``fields`` say otherwise."""
    content = {
        "query": f"question {number}" if question is None else question,
        "response": f"answer {number}" if answer is None else answer,
        "outcome": "success",
        "value_score": 0.8,
        "timestamp": float(number),
        **fields,
    }
    if isinstance(content.get("history"), list):
        content["history"] = json.dumps(content["history"])
    record = Record(InteractionHistory.model_validate(content), Provenance(caller=caller))
    return Point(
        id=str(uuid.UUID(int=number)),
        dense=direction(number) if vector is None else vector,
        sparse=SparseVector(),
        payload=record.payload(),
    )


async def stored(points: Iterable[Point], size: int = SIZE) -> Stored:
    store = QdrantStore.local(None, size, EMBEDDER)
    await store.init()
    await store.upsert(HISTORY, list(points))
    return Stored(store)


class Place:
    """A writer, its folder, and what it told others."""

    def __init__(
        self, knowledge: Stored, folder: Path, *, share: bool = False, **more: Any
    ) -> None:
        self.folder = folder
        self.metrics = Metrics()
        self.telemetry = Noted()
        self.writer = DatasetWriter(
            knowledge,
            folder,
            LearningSettings(share=share),
            Shouts(),
            self.metrics,
            self.telemetry,
            now=lambda: 1_700_000_000.0,
            **more,
        )

    def rows(self, name: str = "dataset.jsonl", caller: str = "") -> list[dict[str, Any]]:
        path = self.folder / caller / name
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    def gauge(self, format: str) -> float | None:
        return self.metrics.registry.get_sample_value("hybrid_dataset_examples", {"format": format})


ALL_TRAIN = DatasetRequest(validation_share=0.0)


async def written(folder: Path, *points: Point, wanted: DatasetRequest = ALL_TRAIN) -> Place:
    place = Place(await stored(points), folder)
    await place.writer.write(wanted, LOOPBACK_CALLER)
    return place


def asked(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["messages"][-2]["content"] for row in rows]
