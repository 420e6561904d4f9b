"""What the cache's tests have in common: requests, answers, vectors, and how time passes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hybrid_coordinator.cache import Cache, CacheStore, Lookup
from hybrid_coordinator.cache.key import CacheKey
from hybrid_coordinator.cache.store import Vector
from hybrid_coordinator.conversation import (
    CacheMode,
    Caller,
    ChatRequest,
    Completion,
    Dialect,
    FinishReason,
    Tier,
    Usage,
)
from hybrid_coordinator.settings import CacheSettings, Collection
from hybrid_coordinator.telemetry.metrics import Metrics

ALICE = Caller(id="alice-id", name="alice")
BOB = Caller(id="bob-id", name="bob")


def request(
    question: str = "What is NixOS?",
    *,
    caller: Caller = ALICE,
    interaction_id: str = "i-asked",
    mode: CacheMode = CacheMode.USE,
    messages: list[dict[str, Any]] | None = None,
    **body: Any,
) -> ChatRequest:
    return ChatRequest(
        dialect=Dialect.OPENAI,
        body={
            "model": "auto",
            "messages": messages or [{"role": "user", "content": question}],
            **body,
        },
        caller=caller,
        interaction_id=interaction_id,
        cache_mode=mode,
    )


def completion(text: str = "A Linux distribution.", **changes: Any) -> Completion:
    values: dict[str, Any] = {
        "id": "chatcmpl-1",
        "model": "small",
        "created": 1_700_000_000,
        "text": text,
        "finish_reason": FinishReason.STOP,
        "usage": Usage(12, 5),
    }
    return Completion(**{**values, **changes})


def key(exact: int = 1, *, caller: str = "c", question: str = "q") -> CacheKey:
    return CacheKey(
        exact=f"{exact:032x}",
        partition="p" * 32,
        caller=caller.encode().hex().rjust(16, "0"),
        question=question.encode().hex().rjust(16, "0"),
    )


def vector(degrees: float, size: int = 8) -> Vector:
    """A unit vector in a plane: the cosine of two is that of the difference of their angles."""
    angle = math.radians(degrees)
    made = np.zeros(size, dtype=np.float32)
    made[0], made[1] = math.cos(angle), math.sin(angle)
    return made


class Harness(ABC):
    """Makes stores over one place and lets time pass in it."""

    @abstractmethod
    def store(self, *, max_entries: int = 100, ttl: float = 60.0) -> CacheStore:
        """A store; all stores of a shared kind of place share it."""

    @abstractmethod
    async def age(self, seconds: float) -> None:
        """Make everything kept so far older by so much."""


@dataclass(frozen=True)
class Said:
    same: bool
    rule: str | None = None
    probability: float = 0.5


@dataclass
class ScriptedGuard:
    """Says 'same' from a cosine on, except for questions it was told to keep apart."""

    bar: float = 0.9
    apart: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, float]] = field(default_factory=list)

    def examine(self, asked: str, cached: str, similarity: float) -> Said:
        self.asked.append((asked, cached, similarity))
        if cached in self.apart:
            return Said(False, self.apart[cached])
        return Said(similarity >= self.bar)


@dataclass
class Bench:
    """A cache with its parts at hand."""

    store: CacheStore
    guard: ScriptedGuard = field(default_factory=ScriptedGuard)
    metrics: Metrics = field(default_factory=Metrics)
    settings: CacheSettings = field(default_factory=CacheSettings)
    collections: tuple[Collection, ...] = tuple(Collection)
    now: float = 1_000.0

    def __post_init__(self) -> None:
        self.cache = Cache(
            self.store,
            self.guard,
            self.settings,
            self.metrics,
            embedder="test-embedder",
            collections=self.collections,
            clock=lambda: self.now,
            timer=lambda: 0.0,
        )

    async def look_up(self, asked: ChatRequest, embedding: Vector | None = None) -> Lookup:
        """Both tiers, as the pipeline asks them."""
        return await self.cache.look_up_semantic(
            asked, await self.cache.look_up_exact(asked), embedding
        )

    async def keep(
        self,
        asked: ChatRequest,
        answer: Completion | None = None,
        embedding: Vector | None = None,
        *,
        lookup: Lookup | None = None,
    ) -> bool:
        """Look up (unless it was done), then store."""
        return await self.cache.store(
            lookup or await self.cache.look_up_exact(asked),
            asked,
            embedding,
            answer or completion(),
            "local-backend",
            Tier.LOCAL,
            0.25,
            asked.interaction_id,
        )

    def count(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where it was never touched."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0
