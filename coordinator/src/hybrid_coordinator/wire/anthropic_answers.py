"""Anthropic messages: whole answers to and from ``Completion``.

Streams are in ``anthropic_stream`` (reading) and ``anthropic_events`` (writing).
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from hybrid_coordinator.conversation import (
    Completion,
    Dialect,
    FinishReason,
    Json,
    ToolCall,
    Usage,
)
from hybrid_coordinator.wire.anthropic_blocks import tool_input
from hybrid_coordinator.wire.faults import ProtocolError
from hybrid_coordinator.wire.json_text import (
    count_of,
    encoded,
    object_of,
    parse_answer,
    string_of,
    type_name,
)

STOP_REASONS: Final[dict[Any, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
"""Anthropic's words for why a model stopped; any other word means STOP."""

_WORDS: Final = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}


def parse_message(body: bytes, *, created: int = 0) -> Completion:
    """A backend's message; ``created`` (epoch seconds) is not in it and is the caller's.

    Raises:
        ProtocolError: (a ``ValueError``) with a sentence that says why it is not the protocol.
    """
    answer = parse_answer(body, "the answer")
    blocks = answer.get("content")
    if not isinstance(blocks, list):
        raise ProtocolError(_why_no_content(answer))
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[ToolCall] = []
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise ProtocolError(f"content[{index}] is {type_name(block)}, not an object")
        kind = block.get("type")
        if kind == "text":
            text.append(string_of(block.get("text")))
        elif kind == "thinking":
            reasoning.append(string_of(block.get("thinking")))
        elif kind == "tool_use":
            calls.append(_tool_call(block, index))
    return Completion(
        id=string_of(answer.get("id")),
        model=string_of(answer.get("model")),
        created=created,
        text="".join(text),
        finish_reason=STOP_REASONS.get(answer.get("stop_reason"), FinishReason.STOP),
        usage=parse_usage(answer.get("usage")),
        tool_calls=tuple(calls),
        reasoning="".join(reasoning),
        refusal=refusal_of(answer),
        raw=body,
        raw_dialect=Dialect.ANTHROPIC,
    )


def encode_message(completion: Completion, *, model: str | None = None) -> bytes:
    """A message made of the canonical fields (``raw`` is not looked at).

    Reasoning becomes a thinking block without a signature; ``native_call``
    takes it out again should it come back. ``model`` replaces the name.
    """
    blocks: list[Json] = []
    if completion.reasoning:
        blocks.append({"type": "thinking", "thinking": completion.reasoning, "signature": ""})
    if text := completion.text or completion.refusal:
        blocks.append({"type": "text", "text": text})
    blocks += [
        {"type": "tool_use", "id": c.id, "name": c.name, "input": tool_input(c.arguments)}
        for c in completion.tool_calls
    ]
    return orjson.dumps(
        {
            "id": completion.id,
            "type": "message",
            "role": "assistant",
            "model": model or completion.model,
            "content": blocks,
            "stop_reason": stop_word(
                completion.finish_reason,
                called=bool(completion.tool_calls),
                refused=bool(completion.refusal),
            ),
            "stop_sequence": None,
            "usage": usage_json(completion.usage),
        }
    )


def stop_word(reason: FinishReason, *, called: bool, refused: bool) -> str:
    """Anthropic's ``stop_reason``; clients run tools only where it says ``tool_use``."""
    if reason is FinishReason.STOP and called:
        return "tool_use"
    if reason is FinishReason.STOP and refused:
        return "refusal"
    return _WORDS[reason]


def parse_usage(usage: object) -> Usage:
    """Anthropic's ``usage``, whose ``input_tokens`` leave out what was cached; ours count all."""
    if not isinstance(usage, dict):
        return Usage(estimated=True)
    cached = count_of(usage.get("cache_read_input_tokens"))
    return Usage(
        input_tokens=count_of(usage.get("input_tokens"))
        + count_of(usage.get("cache_creation_input_tokens"))
        + cached,
        output_tokens=count_of(usage.get("output_tokens")),
        cached_input_tokens=cached,
    )


def usage_json(usage: Usage) -> Json:
    """Anthropic's ``usage`` object."""
    return {
        "input_tokens": max(0, usage.input_tokens - usage.cached_input_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }


def refusal_of(fields: Json) -> str | None:
    """The explanation that may come with the stop reason ``refusal``."""
    if fields.get("stop_reason") != "refusal":
        return None
    return string_of(object_of(fields.get("stop_details")).get("explanation")) or None


def _tool_call(block: Json, index: int) -> ToolCall:
    call_id, name = block.get("id"), block.get("name")
    if not isinstance(call_id, str) or not isinstance(name, str) or not name:
        raise ProtocolError(f"content[{index}] is a tool_use without id or name")
    arguments = encoded(block.get("input") or {})
    return ToolCall(id=call_id, name=name, arguments=arguments)


def _why_no_content(answer: Json) -> str:
    error = answer.get("error")
    if isinstance(error, dict):
        return f"an error came with the status of an answer: {error.get('message')}"
    return "content is missing or not a list"
