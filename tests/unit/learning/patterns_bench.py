"""A shelf of patterns over a real knowledge room, and patterns to put on it."""

from __future__ import annotations

from typing import Any

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.knowledge.items import InteractionHistory, PatternStatus
from hybrid_coordinator.learning.extraction_answer import Pattern
from hybrid_coordinator.learning.extraction_prompt import Kind
from hybrid_coordinator.learning.patterns import PatternShelf, Shelved
from hybrid_coordinator.learning.records import LearnedRef
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.events import Event, PatternStatusChanged
from tests.unit.learning.history import HISTORY, KnowledgeRoom

SKILLS = Collection.SKILLS_PATTERNS
ERRORS = Collection.ERROR_SOLUTIONS
PRACTICES = Collection.BEST_PRACTICES
CODE = Collection.CODEBASE_CONTEXT
CANDIDATE, TRUSTED, RETIRED = PatternStatus
# The clock of the rooms that tests of learning share.
NOW = 1_700_000_000.0

COMMIT = Pattern(
    Kind.SKILL,
    "How do I undo the last commit?",
    "How do I undo the last commit?",
    ("Run git reset --soft HEAD~1.", "Look at it with git status."),
)
PORT = Pattern(
    Kind.ERROR_SOLUTION,
    "bind failed: address already in use",
    "My server says: bind failed: address already in use",
    ("Find the process with ss -ltnp.", "Stop it."),
    error_text="bind failed: address already in use",
)
SECRETS = Pattern(
    Kind.BEST_PRACTICE, "Where do secrets go?", "Where do secrets go?", ("Never into the store.",)
)
LOOP = Pattern(
    Kind.CODE,
    "How do I read lines in Python?",
    "How do I read lines in Python?",
    ("for line in file: print(line)",),
    code="for line in file: print(line)",
    language="python",
)


class Bench:
    """A shelf over a real knowledge room, and what it told."""

    def __init__(self, room: KnowledgeRoom, **settings: Any) -> None:
        self.room = room
        self.now = NOW
        self.events: list[Event] = []
        self.shelf = PatternShelf(
            room.knowledge,
            LearningSettings.model_validate(settings),
            room.metrics,
            self,
            now=lambda: self.now,
        )

    def record(self, event: Event) -> None:
        self.events.append(event)

    async def taught(
        self, pattern: Pattern, caller: str = "anna", *, age: float = 0.0, **more: Any
    ) -> tuple[str, Shelved]:
        """An interaction that went well, ``age`` seconds ago, and what became of its pattern."""
        known: dict[str, Any] = {
            "outcome": "success",
            "value_score": 0.8,
            "extraction": "done",
            "timestamp": self.now - age,
            "response": "\n".join(pattern.steps),
            **more,
        }
        id_ = await self.room.ask(pattern.question, caller, **known)
        return id_, await self.again(pattern, id_, caller)

    async def again(self, pattern: Pattern, id_: str, caller: str = "anna") -> Shelved:
        payload = await self.room.payload(HISTORY, id_)
        fields = InteractionHistory.model_fields
        item = InteractionHistory.model_validate({k: v for k, v in payload.items() if k in fields})
        return await self.shelf.store_or_merge(caller, pattern, id_, item)

    async def used(self, ref: LearnedRef, outcome: str, caller: str = "anna", **more: Any) -> str:
        """Another interaction that had the item in its prompt."""
        known = {"timestamp": self.now, **more}
        return await self.room.ask(
            "Another question", caller, context=[ref.id], outcome=outcome, **known
        )

    async def payload(self, ref: LearnedRef) -> Json:
        return await self.room.payload(ref.collection, ref.id)

    async def items(self) -> int:
        store = await self.room.knowledge.opened()
        return sum([await store.count(c) for c in (SKILLS, ERRORS, PRACTICES, CODE)])

    def statuses(self) -> list[tuple[str, str]]:
        return [(e.status, e.why) for e in self.events if isinstance(e, PatternStatusChanged)]
