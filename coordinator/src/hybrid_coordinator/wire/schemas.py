"""JSON schemas of every request and answer of both dialects, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import TypeAdapter

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.wire import answer_schemas
from hybrid_coordinator.wire.anthropic_requests import COUNT_TOKENS_CHECK, MESSAGES_CHECK
from hybrid_coordinator.wire.openai_requests import CHAT_CHECK, EMBEDDINGS_CHECK

_REQUESTS: Final[dict[str, TypeAdapter[Any]]] = {
    "ChatCompletionRequest": CHAT_CHECK.adapter,
    "EmbeddingsRequest": EMBEDDINGS_CHECK.adapter,
    "MessagesRequest": MESSAGES_CHECK.adapter,
    "CountTokensRequest": COUNT_TOKENS_CHECK.adapter,
}
_ANSWERS: Final = (
    "ChatCompletion",
    "ChatCompletionChunk",
    "EmbeddingList",
    "ModelList",
    "OpenAIError",
    "AnthropicMessage",
    "TokenCount",
    "AnthropicError",
)


def openapi_components(ref_template: str = "#/components/schemas/{model}") -> dict[str, Json]:
    """``components.schemas``: the requests and answers by name, and what they refer to.

    Requests are the very types that bodies are checked against. Names:
    ``ChatCompletionRequest``, ``EmbeddingsRequest``, ``MessagesRequest``,
    ``CountTokensRequest``, ``ChatCompletion``, ``ChatCompletionChunk``,
    ``EmbeddingList``, ``ModelList``, ``OpenAIError``, ``AnthropicMessage``,
    ``TokenCount``, ``AnthropicError``.
    """
    adapters = dict(_REQUESTS)
    adapters.update((name, TypeAdapter(getattr(answer_schemas, name))) for name in _ANSWERS)
    mode: Literal["validation"] = "validation"
    inputs = [(name, mode, adapter) for name, adapter in adapters.items()]
    schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=ref_template)
    components: dict[str, Json] = dict(definitions.get("$defs", {}))
    for (name, _), schema in schemas.items():
        components.setdefault(name, schema)
    return components


def request_schema(name: str) -> Json:
    """One request's JSON schema, complete in itself."""
    return _REQUESTS[name].json_schema()
