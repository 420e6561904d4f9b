"""The shapes of what the gateway answers, for the OpenAPI document and its tests.

Answers are not checked against these at run time: they are written by
``*_answers`` and ``*_stream``, or passed on byte for byte.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required

from pydantic import Field, with_config
from typing_extensions import TypedDict

from hybrid_coordinator.wire.openai_schemas import OPEN, FunctionToolCall

Count = Annotated[int, Field(ge=0)]
OpenAIFinish = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


@with_config(OPEN)
class PromptDetails(TypedDict, total=False):
    """Tokens of the prompt that the backend had cached."""

    cached_tokens: Count | None


@with_config(OPEN)
class OpenAIUsage(TypedDict, total=False):
    """Tokens of one answer."""

    prompt_tokens: Required[Count]
    completion_tokens: Required[Count]
    total_tokens: Required[Count]
    prompt_tokens_details: PromptDetails | None


@with_config(OPEN)
class AnswerMessage(TypedDict, total=False):
    """What the model said."""

    role: Required[Literal["assistant"]]
    content: Required[str | None]
    refusal: str | None
    reasoning_content: str | None
    tool_calls: list[FunctionToolCall] | None


@with_config(OPEN)
class AnswerChoice(TypedDict, total=False):
    """One answer."""

    index: Required[Count]
    message: Required[AnswerMessage]
    finish_reason: Required[OpenAIFinish]


@with_config(OPEN)
class ChatCompletion(TypedDict, total=False):
    """A whole answer."""

    id: Required[str]
    object: Required[Literal["chat.completion"]]
    created: Required[Count]
    model: Required[str]
    choices: Required[list[AnswerChoice]]
    usage: OpenAIUsage | None


@with_config(OPEN)
class FunctionPiece(TypedDict, total=False):
    """A piece of a function call."""

    name: str | None
    arguments: str | None


@with_config(OPEN)
class ToolCallPiece(TypedDict, total=False):
    """A piece of a tool call."""

    index: Required[Count]
    id: str | None
    type: Literal["function"] | None
    function: FunctionPiece | None


@with_config(OPEN)
class ChunkDelta(TypedDict, total=False):
    """What a chunk adds."""

    role: Literal["assistant"] | None
    content: str | None
    refusal: str | None
    reasoning_content: str | None
    tool_calls: list[ToolCallPiece] | None


@with_config(OPEN)
class ChunkChoice(TypedDict, total=False):
    """One answer's increment."""

    index: Required[Count]
    delta: Required[ChunkDelta]
    finish_reason: Required[OpenAIFinish | None]


@with_config(OPEN)
class ChatCompletionChunk(TypedDict, total=False):
    """One event of a streamed answer."""

    id: Required[str]
    object: Required[Literal["chat.completion.chunk"]]
    created: Required[Count]
    model: Required[str]
    choices: Required[list[ChunkChoice]]
    usage: OpenAIUsage | None


@with_config(OPEN)
class Embedding(TypedDict, total=False):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Required[Literal["embedding"]]
    index: Required[Count]
    embedding: Required[list[float] | str]


@with_config(OPEN)
class EmbeddingsUsage(TypedDict, total=False):
    """Tokens embedded."""

    prompt_tokens: Required[Count]
    total_tokens: Required[Count]


@with_config(OPEN)
class EmbeddingList(TypedDict, total=False):
    """The answer of POST /v1/embeddings."""

    object: Required[Literal["list"]]
    data: Required[list[Embedding]]
    model: Required[str]
    usage: Required[EmbeddingsUsage]


@with_config(OPEN)
class Model(TypedDict, total=False):
    """One model."""

    id: Required[str]
    object: Required[Literal["model"]]
    created: Required[Count]
    owned_by: Required[str]


@with_config(OPEN)
class ModelList(TypedDict, total=False):
    """The answer of GET /v1/models."""

    object: Required[Literal["list"]]
    data: Required[list[Model]]


@with_config(OPEN)
class OpenAIErrorDetail(TypedDict, total=False):
    """What went wrong: a sentence, its class, the field at fault, and a stable code."""

    message: Required[str]
    type: Required[str]
    param: Required[str | None]
    code: Required[str | None]


@with_config(OPEN)
class OpenAIError(TypedDict, total=False):
    """An error, as OpenAI clients expect it."""

    error: Required[OpenAIErrorDetail]


@with_config(OPEN)
class AnthropicUsage(TypedDict, total=False):
    """Tokens of one answer; ``input_tokens`` does not count cached ones."""

    input_tokens: Required[Count]
    output_tokens: Required[Count]
    cache_read_input_tokens: Count | None
    cache_creation_input_tokens: Count | None


@with_config(OPEN)
class AnthropicMessage(TypedDict, total=False):
    """The answer of POST /v1/messages."""

    id: Required[str]
    type: Required[Literal["message"]]
    role: Required[Literal["assistant"]]
    model: Required[str]
    content: Required[list[dict[str, Any]]]
    stop_reason: Required[str | None]
    stop_sequence: str | None
    usage: Required[AnthropicUsage]


@with_config(OPEN)
class TokenCount(TypedDict, total=False):
    """The answer of POST /v1/messages/count_tokens."""

    input_tokens: Required[Count]


@with_config(OPEN)
class AnthropicErrorDetail(TypedDict, total=False):
    """What went wrong: its class and a sentence."""

    type: Required[str]
    message: Required[str]


@with_config(OPEN)
class AnthropicError(TypedDict, total=False):
    """An error, as Anthropic clients expect it."""

    type: Required[Literal["error"]]
    error: Required[AnthropicErrorDetail]
    request_id: str | None
