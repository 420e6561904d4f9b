"""Every room that forgetting touches, real, over one state directory. No tests here.

Only the cache's store is in memory, as it is without Redis; and the shelf of
patterns is the least that keeps its promise, since its own tests are elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.cache import Cache, MemoryStore
from hybrid_coordinator.conversation import LOOPBACK_CALLER, CacheStatus, Caller, Tier
from hybrid_coordinator.knowledge import Knowledge, NewItem, SparseEncoder
from hybrid_coordinator.knowledge.calibration import Calibration
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.store import Filter, KnowledgeStore, Vector
from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.dataset import DatasetWriter
from hybrid_coordinator.learning.delivery import Deliverer
from hybrid_coordinator.learning.evidence import USED, Evidence
from hybrid_coordinator.learning.forgetting import Forgetting
from hybrid_coordinator.learning.forgetting_notes import Notes
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.queue_sqlite import SqliteQueue
from hybrid_coordinator.learning.records import (
    DatasetRequest,
    Outcome,
    PostedOutcome,
    QueuedExtraction,
    Tracked,
)
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import (
    CacheSettings,
    Collection,
    RetrievalSettings,
    TelemetrySettings,
)
from hybrid_coordinator.telemetry import EventReader, Metrics, TelemetryWriter
from hybrid_coordinator.telemetry.events import ContextSearch
from tests.unit.cache.cache_parts import ScriptedGuard, completion, request
from tests.unit.learning.dataset_place import Shouts

HISTORY = Collection.INTERACTION_HISTORY
SIZE = 8
NOW = 1_700_000_000.0
MARKER = "Xyzzy-marker"
ANNA = Caller(id="anna", name="Anna")
BEN = Caller(id="ben", name="Ben")
SKILLS = Collection.SKILLS_PATTERNS
ID = str(uuid.UUID(int=1))
OTHER = str(uuid.UUID(int=2))
CHILD = str(uuid.uuid5(uuid.UUID(ID), "rejected:0"))
QUESTION = f"{MARKER}: how do I do it?"


class StubEmbedder:
    """Makes a vector of a text's bytes; equal texts are equal, others anything."""

    name = "stub"
    size = SIZE
    calibration = Calibration(prose=0.3, code=0.3, lift=0.04, origin="made up")

    async def start(self) -> None: ...

    async def embed_query(self, text: str) -> Vector:
        random = np.random.default_rng(list(text.encode()))
        vector = random.normal(size=SIZE).astype(np.float32)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    async def embed_documents(self, texts: Any) -> npt.NDArray[np.float32]:
        made = [await self.embed_query(text) for text in texts]
        return np.asarray(made, dtype=np.float32).reshape(len(made), SIZE)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def aclose(self) -> None: ...


class Shelf:
    """Forgets what one interaction taught: the item, or its share in it."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    async def unlearn(self, interaction_id: str) -> Counter[str]:
        removed: Counter[str] = Counter()
        store = await self._knowledge.opened()
        for collection in USED:
            where = Filter(any_of={"source_interactions": (interaction_id,)})
            for point in (await store.scroll(collection, where)).points:
                await self._knowledge.delete(collection, [point.id], point.payload["caller"])
                removed[collection] += 1
        return removed


class ToStore:
    """The sink: puts interactions where they belong."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    async def store(self, interactions: Any) -> None:
        for tracked in interactions:
            new = NewItem(tracked.item.model_dump(mode="json"), id=tracked.id)
            await self._knowledge.add(HISTORY, [new], tracked.caller)

    async def settle(self, interaction_id: str, caller: str, state: OutcomeState) -> None:
        effective = state.effective()
        await self._knowledge.amend(HISTORY, [interaction_id], {"outcome": effective.outcome.value})


