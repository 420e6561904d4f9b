"""What happened to one request, gathered while it passes through the pipeline.

One object a request, written by the pipeline and read by the headers, the
metrics and the telemetry. It decides nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hybrid_coordinator.cache import CacheEntry, Lookup
from hybrid_coordinator.conversation import (
    CacheStatus,
    ChatRequest,
    Tier,
    Usage,
)
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.gateway import AnswerMeta
from hybrid_coordinator.inference import NoAcceptableAnswer, RejectedAnswer
from hybrid_coordinator.knowledge import Context
from hybrid_coordinator.routing import Decision
from hybrid_coordinator.settings import ModelSettings
from hybrid_coordinator.trace_context import AttemptNote, StepNote, TraceContext

CACHE_ROUTE = "cache"
CLIENT_CLOSED_REQUEST = 499
"""Recorded where the client left first; nginx's number, as HTTP has none."""


@dataclass(slots=True)
class Trace:
    """The story of one request. Times are seconds of ``clock``."""

    request: ChatRequest
    clock: Callable[[], float] = time.perf_counter
    cache: CacheStatus = CacheStatus.MISS
    cache_why: str = ""
    similarity: float | None = None
    cache_seconds: float = 0.0
    decision: Decision | None = None
    backend: str | None = None
    tier: Tier | None = None
    model: ModelSettings | None = None
    context: Context | None = None
    found_in: Mapping[str, str] = field(default_factory=dict)
    """The collection of each item that was found for it, by the item's id."""
    prompt_tokens: int | None = None
    """Of the conversation, about; None while nobody had to know."""
    skipped: dict[str, str] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds each step took."""
    waited_seconds: float = 0.0
    """Seconds spent waiting for an equal request's answer."""
    backend_seconds: float = 0.0
    first_token_seconds: float | None = None
    opened_after: float | None = None
    """Seconds from the request's start until the first byte could be sent."""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    cost_saved_usd: float = 0.0
    rejections: tuple[RejectedAnswer, ...] = ()
    """Answers that validation turned down on the way."""
    status: int = 200
    error: str | None = None
    tracing: TraceContext | None = None
    """Where this request's spans belong; None while tracing is off, and then nothing is noted."""
    notes: list[StepNote] = field(default_factory=list)
    attempts: list[AttemptNote] = field(default_factory=list)

    @property
    def elapsed(self) -> float:
        return self.clock() - self.request.started

    @property
    def route(self) -> str | None:
        """``cache``, or tier, backend and model: ``local:lemonade/qwen3``."""
        if self.cache in (CacheStatus.EXACT, CacheStatus.SEMANTIC):
            return CACHE_ROUTE
        if self.backend is not None and self.tier is not None and self.model is not None:
            return f"{self.tier.value}:{self.backend}/{self.model.name}"
        return self.decision.route if self.decision else None

    @property
    def reason(self) -> str:
        if self.cache in (CacheStatus.EXACT, CacheStatus.SEMANTIC):
            return self.cache_why
        if self.decision is None:
            return self.cache_why or "no decision was reached"
        if self.backend and self.backend != self.decision.candidates[0].backend:
            first = self.decision.candidates[0].backend
            return f"{self.decision.summary}; {first} gave no answer, so {self.backend} did"
        return self.decision.summary

    @property
    def reason_class(self) -> str:
        """The bounded form of ``reason``, for labels."""
        if self.cache in (CacheStatus.EXACT, CacheStatus.SEMANTIC):
            return self.cache.value
        return self.decision.reason.value if self.decision else "none"

    @property
    def context_collections(self) -> dict[str, int]:
        """How many items of each collection are in the prompt."""
        ids = self.context.ids if self.context else ()
        return dict(Counter(self.found_in[id_] for id_ in ids if id_ in self.found_in))

    @property
    def meta(self) -> AnswerMeta:
        return AnswerMeta(
            interaction_id=self.request.interaction_id,
            cache=self.cache,
            route=self.route,
            reason=self.reason,
        )

    def looked_up(self, lookup: Lookup, now: float) -> None:
        """Note what the cache said; ``now`` is epoch seconds."""
        if self.tracing is not None:
            name = "cache.semantic" if self.cache_seconds else "cache.exact"
            ended = self.clock()
            self._note(name, ended - (lookup.latency - self.cache_seconds), ended)
        self.cache = lookup.status
        self.cache_why = _where_from(lookup, now) or lookup.why or ""
        self.similarity = lookup.similarity
        self.cache_seconds = lookup.latency
        if lookup.status is CacheStatus.UNAVAILABLE:
            self.skip("cache", lookup.why or "the store cannot be reached")

    def took(self, step: str, began: float) -> None:
        """Note that ``step`` ends now."""
        ended = self.clock()
        self.steps[step] = ended - began
        self._note(step, began, ended)

    def waited(self, began: float) -> None:
        """Note the time since ``began``, spent waiting for an equal request's answer."""
        ended = self.clock()
        self.waited_seconds = ended - began
        self._note("single_flight", began, ended)

    def attempt(self, backend: str, model: str) -> AttemptNote | None:
        """What is to be noted of a request to a backend; nothing while tracing is off."""
        if self.tracing is None:
            return None
        note = self.tracing.attempt(backend, model, self.clock)
        self.attempts.append(note)
        return note

    def _note(self, step: str, began: float, ended: float) -> None:
        if self.tracing is not None:
            self.notes.append(StepNote(step, began, ended))

    def joined(self, lookup: Lookup, entry: CacheEntry) -> None:
        """Note that an equal request was waited for, and this is its answer."""
        same = lookup.key is not None and entry.key.exact == lookup.key.exact
        self.cache = CacheStatus.EXACT if same else CacheStatus.SEMANTIC
        self.cache_why = f"{self.cache}: an equal request was being answered; this is its answer"

    def failed(self, error: HybridError) -> None:
        """Note the error that the client gets, or got in the middle of a stream."""
        self.status, self.error = error.status, error.code
        if isinstance(error, NoAcceptableAnswer):
            self.rejections = error.rejections

    def abandoned(self) -> None:
        """Note that the client left before the answer's end."""
        self.status, self.error = CLIENT_CLOSED_REQUEST, "client_closed_request"

    def skip(self, step: str, why: str) -> None:
        """Record that ``step`` was passed over; the first reason stays."""
        self.skipped.setdefault(step, why)

    def opened(self) -> None:
        """Note that the answer, or its first part, is ready for the client."""
        if self.opened_after is None:
            self.opened_after = self.elapsed

    @property
    def overhead_seconds(self) -> float:
        """What this gateway added before the first byte: not the backend, not waiting."""
        until = self.opened_after if self.opened_after is not None else self.elapsed
        backend = self.first_token_seconds if self.request.stream else self.backend_seconds
        return max(0.0, until - (backend or 0.0) - self.waited_seconds)


def _where_from(lookup: Lookup, now: float) -> str:
    """Where a cached answer comes from, for the person who wonders; empty for none."""
    entry = lookup.entry
    if entry is None:
        return ""
    ago = f"answered {max(0.0, now - entry.created_at):.0f} s ago by {entry.model}"
    if lookup.status is CacheStatus.SEMANTIC:
        return f"semantic: a question of the same meaning ({lookup.similarity or 0:.3f}) was {ago}"
    return f"exact: the same request was {ago}"
