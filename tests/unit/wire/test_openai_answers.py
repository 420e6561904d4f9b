"""Whole answers in OpenAI's dialect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from hybrid_coordinator.conversation import Completion, Dialect, FinishReason, ToolCall, Usage
from hybrid_coordinator.errors import (
    BackendOverloaded,
    Forbidden,
    HybridError,
    InvalidRequest,
    NoBackend,
    Unauthorized,
    UnknownModel,
)
from hybrid_coordinator.wire import ProtocolError, openai
from tests.unit.wire.strategies import QUICK, completions


def answer(message: dict[str, Any], **rest: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    choice |= rest.pop("choice", {})
    return orjson.dumps({"id": "c1", "model": "m", "created": 5, "choices": [choice], **rest})


@QUICK
@given(completions())
def test_a_completion_survives_encoding_and_parsing(completion: Completion) -> None:
    raw = openai.encode_completion(completion)
    parsed = openai.parse_completion(raw)
    assert parsed == replace(completion, raw=raw, raw_dialect=Dialect.OPENAI)


def test_the_body_is_kept_byte_for_byte() -> None:
    body = b' {"choices": [{"message":{"content":"\\u0041"}}], "x" : 1 }'
    parsed = openai.parse_completion(body)
    assert (parsed.raw, parsed.raw_dialect, parsed.text) == (body, Dialect.OPENAI, "A")


def test_usage_is_read_with_cached_tokens_and_marked_where_there_is_none() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    assert openai.parse_completion(answer({}, usage=usage)).usage == Usage(9, 4, 3)
    nothing: tuple[Any, ...] = (None, [], "12")
    for value in nothing:
        assert openai.parse_completion(answer({}, usage=value)).usage == Usage(estimated=True)
    odd = {"prompt_tokens": None, "completion_tokens": -1, "prompt_tokens_details": None}
    assert openai.parse_completion(answer({}, usage=odd)).usage == Usage()


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("eos_token", FinishReason.STOP),
        (None, FinishReason.STOP),
    ],
)
def test_finish_reasons_are_understood_and_unknown_ones_mean_stop(
    word: str | None, reason: FinishReason
) -> None:
    body = answer({"content": "x"}, choice={"finish_reason": word})
    assert openai.parse_completion(body).finish_reason is reason


def test_tool_calls_are_read_in_the_forms_servers_send() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"function": {"name": "g", "arguments": {"y": 2}}},
        {"id": "c", "type": "custom", "custom": {"name": "h", "input": "free"}},
        {"id": "d", "function": {"name": "i"}},
    ]
    parsed = openai.parse_completion(answer({"content": None, "tool_calls": calls}))
    assert parsed.tool_calls == (
        ToolCall("a", "f", '{"x":1}'),
        ToolCall("call_c1_1", "g", '{"y":2}'),
        ToolCall("c", "h", "free"),
        ToolCall("d", "i", ""),
    )
    assert parsed.text == ""
    assert parsed.finish_reason is FinishReason.TOOL_CALLS


def test_the_form_before_tool_calls_is_read() -> None:
    body = answer({"content": None, "function_call": {"name": "f", "arguments": "{}"}})
    assert openai.parse_completion(body).tool_calls == (ToolCall("call_c1_0", "f", "{}"),)


def test_reasoning_refusal_and_unknown_fields_are_kept() -> None:
    for name in ("reasoning_content", "reasoning"):
        parsed = openai.parse_completion(
            answer({"content": "a", name: "why", "refusal": "no", "annotations": [1]})
        )
        assert (parsed.reasoning, parsed.refusal) == ("why", "no")
        assert parsed.extra == {"annotations": [1]}
    assert b'"annotations":[1]' in openai.encode_completion(parsed)


def test_content_in_parts_is_joined_and_its_thinking_is_reasoning() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    parsed = openai.parse_completion(answer({"content": parts}))
    assert (parsed.text, parsed.reasoning) == ("ab", "hm")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"<html>Bad gateway</html>", "not JSON"),
        (b"[1]", "a list instead of an object"),
        (b"{}", "choices is missing"),
        (b'{"choices":[]}', "choices is missing, empty"),
        (b'{"choices":{}}', "not a list"),
        (b'{"choices":[1]}', "message is missing"),
        (b'{"choices":[{"message":"x"}]}', "message is missing or not an object"),
        (b'{"choices":[{"message":{"content":5}}]}', "content is a number"),
        (b'{"choices":[{"message":{"tool_calls":{"a":1}}}]}', "tool_calls is an object"),
        (b'{"choices":[{"message":{"tool_calls":[1]}}]}', r"tool_calls\[0\] is a number"),
        (b'{"choices":[{"message":{"tool_calls":[{"id":"a"}]}}]}', "names no function"),
        (b'{"error":{"message":"no memory"}}', "an error came .* no memory"),
        (b'{"error":"no memory"}', "an error came .* no memory"),
        (b'{"a":' * 1500, "not JSON"),
        (
            b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":'
            + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}}]}}]}",
            "cannot be written again",
        ),
    ],
)  # fmt: skip
def test_what_is_not_the_protocol_is_refused_with_a_reason(body: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        openai.parse_completion(body)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("Bad.", field="messages[0].role"), "invalid_request_error"),
        (Unauthorized("Who?"), "authentication_error"),
        (Forbidden("No."), "permission_error"),
        (UnknownModel("None such.", field="model"), "not_found_error"),
        (BackendOverloaded("Later.", backend="b"), "server_error"),
        (NoBackend("Nobody."), "server_error"),
    ],
)
def test_errors_have_openais_shape(error: HybridError, kind: str) -> None:
    assert orjson.loads(openai.error_body(error)) == {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.field,
            "code": error.code,
        }
    }


def test_a_429_is_a_rate_limit_error() -> None:
    assert openai.error_type(429) == "rate_limit_error"
