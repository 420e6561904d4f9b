"""The OpenAPI 3.1 document, made from the very types that requests are validated with.

What there is to describe is in ``operations`` and ``learning_operations``; this
turns it into the document.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson
from pydantic import TypeAdapter

from hybrid_coordinator import __version__
from hybrid_coordinator.analysis.report import Analysis
from hybrid_coordinator.api import learning_schemas, schemas, sessions, view_schemas
from hybrid_coordinator.api.learning_operations import OPERATIONS
from hybrid_coordinator.api.operations import Operation
from hybrid_coordinator.conversation import CacheStatus, Json
from hybrid_coordinator.health_report import Report
from hybrid_coordinator.learning import records, view_records
from hybrid_coordinator.reporting.figures import DashboardData
from hybrid_coordinator.wire.schemas import openapi_components

__all__ = ["OPERATIONS", "document"]

_STATUS_TEXT: Final = {
    200: "As asked.",
    201: "Kept.",
    202: "Taken note of; there is nothing to answer.",
    400: "The request is malformed; the message says where.",
    401: "A key is needed, or this one is not known.",
    403: "This Host, Origin or caller may not.",
    404: "No such path, model, collection or interaction.",
    405: "The path takes other methods.",
    408: "The body did not arrive in time.",
    409: "Something else was said before.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A value does not fit what is stored, or is out of range.",
    429: "Too many requests; Retry-After says when to ask again.",
    500: "A defect of the coordinator.",
    502: "A backend gave no usable answer.",
    503: "Nothing that could answer is able to; the message names what was tried.",
    504: "A backend took too long.",
}


_EVENTS: Final = {
    False: 'data: {"object": "chat.completion.chunk", …}\n\ndata: [DONE]\n\n',
    True: 'event: message_start\ndata: {"type": "message_start", …}\n\n',
}
"""Streams have no schema: the document's version describes whole bodies only."""


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


_TEXT: Final[Json] = {"schema": {"type": "string"}}
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
            learning_schemas.TrackRequest,
            learning_schemas.TrackedResponse,
            learning_schemas.OutcomeRequest,
            learning_schemas.TrainingDataRequest,
            learning_schemas.ExtractRequest,
            learning_schemas.ReplayRequest,
            learning_schemas.ReplayedResponse,
            learning_schemas.ExperimentsResponse,
            records.InteractionView,
            records.OutcomeReceipt,
            records.Forgotten,
            records.DatasetReport,
            records.ExtractionReport,
            records.QueueView,
            sessions.LoginRequest,
            sessions.SessionView,
            view_schemas.PatternStatusRequest,
            view_records.InteractionPage,
            view_records.InteractionSteps,
            view_records.PatternPage,
            view_records.PatternChanged,
            DashboardData,
            Report,
            Analysis,
        )
    ]
    _, made = TypeAdapter.json_schemas(own, ref_template="#/components/schemas/{model}")
    definitions: Json = made["$defs"]
    return {
        **openapi_components(),
        **definitions,
        "OpenApiDocument": {"type": "object"},
        "McpMessage": _MCP_MESSAGE,
        "McpAnswer": _MCP_ANSWER,
    }


# The protocol describes itself; this is the envelope (JSON-RPC 2.0, one message, no batches).
_MCP_MESSAGE: Final[Json] = {
    "type": "object",
    "required": ["jsonrpc", "method"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "integer"]},
        "method": {"type": "string"},
        "params": {"type": "object"},
    },
}
_MCP_ANSWER: Final[Json] = {
    "type": "object",
    "required": ["jsonrpc", "id"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "integer"]},
        "result": {"type": "object"},
        "error": {"type": "object"},
    },
}


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
        shape = {"example": operation.example} if operation.example else _TEXT
        success[operation.text] = shape
    contents = {
        operation.status: success,
        **{status: _content(error) for status in operation.errors},
        **{s: {} if schema is None else _content(schema) for s, schema in operation.extra.items()},
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
        result["requestBody"] = {
            "required": operation.body_required,
            "content": _content(operation.request),
        }
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
