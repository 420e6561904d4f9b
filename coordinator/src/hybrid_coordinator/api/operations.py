"""Every endpoint as the OpenAPI document shows it: what goes in, what comes out, what may fail.

A test holds the list against the endpoints that exist. How the document is
written is in ``openapi``; the schemas that are named here are made there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hybrid_coordinator.api import schemas
from hybrid_coordinator.conversation import Json
from hybrid_coordinator.settings import Collection

READ_ERRORS: Final = (400, 401, 403, 404, 405, 408, 413, 415, 422)
MODEL_ERRORS: Final = (*READ_ERRORS, 429, 500, 502, 503, 504)
ERRORS: Final = (400, 401, 403, 404, 405, 500, 503)


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint as the document shows it.

    ``request`` and ``response`` name schemas; ``text`` is the media type of an
    answer that is not JSON. ``status`` is that of success.
    """

    method: str
    path: str
    summary: str
    request: str | None = None
    body_required: bool = True
    status: int = 200
    response: str | None = None
    text: str | None = None
    example: str | None = None
    """Of such an answer, in place of a schema."""
    streams: bool = False
    errors: tuple[int, ...] = ERRORS
    anthropic: bool = False
    open: bool = False
    parameters: tuple[Json, ...] = ()
    extra: dict[int, str | None] = field(default_factory=dict)
    """Further answers by status, each with its schema where it has a body."""


def in_path(name: str, schema: Json) -> Json:
    """A part of the path as OpenAPI describes it."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


_COLLECTION: Final = in_path(
    "collection", {"type": "string", "enum": [str(name) for name in Collection]}
)
_IDS: Final[Json] = {
    "name": "id",
    "in": "query",
    "required": True,
    "description": "An item to delete; repeat it for several.",
    "schema": {
        "type": "array",
        "items": {"type": "string", "pattern": schemas.UUID_PATTERN},
        "minItems": 1,
        "maxItems": 1000,
    },
}
_MODEL_ID: Final = in_path("id", {"type": "string", "minLength": 1})
_CHAT_HEADERS: Final[tuple[Json, ...]] = (
    {
        "name": "x-hybrid-agent-type",
        "in": "header",
        "description": "What kind of agent asks; kept with the interaction.",
        "schema": {"type": "string", "pattern": schemas.AGENT_TYPE_PATTERN},
    },
    {
        "name": "cache-control",
        "in": "header",
        "description": "`no-cache`: do not answer from the cache; `no-store`: nor remember.",
        "schema": {"type": "string"},
    },
)

GATEWAY_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "POST",
        "/v1/chat/completions",
        "Answer a conversation (OpenAI).",
        request="ChatCompletionRequest",
        response="ChatCompletion",
        streams=True,
        errors=MODEL_ERRORS,
        parameters=_CHAT_HEADERS,
    ),
    Operation(
        "POST",
        "/v1/messages",
        "Answer a conversation (Anthropic).",
        request="MessagesRequest",
        response="AnthropicMessage",
        streams=True,
        errors=MODEL_ERRORS,
        anthropic=True,
        parameters=_CHAT_HEADERS,
    ),
    Operation(
        "POST",
        "/v1/messages/count_tokens",
        "Count the tokens of a conversation (Anthropic).",
        request="CountTokensRequest",
        response="TokenCount",
        errors=MODEL_ERRORS,
        anthropic=True,
        parameters=_CHAT_HEADERS[:1],
    ),
    Operation(
        "POST",
        "/v1/embeddings",
        "Turn texts into vectors (OpenAI).",
        request="EmbeddingsRequest",
        response="EmbeddingList",
        errors=MODEL_ERRORS,
    ),
    Operation("GET", "/v1/models", "List the names `model` accepts.", response="ModelList"),
    Operation(
        "GET", "/v1/models/{id}", "Show one model.", response="Model", parameters=(_MODEL_ID,)
    ),
    Operation(
        "POST",
        "/v1/augment",
        "Put stored knowledge around a question.",
        request="AugmentRequest",
        response="AugmentResponse",
        errors=MODEL_ERRORS,
    ),
    Operation(
        "POST",
        "/v1/search",
        "Search the stored knowledge.",
        request="SearchRequest",
        response="SearchResponse",
        errors=MODEL_ERRORS,
    ),
    Operation(
        "POST",
        "/v1/knowledge/{collection}",
        "Store items.",
        request="KnowledgeRequest",
        response="KnowledgeResponse",
        errors=MODEL_ERRORS,
        parameters=(_COLLECTION,),
    ),
    Operation(
        "DELETE",
        "/v1/knowledge/{collection}",
        "Delete items.",
        response="DeletedResponse",
        parameters=(_COLLECTION, _IDS),
    ),
    Operation(
        "POST",
        "/v1/cache/invalidate",
        "Evict cached answers that were wrong.",
        request="InvalidateRequest",
        response="InvalidateResponse",
        errors=MODEL_ERRORS,
    ),
    Operation(
        "GET",
        "/health",
        "Say that the process lives.",
        response="HealthResponse",
        errors=(400, 403, 405, 500),
        open=True,
    ),
    Operation(
        "GET",
        "/ready",
        "Say whether a question could be answered, and how each dependency is.",
        response="ReadyResponse",
        errors=(400, 403, 405, 500),
        open=True,
        extra={503: "ReadyResponse"},
    ),
    Operation("GET", "/metrics", "Metrics in Prometheus' text format.", text="text/plain"),
    Operation("GET", "/openapi.json", "This document.", response="OpenApiDocument"),
)
