"""The OpenAPI 3.1 document, made from the very types that requests are validated with.

``OPERATIONS`` says for each endpoint what goes in and comes out; a test holds
it against the endpoints that exist. How the pieces of the document are
written is below it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson
from pydantic import TypeAdapter

from hybrid_coordinator import __version__
from hybrid_coordinator.api import schemas
from hybrid_coordinator.conversation import CacheStatus, Json
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.wire.schemas import openapi_components

_READ_ERRORS: Final = (400, 401, 403, 404, 405, 408, 413, 415, 422)
_MODEL_ERRORS: Final = (*_READ_ERRORS, 429, 500, 502, 503, 504)
_ERRORS: Final = (400, 401, 403, 404, 405, 500, 503)

_STATUS_TEXT: Final = {
    200: "As asked.",
    400: "The request is malformed; the message says where.",
    401: "A key is needed, or this one is not known.",
    403: "This Host, Origin or caller may not.",
    404: "No such path, model or collection.",
    405: "The path takes other methods.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A value does not fit what is stored.",
    429: "A backend limits requests.",
    500: "A defect of the coordinator.",
    502: "A backend gave no usable answer.",
    503: "Nothing that could answer is able to; the message names what was tried.",
    504: "A backend took too long.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint as the document shows it.

    ``request`` and ``response`` name schemas; ``text`` is the media type of an
    answer that is not JSON.
    """

    method: str
    path: str
    summary: str
    request: str | None = None
    response: str | None = None
    text: str | None = None
    streams: bool = False
    errors: tuple[int, ...] = _ERRORS
    anthropic: bool = False
    open: bool = False
    parameters: tuple[Json, ...] = ()
    extra: dict[int, str] = field(default_factory=dict)
    """Further answers by status, each with its schema."""


_COLLECTION: Final[Json] = {
    "name": "collection",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "enum": [str(name) for name in Collection]},
}
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
_MODEL_ID: Final[Json] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}
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

_EVENTS: Final = {
    False: 'data: {"object": "chat.completion.chunk", …}\n\ndata: [DONE]\n\n',
    True: 'event: message_start\ndata: {"type": "message_start", …}\n\n',
}
"""Streams have no schema: the document's version describes whole bodies only."""

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "POST",
        "/v1/chat/completions",
        "Answer a conversation (OpenAI).",
        request="ChatCompletionRequest",
        response="ChatCompletion",
        streams=True,
        errors=_MODEL_ERRORS,
        parameters=_CHAT_HEADERS,
    ),
    Operation(
        "POST",
        "/v1/messages",
        "Answer a conversation (Anthropic).",
        request="MessagesRequest",
        response="AnthropicMessage",
        streams=True,
        errors=_MODEL_ERRORS,
        anthropic=True,
        parameters=_CHAT_HEADERS,
    ),
    Operation(
        "POST",
        "/v1/messages/count_tokens",
        "Count the tokens of a conversation (Anthropic).",
        request="CountTokensRequest",
        response="TokenCount",
        errors=_MODEL_ERRORS,
        anthropic=True,
        parameters=_CHAT_HEADERS[:1],
    ),
    Operation(
        "POST",
        "/v1/embeddings",
        "Turn texts into vectors (OpenAI).",
        request="EmbeddingsRequest",
        response="EmbeddingList",
        errors=_MODEL_ERRORS,
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
        errors=_MODEL_ERRORS,
    ),
    Operation(
        "POST",
        "/v1/search",
        "Search the stored knowledge.",
        request="SearchRequest",
        response="SearchResponse",
        errors=_MODEL_ERRORS,
    ),
    Operation(
        "POST",
        "/v1/knowledge/{collection}",
        "Store items.",
        request="KnowledgeRequest",
        response="KnowledgeResponse",
        errors=_MODEL_ERRORS,
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
        errors=_MODEL_ERRORS,
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


def document(*, needs_key: bool) -> bytes:
    """The document as JSON; ``needs_key`` says whether a key is configured."""
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        method = operation.method.lower()
        paths.setdefault(operation.path, {})[method] = _operation(operation, needs_key)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "hybrid-ai coordinator",
                "version": __version__,
                "description": "A self-hosted AI gateway that learns from its own use.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "schemas": _schemas(),
                "headers": _HEADERS,
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
            },
        },
        option=orjson.OPT_SORT_KEYS,
    )


_HEADERS: Final[Json] = {
    "x-hybrid-interaction-id": {
        "description": "The id of this request, for the log and for feedback.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "x-hybrid-cache": {
        "description": "What the cache had to do with the answer.",
        "schema": {"type": "string", "enum": [str(status) for status in CacheStatus]},
    },
    "x-hybrid-route": {
        "description": "Where the answer came from.",
        "schema": {"type": "string"},
    },
    "x-hybrid-reason": {
        "description": "Why it went that way; for an error, its code.",
        "schema": {"type": "string"},
    },
}


def _schemas() -> Json:
    mode: Literal["validation"] = "validation"
    own: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [
        (model.__name__, mode, TypeAdapter(model))
        for model in (
            schemas.AugmentRequest,
            schemas.AugmentResponse,
            schemas.SearchRequest,
            schemas.SearchResponse,
            schemas.KnowledgeRequest,
            schemas.KnowledgeResponse,
            schemas.DeletedResponse,
            schemas.InvalidateRequest,
            schemas.InvalidateResponse,
            schemas.HealthResponse,
            schemas.ReadyResponse,
        )
    ]
    _, made = TypeAdapter.json_schemas(own, ref_template="#/components/schemas/{model}")
    definitions: Json = made["$defs"]
    return {**openapi_components(), **definitions, "OpenApiDocument": {"type": "object"}}


def _content(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _operation(operation: Operation, needs_key: bool) -> Json:
    error = "AnthropicError" if operation.anthropic else "OpenAIError"
    success: Json = {}
    if operation.response is not None:
        success.update(_content(operation.response))
    if operation.streams:
        success["text/event-stream"] = {"example": _EVENTS[operation.anthropic]}
    if operation.text is not None:
        success[operation.text] = {"schema": {"type": "string"}}
    contents = {
        200: success,
        **{status: _content(error) for status in operation.errors},
        **{status: _content(schema) for status, schema in operation.extra.items()},
    }
    secured = needs_key and not operation.open
    result: Json = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "responses": {str(status): _response(status, c) for status, c in contents.items()},
        "security": [{"bearer": []}, {"apiKey": []}] if secured else [],
    }
    if operation.parameters:
        result["parameters"] = list(operation.parameters)
    if operation.request is not None:
        result["requestBody"] = {"required": True, "content": _content(operation.request)}
    return result


def _response(status: int, content: Json) -> Json:
    return {
        "description": _STATUS_TEXT[status],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS},
        "content": content,
    }


def _name(operation: Operation) -> str:
    words = [
        word
        for word in operation.path.replace("{", "").replace("}", "").replace(".", "/").split("/")
        if word and word != "v1"
    ]
    return "_".join([operation.method.lower(), *words])
