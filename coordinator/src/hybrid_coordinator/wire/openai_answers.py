"""OpenAI chat completions: whole answers to and from ``Completion``.

Reads what OpenAI and the many servers that imitate it send, with their
habits (null content, ``reasoning`` beside ``reasoning_content``, arguments
as an object, no usage), and writes what OpenAI documents. Streams are in
``openai_stream``.
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
from hybrid_coordinator.wire.faults import ProtocolError
from hybrid_coordinator.wire.json_text import (
    count_of,
    encoded,
    object_of,
    parse_answer,
    string_of,
    type_name,
)

FINISH_REASONS: Final[dict[Any, FinishReason]] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
"""OpenAI's words for why a model stopped; any other word means STOP."""

_KNOWN_MESSAGE_FIELDS: Final = frozenset(
    ("role", "content", "tool_calls", "refusal", "reasoning_content", "reasoning", "function_call")
)


def parse_completion(body: bytes) -> Completion:
    """A backend's ``chat.completion``; the first choice where there are several.

    Raises:
        ProtocolError: (a ``ValueError``) with a sentence that says why it is not the protocol.
    """
    answer = parse_answer(body, "the answer")
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ProtocolError(_why_no_choices(answer))
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise ProtocolError("choices[0].message is missing or not an object")
    completion_id = string_of(answer.get("id"))
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    text = message.get("content")
    if isinstance(text, list):
        text, thinking = _text_of_parts(text)
        reasoning = reasoning or thinking
    elif text is not None and not isinstance(text, str):
        raise ProtocolError(f"choices[0].message.content is {type_name(text)}, not a string")
    calls = _tool_calls(message, completion_id)
    finish = FINISH_REASONS.get(choice.get("finish_reason") or "stop", FinishReason.STOP)
    if calls and finish is FinishReason.STOP:
        finish = FinishReason.TOOL_CALLS  # Some servers say "stop" after a tool call.
    refusal = message.get("refusal")
    return Completion(
        id=completion_id,
        model=string_of(answer.get("model")),
        created=count_of(answer.get("created")),
        text=text or "",
        finish_reason=finish,
        usage=parse_usage(answer.get("usage")) or Usage(estimated=True),
        tool_calls=calls,
        reasoning=string_of(reasoning),
        refusal=refusal if isinstance(refusal, str) and refusal else None,
        extra={k: v for k, v in message.items() if k not in _KNOWN_MESSAGE_FIELDS},
        raw=body,
        raw_dialect=Dialect.OPENAI,
    )


def encode_completion(completion: Completion, *, model: str | None = None) -> bytes:
    """A ``chat.completion`` made of the canonical fields (``raw`` is not looked at).

    ``model`` replaces the name in the answer.
    """
    message: Json = {
        **completion.extra,
        "role": "assistant",
        "content": completion.text or (None if completion.tool_calls or completion.refusal else ""),
        "refusal": completion.refusal,
    }
    if completion.reasoning:
        message["reasoning_content"] = completion.reasoning
    if completion.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in completion.tool_calls
        ]
    return orjson.dumps(
        {
            "id": completion.id,
            "object": "chat.completion",
            "created": completion.created,
            "model": model or completion.model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": completion.finish_reason.value,
                }
            ],
            "usage": usage_json(completion.usage),
        }
    )


def parse_usage(usage: object) -> Usage | None:
    """OpenAI's ``usage`` object; nothing where there is none."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    return Usage(
        input_tokens=count_of(usage.get("prompt_tokens")),
        output_tokens=count_of(usage.get("completion_tokens")),
        cached_input_tokens=count_of(details.get("cached_tokens"))
        if isinstance(details, dict)
        else 0,
    )


def usage_json(usage: Usage) -> Json:
    """OpenAI's ``usage`` object."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    }


def arguments_text(arguments: object) -> str:
    """A tool call's arguments as JSON text; some servers send the object itself."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else encoded(arguments)


def _tool_calls(message: Json, completion_id: str) -> tuple[ToolCall, ...]:
    raw_calls = message.get("tool_calls")
    if not raw_calls:
        function = message.get("function_call")  # The form before tool_calls.
        if not isinstance(function, dict):
            return ()
        raw_calls = [{"function": function}]
    if not isinstance(raw_calls, list):
        raise ProtocolError(f"choices[0].message.tool_calls is {type_name(raw_calls)}, not a list")
    calls = []
    for index, call in enumerate(raw_calls):
        at = f"choices[0].message.tool_calls[{index}]"
        if not isinstance(call, dict):
            raise ProtocolError(f"{at} is {type_name(call)}, not an object")
        if "custom" in call:
            custom = object_of(call["custom"])
            name, arguments = custom.get("name"), custom.get("input")
        else:
            function = object_of(call.get("function"))
            name, arguments = function.get("name"), function.get("arguments")
        if not isinstance(name, str) or not name:
            raise ProtocolError(f"{at} names no function")
        call_id = string_of(call.get("id")) or f"call_{completion_id}_{index}"
        calls.append(ToolCall(id=call_id, name=name, arguments=arguments_text(arguments)))
    return tuple(calls)


def _text_of_parts(parts: list[Any]) -> tuple[str, str]:
    """Text and reasoning of content that is a list of typed parts."""
    text: list[str] = []
    thinking: list[str] = []
    for part in parts:
        if not isinstance(part, dict):
            continue
        if part.get("type") == "text":
            text.append(string_of(part.get("text")))
        elif part.get("type") == "thinking":
            inner = part.get("thinking")
            thinking.append(
                _text_of_parts(inner)[0] if isinstance(inner, list) else string_of(inner)
            )
    return "".join(text), "".join(thinking)


def _why_no_choices(answer: Json) -> str:
    error = answer.get("error")
    if error:
        message = error.get("message") if isinstance(error, dict) else error
        return f"an error came with the status of an answer: {message}"
    return "choices is missing, empty or not a list"
