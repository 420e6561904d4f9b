"""Streamed answers in OpenAI's dialect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given

from hybrid_coordinator.conversation import (
    Delta,
    Dialect,
    FinishReason,
    ToolCallDelta,
    Usage,
)
from hybrid_coordinator.errors import BackendTimeout
from hybrid_coordinator.wire import (
    EventSplitter,
    ProtocolError,
    ServerSentEvent,
    StreamError,
    openai,
)
from tests.unit.wire.strategies import QUICK, folded, streams


def event(data: Any) -> ServerSentEvent:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    return ServerSentEvent(None, body, b"data: " + body + b"\n\n")


def chunk(delta: Any = None, **rest: Any) -> ServerSentEvent:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": rest.pop("reason", None)}
    return event({"id": "c1", "model": "m", "choices": [choice], **rest})


def written(encoder: openai.ChunkEncoder, deltas: Iterable[Delta]) -> bytes:
    return b"".join(encoder.encode(delta) for delta in deltas) + encoder.finish()


def parsed(stream: bytes) -> list[Delta]:
    deltas = [openai.parse_chunk(e) for e in EventSplitter().feed(stream)]
    assert deltas.pop() is None, "the stream ends with [DONE]"
    return [delta for delta in deltas if delta is not None]


def chunks(stream: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(e.data) for e in EventSplitter().feed(stream)[:-1]]


@QUICK
@given(streams(interleaved=True))
def test_a_stream_survives_encoding_and_parsing(deltas: list[Delta]) -> None:
    stream = written(openai.ChunkEncoder("c1", "m", 5, include_usage=True), deltas)
    back = parsed(stream)
    assert folded(back) == folded(deltas)
    assert b"".join(d.raw or b"" for d in back) + openai.DONE == stream
    assert {(d.id, d.model, d.raw_dialect) for d in back} == {("c1", "m", Dialect.OPENAI)}


@QUICK
@given(streams())
def test_a_stream_is_legal_chunk_by_chunk(deltas: list[Delta]) -> None:
    sent = chunks(written(openai.ChunkEncoder("c1", "m", 5, include_usage=True), deltas))
    *content, last, usage = sent
    assert content or last["choices"][0]["delta"]["role"] == "assistant"
    if content:
        assert content[0]["choices"][0]["delta"]["role"] == "assistant"
        assert all("role" not in c["choices"][0]["delta"] for c in content[1:])
    assert all(c["choices"][0]["finish_reason"] is None for c in content)
    assert last["choices"][0]["finish_reason"] in ("stop", "length", "tool_calls")
    assert usage["choices"] == []
    assert usage["usage"]["prompt_tokens"] >= 0


def test_usage_is_sent_only_where_it_was_asked_for_and_is_known() -> None:
    deltas = [Delta(text="a"), Delta(usage=Usage(1, 2)), Delta(finish_reason=FinishReason.STOP)]
    asked = written(openai.ChunkEncoder("c", "m", 5, include_usage=True), deltas)
    assert chunks(asked)[-1]["usage"]["total_tokens"] == 3
    for include, given_deltas in ((False, deltas), (True, deltas[:1])):
        stream = written(openai.ChunkEncoder("c", "m", 5, include_usage=include), given_deltas)
        assert b"usage" not in stream


def test_an_answer_without_anything_is_still_a_legal_stream() -> None:
    sent = chunks(written(openai.ChunkEncoder("c", "m", 5, include_usage=False), []))
    assert [c["choices"][0]["finish_reason"] for c in sent] == ["stop"]
    assert sent[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_increments_without_content_write_nothing() -> None:
    encoder = openai.ChunkEncoder("c", "m", 5, include_usage=True)
    assert encoder.encode(Delta(raw=b": ping\n\n")) == b""
    assert encoder.encode(Delta(usage=Usage(1, 1), finish_reason=FinishReason.LENGTH)) == b""


def test_stop_after_a_tool_call_is_written_as_tool_calls_and_missing_ids_are_made() -> None:
    deltas = [
        Delta(tool_calls=(ToolCallDelta(0, None, "f", "{}"),)),
        Delta(finish_reason=FinishReason.STOP),
    ]
    sent = chunks(written(openai.ChunkEncoder("c", "m", 5, include_usage=False), deltas))
    call = sent[0]["choices"][0]["delta"]["tool_calls"][0]
    assert call == {
        "index": 0,
        "id": "call_c_0",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
    }
    assert sent[1]["choices"][0]["finish_reason"] == "tool_calls"


def test_an_error_is_an_event_with_openais_error_object() -> None:
    encoder = openai.ChunkEncoder("c", "m", 5, include_usage=False)
    (sent,) = EventSplitter().feed(encoder.error(BackendTimeout("Too slow.", backend="b")))
    assert orjson.loads(sent.data)["error"]["code"] == "backend_timeout"
    with pytest.raises(StreamError, match=r"Too slow\."):
        openai.parse_chunk(sent)


def test_done_ends_a_stream() -> None:
    assert openai.parse_chunk(event(b"[DONE]")) is None
    assert openai.parse_chunk(event(b" [DONE] ")) is None


def test_only_the_first_choice_is_read() -> None:
    second = event({"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"}]})
    delta = openai.parse_chunk(second)
    assert delta is not None
    assert (delta.text, delta.finish_reason, delta.raw) == ("", None, second.raw)


def test_deltas_are_read_in_the_forms_servers_send() -> None:
    delta = openai.parse_chunk(
        chunk(
            {
                "content": [{"type": "text", "text": "a"}],
                "reasoning": "r",
                "refusal": "n",
                "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": None}}],
            },
            reason="odd",
            usage={"prompt_tokens": 1, "completion_tokens": 2},
        )
    )
    assert delta is not None
    assert (delta.text, delta.reasoning, delta.refusal) == ("a", "r", "n")
    assert delta.tool_calls == (ToolCallDelta(0, "x", "f", ""),)
    assert (delta.finish_reason, delta.usage) == (FinishReason.STOP, Usage(1, 2))
    legacy = openai.parse_chunk(chunk({"content": None, "function_call": {"name": "f"}}))
    assert legacy is not None
    assert legacy.tool_calls == (ToolCallDelta(0, None, "f", ""),)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "full", "code": 429}, 429),
        ({"message": "full", "code": "503"}, 503),
        ({"message": "full", "code": "rate_limit_exceeded"}, None),
        ({"message": "full", "status": 500}, 500),
        ({"message": "full", "code": 7}, None),
        ("full", None),
    ],
)
def test_an_error_inside_a_stream_is_a_stream_error(error: Any, status: int | None) -> None:
    with pytest.raises(StreamError, match="full") as raised:
        openai.parse_chunk(event({"error": error}))
    assert raised.value.status == status


def test_an_event_named_error_is_a_stream_error_whatever_it_holds() -> None:
    with pytest.raises(StreamError, match="boom"):
        openai.parse_chunk(ServerSentEvent("error", b'{"message":"boom"}', b""))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"{}", b'{"choices":{}}', b'{"choices":[1]}',
        b'{"choices":[{"delta":"x"}]}', b'{"choices":[{"delta":{"tool_calls":{"a":1}}}]}',
        b'{"choices":[{"delta":{"tool_calls":["x"]}}]}',
    ],
)  # fmt: skip
def test_what_is_not_the_protocol_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        openai.parse_chunk(event(data))


def test_usage_is_stripped_for_a_client_that_did_not_ask() -> None:
    plain = chunk({"content": 'he said "usage"'}).raw
    assert openai.strip_usage(plain) is plain
    null = chunk({"content": "a"}, usage=None).raw
    assert openai.strip_usage(null) is null
    alone = event({"choices": [], "usage": {"prompt_tokens": 1}}).raw
    assert openai.strip_usage(alone) is None
    mixed = openai.strip_usage(chunk({"content": "a"}, usage={"prompt_tokens": 1}).raw)
    assert mixed is not None
    assert b"usage" not in mixed
    assert parsed(mixed + openai.DONE)[0].text == "a"
    assert openai.strip_usage(plain + alone + openai.DONE) == plain + openai.DONE
