"""What the fleet's tests are made of: calls, settings, and a judge that is told what to find."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybrid_coordinator.conversation import (
    Completion,
    Delta,
    ModelCall,
    Rejection,
    StreamJudge,
    Tier,
    Verdict,
)
from hybrid_coordinator.inference import Candidate, Fleet, build_backend
from hybrid_coordinator.settings import BackendKind, BackendSettings, ModelSettings
from hybrid_coordinator.telemetry.metrics import Metrics

OPENAI_MODEL = "gpt-fake"
ANTHROPIC_MODEL = "claude-fake"
LIMIT = 10.0
"""Seconds after which a test that waits for an event has failed."""


def settings(url: str, kind: BackendKind = BackendKind.OPENAI, **changed: Any) -> BackendSettings:
    model = ANTHROPIC_MODEL if kind is BackendKind.ANTHROPIC else OPENAI_MODEL
    values: dict[str, Any] = {
        "kind": kind,
        "base_url": url,
        "models": (ModelSettings(name=model),),
        "probe_interval": 3600.0,
        "retries": 0,
        **changed,
    }
    return BackendSettings.model_validate(values)


def call(
    candidate: Candidate | None = None, *, stream: bool = False, text: str = "hi"
) -> ModelCall:
    model = candidate.model.name if candidate else OPENAI_MODEL
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return ModelCall(body=body, api_model=model, stream=stream, interaction_id="i1")


def make_call(candidate: Candidate) -> ModelCall:
    return call(candidate)


def make_streamed_call(candidate: Candidate) -> ModelCall:
    return call(candidate, stream=True)


@asynccontextmanager
async def fleet_of(
    declared: dict[str, BackendSettings], *, api_key: str | None = None, **parts: Any
) -> AsyncIterator[Fleet]:
    """A started fleet; its metrics are a new registry unless given."""
    parts.setdefault("metrics", Metrics())
    backends = [
        build_backend(name, values, api_key, Path("unused")) for name, values in declared.items()
    ]
    fleet = Fleet(backends, **parts)
    try:
        async with asyncio.timeout(LIMIT):
            await fleet.start()
        yield fleet
    finally:
        await fleet.aclose()


def everybody(fleet: Fleet) -> list[Candidate]:
    """Every model of every backend, ready or not, in the order of the settings."""
    return [Candidate(status.name, model) for status in fleet.statuses() for model in status.models]


def metric(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def attempts_of(metrics: Metrics, backend: str, outcome: str) -> float:
    return metric(metrics, "hybrid_backend_attempts_total", backend=backend, outcome=outcome)


async def read_into(seen: list[Delta], deltas: AsyncIterable[Delta]) -> None:
    """Read a stream to its end or its error; what came before that is in ``seen``."""
    async for delta in deltas:
        seen.append(delta)  # noqa: PERF401 - a comprehension would lose what came before an error


def text_of(deltas: Iterable[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


async def no_sleep(seconds: float) -> None:
    """The fleet's ``sleep`` where a test does not look at the waits."""


@dataclass
class WordJudge:
    """Turns down answers with one of ``words`` in them; shows a stream once ``shown_at`` is in it.

    ``words_at_end`` are looked for in a whole answer only; ``finals`` notes
    what it was told of each attempt.
    """

    words: Sequence[str] = ()
    shown_at: str = ""
    words_at_end: Sequence[str] = ()
    finals: list[tuple[Tier, bool]] = field(default_factory=list)

    def whole(self, completion: Completion, *, tier: Tier, final: bool) -> Verdict | None:
        self.finals.append((tier, final))
        return self.verdict(completion.text, at_end=True)

    def streamed(self, *, tier: Tier, final: bool) -> StreamJudge:
        self.finals.append((tier, final))
        return _Watch(self)

    def verdict(self, text: str, *, at_end: bool = False) -> Verdict | None:
        for word in (*self.words, *(self.words_at_end if at_end else ())):
            if word in text:
                return Verdict(Rejection.REFUSAL, f"it says {word}")
        return None


@dataclass
class _Watch:
    judge: WordJudge
    text: str = ""

    def feed(self, delta: Delta) -> Verdict | None:
        self.text += delta.text
        return self.judge.verdict(self.text)

    def ready(self) -> bool:
        return self.judge.shown_at in self.text

    def finish(self) -> Verdict | None:
        if not self.text:
            return Verdict(Rejection.EMPTY, "no text")
        return self.judge.verdict(self.text, at_end=True)
