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
from hybrid_coordinator.api.login import LoginEndpoints
from hybrid_coordinator.api.mcp_entry import McpEntry
from hybrid_coordinator.api.models import ModelEndpoints
from hybrid_coordinator.api.openapi import document
from hybrid_coordinator.api.pages import ROOT, pages, serving, to_the_page
from hybrid_coordinator.api.service import ServiceEndpoints
from hybrid_coordinator.api.sessions import Doorkeeper, Sessions
from hybrid_coordinator.api.system import SystemEndpoints
from hybrid_coordinator.api.views import ViewEndpoints
from hybrid_coordinator.gateway import Gateway
from hybrid_coordinator.settings import Settings


def build_app(
    gateway: Gateway,
    settings: Settings,
    keys: KeyRing,
    *,
    sessions: Sessions | None = None,
    new_id: Callable[[], str] = new_interaction_id,
    mounts: Sequence[BaseRoute] = (),
    lifespan: Lifespan | None = None,
) -> Edge:
    """The ASGI application.

    ``sessions`` are the dashboard's, where they are to outlive this application;
    ``new_id`` makes interaction ids; ``mounts`` are further Starlette routes,
    behind the same rules; ``lifespan`` is entered before the first request and
    left after the last.
    """
    door = Doorkeeper(keys, Sessions() if sessions is None else sessions)
    return Edge(
        endpoints(gateway, door),
        settings=settings,
        door=door,
        pages=dashboard_files(),
        metrics=gateway.metrics,
        new_id=new_id,
        mounts=mounts,
        lifespan=lifespan,
    )


def dashboard_files() -> list[Endpoint]:
    """The dashboard's files but the page itself, which is among the endpoints."""
    found = [Endpoint("GET", page.path, serving(page)) for page in pages() if page.path != ROOT]
    return [*found, Endpoint("GET", ROOT.rstrip("/"), to_the_page)]


def endpoints(gateway: Gateway, door: Doorkeeper) -> list[Endpoint]:
    """Every endpoint there is; each is in the OpenAPI document too."""
    chat = ChatEndpoints(gateway)
    embeddings = EmbeddingEndpoints(gateway)
    models = ModelEndpoints(gateway)
    knowledge = KnowledgeEndpoints(gateway)
    learning = LearningEndpoints(gateway)
    dashboard = DashboardEndpoints(gateway)
    system = SystemEndpoints(gateway)
    mcp = McpEntry(gateway)
    views = ViewEndpoints(gateway)
    login = LoginEndpoints(door, gateway.metrics.failures.labels(room="api", kind="login"))
    (page,) = [page for page in pages() if page.path == ROOT]
    interaction = "/v1/interactions/{interaction_id}"
    service = ServiceEndpoints(gateway, describe=lambda: document(needs_key=not door.keys.is_open))
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
        Endpoint("GET", "/v1/interactions", views.interactions, page=True),
        Endpoint("GET", interaction, learning.interaction, page=True),
        Endpoint("DELETE", interaction, learning.forget),
        Endpoint("POST", f"{interaction}/outcome", learning.outcome, page=True),
        Endpoint("GET", f"{interaction}/steps", views.steps, page=True),
        Endpoint("POST", "/v1/training-data", learning.training_data),
        Endpoint("GET", "/v1/patterns", views.patterns, page=True),
        Endpoint("POST", "/v1/patterns/{collection}/{id}/status", views.pattern_status, page=True),
        Endpoint("POST", "/v1/patterns/extract", learning.extract),
        Endpoint("GET", "/v1/patterns/queue", learning.queue),
        Endpoint("POST", "/v1/patterns/queue/replay", learning.replay),
        Endpoint("GET", "/v1/experiments", learning.experiments),
        Endpoint("GET", "/v1/dashboard", dashboard.figures, page=True),
        Endpoint("GET", "/v1/dashboard/events", dashboard.events, page=True),
        Endpoint("GET", "/v1/system/health", system.health),
        Endpoint("GET", "/v1/system/analysis", system.analysis),
        Endpoint("POST", "/mcp", mcp.serve),
        Endpoint("GET", ROOT, serving(page)),
        Endpoint("GET", f"{ROOT}session", login.show),
        Endpoint("POST", f"{ROOT}session", login.begin),
        Endpoint("DELETE", f"{ROOT}session", login.end),
        Endpoint("GET", "/health", service.health),
        Endpoint("GET", "/ready", service.ready),
        Endpoint("GET", "/metrics", service.metrics),
        Endpoint("GET", "/openapi.json", service.openapi),
    ]
