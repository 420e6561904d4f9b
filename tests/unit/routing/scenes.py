"""Backends and requests for the routing tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_coordinator.conversation import LOOPBACK_CALLER, ChatRequest, Dialect, Tier
from hybrid_coordinator.routing import Classifier, Router
from hybrid_coordinator.settings import (
    BackendKind,
    BackendSettings,
    ModelSettings,
    RoutingSettings,
)

EASY = "What is the capital of Portugal?"
HARD = (
    "Prove that the scheduler is deadlock-free, derive a tight bound on latency, design a "
    "fault-tolerant replication protocol for it, and analyse the trade-offs in detail."
)
NOON = 1_800_014_400.0
"""An epoch time at exactly 12:00 UTC."""


@dataclass(frozen=True)
class View:
    name: str
    settings: BackendSettings
    models: tuple[ModelSettings, ...]
    usable: bool = True
    detail: str = ""


def model(name: str = "qwen3", **options: Any) -> ModelSettings:
    return ModelSettings(name=name, **options)


def backend(
    name: str,
    *models: ModelSettings,
    tier: Tier = Tier.LOCAL,
    priority: int = 0,
    usable: bool = True,
    detail: str = "",
) -> View:
    settings = BackendSettings(
        kind=BackendKind.OPENAI,
        base_url="http://127.0.0.1:9",
        tier=tier,
        models=models or (model("declared"),),
        priority=priority,
    )
    return View(name, settings, models, usable, detail)


def local(name: str = "lemonade", *models: ModelSettings, **options: Any) -> View:
    return backend(name, *(models or (model(),)), **options)


def remote(name: str = "claude", *models: ModelSettings, **options: Any) -> View:
    priced = model("sonnet", context_tokens=200_000, images=True, input_price=3, output_price=15)
    return backend(name, *(models or (priced,)), tier=Tier.REMOTE, **options)


def ask(question: str = EASY, **body: Any) -> ChatRequest:
    messages = [{"role": "user", "content": question}]
    return ChatRequest(
        dialect=Dialect.OPENAI,
        body={"messages": messages, **body},
        caller=LOOPBACK_CALLER,
        interaction_id="i-1",
    )


def router(embedder: str | None = None, **settings: Any) -> Router:
    return Router(Classifier(embedder), RoutingSettings(**settings), now=lambda: NOON)


def names(views: Sequence[Any]) -> list[str]:
    """The candidates' backends, in order."""
    return [view.backend for view in views]