@dataclass
class Rooms:
    """The rooms, open."""

    state: Path
    metrics: Metrics
    parts: dict[str, Any]

    def __post_init__(self) -> None:
        self.knowledge: Knowledge = self.parts["knowledge"]
        self.outbox: Outbox = self.parts["outbox"]
        self.deliverer: Deliverer = self.parts["deliveries"]
        self.queue: SqliteQueue = self.parts["queue"]
        self.dataset: DatasetWriter = self.parts["dataset"]
        self.cache: Cache = self.parts["cache"]
        self.telemetry: TelemetryWriter = self.parts["telemetry"]
        self.evidence: Evidence = self.parts["evidence"]
        self.forgetting = self.remade()

    def remade(self, **other: Any) -> Forgetting:
        """What forgets, as after a restart; ``other`` parts in the place of the real ones."""
        return Forgetting(
            notes=self.state / "forgetting", metrics=self.metrics, **{**self.parts, **other}
        )

    async def accept(
        self, id_: str, caller: str = "anna", query: str = "what?", **fields: Any
    ) -> None:
        content = {"query": query, "timestamp": NOW, **fields}
        item = InteractionHistory.model_validate(content)
        await self.outbox.accept_interaction(Tracked(id_, caller, item))

    async def deliver(self) -> None:
        await self.deliverer.flush(20.0)

    async def stored(self, id_: str) -> bool:
        return bool(await (await self.knowledge.opened()).get(HISTORY, [id_]))

    def counted(self, cause: str) -> float:
        name = "hybrid_interactions_forgotten_total"
        return self.metrics.registry.get_sample_value(name, {"cause": cause}) or 0.0


@asynccontextmanager
async def opened(state: Path, store: KnowledgeStore) -> AsyncIterator[Rooms]:
    """Every room over ``state``; ``store`` is closed with them."""
    metrics = Metrics()
    knowledge = Knowledge(
        store, StubEmbedder(), SparseEncoder(), RetrievalSettings(), metrics, now=lambda: NOW
    )
    learning = LearningSettings()
    outbox = Outbox(state / "outbox.sqlite", learning.outbox, metrics, now=lambda: NOW)
    queue = SqliteQueue(state / "extraction.sqlite", metrics, now=lambda: NOW)
    telemetry = TelemetryWriter(state / "telemetry", TelemetrySettings(), metrics)
    kept = MemoryStore(100, 3600.0)
    cache = Cache(kept, ScriptedGuard(), CacheSettings(), metrics, embedder="stub")
    dataset = DatasetWriter(
        knowledge, state / "fine-tuning", learning, Shouts(), metrics, telemetry, now=lambda: NOW
    )
    evidence = Evidence(knowledge, now=lambda: NOW)
    deliverer = Deliverer(outbox, ToStore(knowledge), learning.outbox, metrics, Activity())
    await outbox.start()
    await queue.start()
    telemetry.start()
    parts: dict[str, Any] = {
        "outbox": outbox,
        "deliveries": deliverer,
        "knowledge": knowledge,
        "queue": queue,
        "shelf": Shelf(knowledge),
        "evidence": evidence,
        "dataset": dataset,
        "cache": cache,
        "telemetry": telemetry,
    }
    try:
        yield Rooms(state, metrics, parts)
    finally:
        telemetry.close()
        await queue.aclose()
        await outbox.aclose()
        await knowledge.aclose()


def files_with(folder: Path, text: str) -> list[str]:
    """The files below ``folder`` that have a text in them, in UTF-8 or UTF-16."""
    wanted = (text.encode(), text.encode("utf-16-le"))
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                path = Path(place) / name
                if any(form in part for part in _written(path) for form in wanted):
                    found.append(str(path.relative_to(folder)))
    return sorted(found)


def _written(path: Path) -> Iterator[bytes]:
    """What was written to a file, without its holes: the engine's are nearly nothing else."""
    with path.open("rb") as file:
        position, size = 0, path.stat().st_size
        while position < size:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            position = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            file.seek(start)
            yield file.read(position - start)


