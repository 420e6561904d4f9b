"""Puts the edge together: every endpoint with its path, from a gateway, settings and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute

from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.api.chat import ChatEndpoints
from hybrid_coordinator.api.dashboard import DashboardEndpoints
from hybrid_coordinator.api.edge import Edge, Endpoint, Lifespan
from hybrid_coordinator.api.embeddings import EmbeddingEndpoints
from hybrid_coordinator.api.identifiers import new_interaction_id
from hybrid_coordinator.api.knowledge import KnowledgeEndpoints
from hybrid_coordinator.api.learning import LearningEndpoints
from hybrid_coordinator.api.mcp_entry import McpEntry
from hybrid_coordinator.api.models import ModelEndpoints
from hybrid_coordinator.api.openapi import document
from hybrid_coordinator.api.service import ServiceEndpoints
from hybrid_coordinator.api.system import SystemEndpoints
from hybrid_coordinator.gateway import Gateway
from hybrid_coordinator.settings import Settings


def build_app(
    gateway: Gateway,
    settings: Settings,
    keys: KeyRing,
    *,
    new_id: Callable[[], str] = new_interaction_id,
    mounts: Sequence[BaseRoute] = (),
    lifespan: Lifespan | None = None,
) -> Edge:
    """The ASGI application.

    ``new_id`` makes interaction ids; ``mounts`` are further Starlette routes,
    behind the same rules; ``lifespan`` is entered before the first request and
    left after the last.
    """
    return Edge(
        endpoints(gateway, keys),
        settings=settings,
        keys=keys,
        metrics=gateway.metrics,
        new_id=new_id,
        mounts=mounts,
        lifespan=lifespan,
    )


def endpoints(gateway: Gateway, keys: KeyRing) -> list[Endpoint]:
    """Every endpoint there is; each is in the OpenAPI document too."""
    chat = ChatEndpoints(gateway)
    embeddings = EmbeddingEndpoints(gateway)
    models = ModelEndpoints(gateway)
    knowledge = KnowledgeEndpoints(gateway)
    learning = LearningEndpoints(gateway)
    dashboard = DashboardEndpoints(gateway)
    system = SystemEndpoints(gateway)
    mcp = McpEntry(gateway)
    interaction = "/v1/interactions/{interaction_id}"
    service = ServiceEndpoints(gateway, describe=lambda: document(needs_key=not keys.is_open))
    return [
        Endpoint("POST", "/v1/chat/completions", chat.completions),
        Endpoint("POST", "/v1/messages", chat.messages),
        Endpoint("POST", "/v1/messages/count_tokens", chat.count_tokens),
        Endpoint("POST", "/v1/embeddings", embeddings.create),
        Endpoint("GET", "/v1/models", models.list),
        Endpoint("GET", "/v1/models/{id:path}", models.one),
        Endpoint("POST", "/v1/augment", knowledge.augment),
        Endpoint("POST", "/v1/search", knowledge.search),
        Endpoint("POST", "/v1/knowledge/{collection}", knowledge.add),
        Endpoint("DELETE", "/v1/knowledge/{collection}", knowledge.delete),
        Endpoint("POST", "/v1/cache/invalidate", knowledge.invalidate),
        Endpoint("POST", "/v1/interactions", learning.track),
        Endpoint("GET", interaction, learning.interaction),
        Endpoint("DELETE", interaction, learning.forget),
        Endpoint("POST", f"{interaction}/outcome", learning.outcome),
        Endpoint("POST", "/v1/training-data", learning.training_data),
        Endpoint("POST", "/v1/patterns/extract", learning.extract),
        Endpoint("GET", "/v1/patterns/queue", learning.queue),
        Endpoint("POST", "/v1/patterns/queue/replay", learning.replay),
        Endpoint("GET", "/v1/experiments", learning.experiments),
        Endpoint("GET", "/v1/system/health", system.health),
        Endpoint("GET", "/v1/system/analysis", system.analysis),
        Endpoint("GET", "/v1/dashboard", dashboard.figures),
        Endpoint("GET", "/v1/dashboard/events", dashboard.events),
        Endpoint("POST", "/mcp", mcp.serve),
        Endpoint("GET", "/health", service.health),
        Endpoint("GET", "/ready", service.ready),
        Endpoint("GET", "/metrics", service.metrics),
        Endpoint("GET", "/openapi.json", service.openapi),
    ]
