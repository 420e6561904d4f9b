"""A sink over a real store that can fail, with all it told noted. No tests here."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from pydantic import BaseModel

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.knowledge import KnowledgeStore, NewItem
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.evidence import Evidence
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import Outcome, QueuedExtraction, Tracked
from hybrid_coordinator.learning.scoring import Scorer
from hybrid_coordinator.learning.sink import HistorySink
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import Collection, RetrievalSettings
from hybrid_coordinator.telemetry.events import Event
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.history import HISTORY, KnowledgeRoom

SKILLS = Collection.SKILLS_PATTERNS
ASKED = str(uuid.UUID(int=1))
SKILL = str(uuid.UUID(int=100))
NOW = 1_000_000.0

E = TypeVar("E", bound=BaseModel)


class Faulty:
    """A store of which one call fails, before it has any effect or after it."""

    CALLS = ("upsert", "get", "query", "count", "scroll", "set_payload", "delete")

    def __init__(self, store: KnowledgeStore) -> None:
        self._store = store
        self.calls = 0
        self.fails_at: int | None = None
        self.afterwards = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name not in self.CALLS:
            return real

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            failing = self.calls == self.fails_at
            if failing and not self.afterwards:
                raise StoreUnavailable("it is away")
            answer = await real(*args, **kwargs)
            if failing:
                raise StoreUnavailable("it answered too late")
            return answer

        return call


class FakeQueue:
    """An extraction queue's end, once an interaction for ever."""

    def __init__(self) -> None:
        self.entries: dict[str, QueuedExtraction] = {}
        self.failing = False

    async def add(self, entry: QueuedExtraction) -> bool:
        if self.failing:
            raise StoreUnavailable("no queue")
        return self.entries.setdefault(entry.interaction_id, entry) is entry


class Bench:
    """A sink over a real knowledge room, with all it told noted."""

    def __init__(self, room: KnowledgeRoom, settings: LearningSettings) -> None:
        self.room = room
        self.metrics = Metrics()
        self.queue = FakeQueue()
        self.events: list[Event] = []
        self.called_wrong: list[str] = []
        self.wrong_fails = 0
        knowledge = room.knowledge
        self.sink = HistorySink(
            knowledge,
            Scorer(knowledge),
            Evidence(knowledge, now=lambda: NOW),
            self.queue,
            settings,
            self.metrics,
            self,
            wrong=self._wrong,
            now=lambda: NOW,
        )

    def record(self, event: Event) -> None:
        self.events.append(event)

    async def _wrong(self, interaction_id: str) -> None:
        if self.wrong_fails:
            self.wrong_fails -= 1
            raise StoreUnavailable("no cache")
        self.called_wrong.append(interaction_id)

    async def seeded(self) -> None:
        """A skill that prompts can have."""
        skill = {"skill_name": "git reset", "description": "git reset --soft", "status": "trusted"}
        await self.room.knowledge.add(SKILLS, [NewItem(skill, id=SKILL)], "anna")

    async def settled(self, outcome: Outcome | None = None, feedback: int | None = None) -> None:
        await self.sink.settle(ASKED, "anna", OutcomeState(outcome=outcome, user_feedback=feedback))

    async def item(self) -> InteractionHistory:
        payload = await self.room.payload(HISTORY, ASKED)
        fields = InteractionHistory.model_fields
        return InteractionHistory.model_validate({k: v for k, v in payload.items() if k in fields})

    def of(self, kind: type[E]) -> list[E]:
        """The recorded events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def tracked(**changed: Any) -> Tracked:
    fields = {
        "query": "How do I undo the last commit?",
        "response": "1. git reset\n2. done",
        "timestamp": 500.0,
        "context_provided": (SKILL,),
        **changed,
    }
    return Tracked(ASKED, "anna", InteractionHistory(**fields))


async def bench_of(
    embedder: FastembedEmbedder,
    settings: LearningSettings | None = None,
    retrieval: RetrievalSettings | None = None,
) -> Bench:
    room = await KnowledgeRoom.open(embedder, settings=retrieval)
    return Bench(room, settings or LearningSettings())