@asynccontextmanager
async def rooms_in(state: Path) -> AsyncIterator[Rooms]:
    store = QdrantStore.local(None, SIZE, StubEmbedder.name)
    async with opened(state, store) as made:
        yield made


async def use_everywhere(rooms: Rooms) -> str:
    """Store one interaction with the marker in every place, and another beside it.

    Returns the id of a stored item that both had in their prompts.
    """
    (used,) = await rooms.knowledge.add(SKILLS, [NewItem({"skill_name": "used"})], "anna")
    for id_, query in ((ID, QUESTION), (OTHER, "another?")):
        taught = {"skill_name": query, "learned": True, "source_interactions": [id_]}
        await rooms.knowledge.add(SKILLS, [NewItem(taught)], "anna")
        await rooms.accept(
            id_,
            query=query,
            response=f"answer to {query}",
            context_provided=[used],
            value_score=0.9,
            history=json.dumps([{"role": "system", "content": query}]),
        )
    await rooms.accept(CHILD, query=QUESTION, response=f"{MARKER} wrong", parent=ID)
    for id_, outcome in (
        (ID, Outcome.SUCCESS),
        (OTHER, Outcome.SUCCESS),
        (CHILD, Outcome.FAILURE),
    ):
        await rooms.outbox.accept_outcome(id_, ANNA, PostedOutcome(outcome=outcome))
    await rooms.deliver()
    await rooms.evidence.refresh([used])
    for id_ in (ID, OTHER):
        await rooms.queue.add(QueuedExtraction(id_, "anna", 0.9, NOW))
        text = QUESTION if id_ == ID else "another?"
        rooms.telemetry.record(
            ContextSearch(
                timestamp=NOW,
                interaction_id=id_,
                query=text,
                results_count=1,
                avg_score=0.5,
                latency_ms=1.0,
            )
        )
        asked = request(text, caller=ANNA, interaction_id=id_)
        lookup = await rooms.cache.look_up_exact(asked)
        answer = completion(f"answer to {text}")
        assert await rooms.cache.store(lookup, asked, None, answer, "b", Tier.LOCAL, 0.0, id_)
    await asyncio.to_thread(rooms.telemetry.flush)
    await rooms.dataset.write(DatasetRequest(), LOOPBACK_CALLER)
    await rooms.dataset.write(DatasetRequest(), ANNA)
    return used


async def accesses(rooms: Rooms, item: str) -> int:
    store = await rooms.knowledge.opened()
    (point,) = await store.get(SKILLS, [item])
    count: int = point.payload["access_count"]
    return count


async def assert_gone(rooms: Rooms, used: str) -> None:
    """Nothing of ``ID`` is left anywhere that answers questions; all of ``OTHER`` is."""
    assert await rooms.outbox.known(ID) is None
    assert await rooms.outbox.forgotten(ID)
    assert await rooms.outbox.forgotten(CHILD)
    assert not await rooms.stored(ID)
    assert not await rooms.stored(CHILD)
    assert [entry.interaction_id for entry in await rooms.queue.waiting(10)] == [OTHER]
    store = await rooms.knowledge.opened()
    names = [point.payload["skill_name"] for point in (await store.scroll(SKILLS)).points]
    assert sorted(names) == ["another?", "used"]
    assert await accesses(rooms, used) == 1
    assert [event.interaction_id for event in EventReader(rooms.state / "telemetry")][:1] == [OTHER]
    for folder in ("fine-tuning", "fine-tuning/anna"):
        assert MARKER not in (rooms.state / folder / "dataset.jsonl").read_text()
        assert (rooms.state / folder / "preferences.jsonl").read_text() == ""
    looked_up = await rooms.cache.look_up_exact(request(QUESTION, caller=ANNA))
    assert looked_up.status is CacheStatus.MISS
    assert not Notes(rooms.state / "forgetting").all()
    assert await rooms.stored(OTHER)
