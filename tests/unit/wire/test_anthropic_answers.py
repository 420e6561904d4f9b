"""Whole answers in Anthropic's dialect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from hybrid_coordinator.conversation import Completion, Dialect, FinishReason, ToolCall, Usage
from hybrid_coordinator.errors import (
    BackendTimeout,
    Forbidden,
    HybridError,
    InvalidRequest,
    NoBackend,
    RequestTooLarge,
    Unauthorized,
    UnknownModel,
)
from hybrid_coordinator.wire import ProtocolError, anthropic
from tests.unit.wire.strategies import QUICK, completions


def message(*blocks: Any, **rest: Any) -> bytes:
    return orjson.dumps({"id": "m1", "type": "message", "model": "c", "content": blocks, **rest})


@QUICK
@given(completions())
def test_a_completion_survives_encoding_and_parsing(completion: Completion) -> None:
    raw = anthropic.encode_message(completion)
    parsed = anthropic.parse_message(raw, created=completion.created)
    calls = tuple(replace(c, arguments=canonical(c.arguments)) for c in completion.tool_calls)
    assert parsed == replace(completion, tool_calls=calls, raw=raw, raw_dialect=Dialect.ANTHROPIC)


def canonical(arguments: str) -> str:
    return orjson.dumps(orjson.loads(arguments)).decode()


def test_blocks_become_text_reasoning_and_tool_calls_in_order() -> None:
    body = message(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "The sky "},
        {"type": "text", "text": "is blue.", "citations": []},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}},
        {"type": "tool_use", "id": "u", "name": "g", "input": {}},
        stop_reason="tool_use",
    )
    parsed = anthropic.parse_message(body)
    assert (parsed.text, parsed.reasoning) == ("The sky is blue.", "hm")
    assert parsed.tool_calls == (ToolCall("t", "f", '{"a":[1]}'), ToolCall("u", "g", "{}"))
    assert parsed.finish_reason is FinishReason.TOOL_CALLS
    assert parsed.raw == body


def test_cached_and_newly_cached_tokens_count_as_input() -> None:
    """OpenAI's prompt_tokens (and ours) are all; Anthropic's input_tokens are what is left."""
    usage = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 300,
        "output_tokens": 7,
    }
    parsed = anthropic.parse_message(message(usage=usage)).usage
    assert parsed == Usage(input_tokens=325, output_tokens=7, cached_input_tokens=300)
    assert anthropic.parse_message(message()).usage == Usage(estimated=True)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("pause_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("news", FinishReason.STOP),
        (None, FinishReason.STOP),
    ],
)
def test_stop_reasons_are_understood(word: str | None, reason: FinishReason) -> None:
    assert anthropic.parse_message(message(stop_reason=word)).finish_reason is reason


def test_a_refusals_explanation_is_kept() -> None:
    body = message(stop_reason="refusal", stop_details={"explanation": "not this"})
    assert anthropic.parse_message(body).refusal == "not this"


def test_clients_are_told_to_run_tools_whatever_the_backend_called_it() -> None:
    completion = Completion(
        "i", "m", 0, "", FinishReason.STOP, Usage(), tool_calls=(ToolCall("a", "f", ""),)
    )
    sent = orjson.loads(anthropic.encode_message(completion, model="other"))
    assert (sent["stop_reason"], sent["model"]) == ("tool_use", "other")
    assert sent["content"][0]["input"] == {}


def test_arguments_that_are_no_object_are_kept_as_text() -> None:
    for text in ("[1]", '{"a":', '{"a":' * 300 + "1" + "}" * 300):
        completion = Completion(
            "i", "m", 0, "", FinishReason.STOP, Usage(), tool_calls=(ToolCall("a", "f", text),)
        )
        sent = orjson.loads(anthropic.encode_message(completion))
        assert sent["content"][0]["input"] == {"arguments": text}


def test_an_openai_refusal_is_text_with_the_stop_reason_refusal() -> None:
    completion = Completion("i", "m", 0, "", FinishReason.STOP, Usage(), refusal="No.")
    sent = orjson.loads(anthropic.encode_message(completion))
    assert (sent["content"], sent["stop_reason"]) == ([{"type": "text", "text": "No."}], "refusal")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"[]", "a list instead of an object"),
        (b"{}", "content is missing"),
        (b'{"content":"x"}', "not a list"),
        (b'{"content":[5]}', r"content\[0\] is a number"),
        (b'{"content":[{"type":"tool_use","id":"a"}]}', "without id or name"),
        (b'{"type":"error","error":{"message":"full"}}', "an error came .* full"),
        (
            b'{"content":[{"type":"tool_use","id":"a","name":"f","input":'
            + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}]}",
            "cannot be written again",
        ),
    ],
)  # fmt: skip
def test_what_is_not_the_protocol_is_refused_with_a_reason(body: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        anthropic.parse_message(body)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("Bad."), "invalid_request_error"),
        (Unauthorized("Who?"), "authentication_error"),
        (Forbidden("No."), "permission_error"),
        (UnknownModel("None such."), "not_found_error"),
        (RequestTooLarge("Big."), "request_too_large"),
        (NoBackend("Nobody."), "overloaded_error"),
        (BackendTimeout("Slow.", backend="b"), "timeout_error"),
        (HybridError("Oh."), "api_error"),
    ],
)
def test_errors_have_anthropics_shape(error: HybridError, kind: str) -> None:
    body = {"type": "error", "error": {"type": kind, "message": error.message}}
    assert orjson.loads(anthropic.error_body(error)) == body
    assert orjson.loads(anthropic.error_body(error, "r1")) == {**body, "request_id": "r1"}


def test_error_types_and_statuses_belong_together() -> None:
    assert anthropic.error_type(429) == "rate_limit_error"
    assert anthropic.error_type(422) == "invalid_request_error"
    assert anthropic.error_type(502) == "api_error"
    assert anthropic.status_of("rate_limit_error") == 429
    assert anthropic.status_of("overloaded_error") == 529
    assert anthropic.status_of("new_error") is anthropic.status_of(None) is None
