"""Streamed answers in Anthropic's dialect."""

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
    anthropic,
)
from tests.unit.wire.strategies import QUICK, folded, streams


def event(data: Any) -> ServerSentEvent:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    return ServerSentEvent(None, body, b"data: " + body + b"\n\n")


def written(deltas: Iterable[Delta], encoder: anthropic.EventEncoder | None = None) -> bytes:
    encoder = encoder or anthropic.EventEncoder("m1", "c")
    return b"".join(encoder.encode(delta) for delta in deltas) + encoder.finish()


def parsed(stream: bytes) -> list[Delta]:
    parser = anthropic.EventParser()
    deltas = [parser.parse(e) for e in EventSplitter().feed(stream)]
    assert deltas.pop() is None, "the stream ends with message_stop"
    return [delta for delta in deltas if delta is not None]


def events(stream: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(e.data) for e in EventSplitter().feed(stream)]


@QUICK
@given(streams(interleaved=True))
def test_a_stream_survives_encoding_and_parsing(deltas: list[Delta]) -> None:
    stream = written(deltas)
    back = parsed(stream)
    assert folded(back) == folded(deltas)
    assert b"".join(d.raw or b"" for d in back) + anthropic.MESSAGE_STOP == stream
    assert all(d.raw_dialect is Dialect.ANTHROPIC for d in back)
    assert (back[0].id, back[0].model) == ("m1", "c")


@QUICK
@given(streams(interleaved=True))
def test_a_stream_is_legal_event_by_event(deltas: list[Delta]) -> None:
    """message_start, then whole blocks one after another, then message_delta and message_stop."""
    first, *blocks, delta, stop = events(written(deltas))
    assert (first["type"], delta["type"], stop["type"]) == (
        "message_start",
        "message_delta",
        "message_stop",
    )
    assert delta["delta"]["stop_reason"] in ("end_turn", "max_tokens", "tool_use")
    is_open, index = False, -1
    for data in blocks:
        if data["type"] == "content_block_start":
            assert not is_open
            is_open, index = True, index + 1
        else:
            assert is_open
            is_open = data["type"] != "content_block_stop"
        assert data["index"] == index
    assert not is_open


def test_event_names_are_their_types() -> None:
    for sent in EventSplitter().feed(written([Delta(text="a", reasoning="b")]) + anthropic.PING):
        assert sent.event == orjson.loads(sent.data)["type"]


def test_the_order_of_a_typical_answer() -> None:
    deltas = [
        Delta(raw=b": nothing to see\n\n"),
        Delta(reasoning="hm"),
        Delta(text="I look."),
        Delta(tool_calls=(ToolCallDelta(0, "t", "f", ""),)),
        Delta(tool_calls=(ToolCallDelta(0, arguments='{"a":1}'),)),
        Delta(finish_reason=FinishReason.STOP),
        Delta(usage=Usage(12, 3, 10)),
    ]
    sent = events(written(deltas, anthropic.EventEncoder("m1", "c", input_tokens=12)))
    assert [(d["type"], d.get("index")) for d in sent] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert sent[0]["message"]["usage"]["input_tokens"] == 12
    assert sent[7]["content_block"] == {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert sent[10]["delta"]["stop_reason"] == "tool_use"
    assert sent[10]["usage"]["input_tokens"] == 2
    assert sent[10]["usage"]["cache_read_input_tokens"] == 10


def test_an_answer_without_anything_is_still_a_legal_stream() -> None:
    assert [d["type"] for d in events(written([]))] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]


def test_a_refusal_is_text_with_the_stop_reason_refusal() -> None:
    sent = events(written([Delta(refusal="No."), Delta(finish_reason=FinishReason.STOP)]))
    assert sent[2]["delta"] == {"type": "text_delta", "text": "No."}
    assert sent[-2]["delta"]["stop_reason"] == "refusal"


def test_a_tool_call_without_an_id_gets_one_and_odd_ids_are_made_plain() -> None:
    calls = (ToolCallDelta(0, None, "f", "{}"), ToolCallDelta(1, "functions.f:1", "f", "{}"))
    blocks = [
        d["content_block"]["id"]
        for d in events(written([Delta(tool_calls=calls)]))
        if d["type"] == "content_block_start"
    ]
    assert blocks == ["call_m1_0", "functions_f_1"]


def test_an_error_is_an_event_with_anthropics_error_object() -> None:
    encoder = anthropic.EventEncoder("m1", "c")
    (sent,) = EventSplitter().feed(encoder.error(BackendTimeout("Too slow.", backend="b")))
    assert sent.event == "error"
    with pytest.raises(StreamError, match=r"Too slow\.") as raised:
        anthropic.EventParser().parse(sent)
    assert raised.value.status == 504


def test_a_real_stream_is_read() -> None:
    """The events in the shape the API documents, with what this package has no word for."""
    start = {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 4, "output_tokens": 1}}
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    tool = {"type": "tool_use", "id": "t", "name": "now", "input": {}}

    def delta(index: int, **fields: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": fields}

    def begin(index: int, block: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    def end(index: int) -> dict[str, Any]:
        return {"type": "content_block_stop", "index": index}

    stream = [
        {"type": "message_start", "message": start},
        begin(0, {"type": "thinking", "thinking": "", "signature": ""}),
        {"type": "ping"},
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="c2ln"),
        end(0),
        begin(1, search),
        delta(1, type="input_json_delta", partial_json='{"q":1}'),
        end(1),
        begin(2, {"type": "text", "text": ""}),
        delta(2, type="text_delta", text="Noon."),
        delta(2, type="citations_delta", citation={}),
        end(2),
        begin(3, tool),
        delta(3, type="input_json_delta", partial_json=""),
        end(3),
        {"type": "hologram", "data": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use"},
            "usage": {"output_tokens": 9, "cache_read_input_tokens": 6, "input_tokens": None},
        },
        {"type": "message_stop"},
    ]
    raw = b"".join(event(data).raw for data in stream)
    deltas = parsed(raw)
    assert folded(deltas) == {
        "text": "Noon.",
        "reasoning": "hm",
        "refusal": "",
        "calls": [("t", "now", "{}")],
        "reason": FinishReason.TOOL_CALLS,
        "usage": Usage(input_tokens=10, output_tokens=9, cached_input_tokens=6),
    }
    assert b"".join(d.raw or b"" for d in deltas) == raw[: -len(event(stream[-1]).raw)]


def test_input_that_comes_whole_with_the_blocks_start_is_read() -> None:
    parser = anthropic.EventParser()
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    begun = parser.parse(event({"type": "content_block_start", "index": 0, "content_block": block}))
    ended = parser.parse(event({"type": "content_block_stop", "index": 0}))
    assert begun is not None
    assert begun.tool_calls == (ToolCallDelta(0, "t", "f", '{"a":1}'),)
    assert ended is not None
    assert ended.tool_calls == ()


def test_a_refusals_explanation_is_read() -> None:
    fields = {"stop_reason": "refusal", "stop_details": {"explanation": "not this"}}
    delta = anthropic.EventParser().parse(event({"type": "message_delta", "delta": fields}))
    assert delta is not None
    assert (delta.refusal, delta.finish_reason) == ("not this", FinishReason.CONTENT_FILTER)
    assert delta.usage is None


@pytest.mark.parametrize(
    ("kind", "status"),
    [("overloaded_error", 529), ("rate_limit_error", 429), ("api_error", 500), ("new", None)],
)
def test_an_error_inside_a_stream_is_a_stream_error(kind: str, status: int | None) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "full"}}
    with pytest.raises(StreamError, match="full") as raised:
        anthropic.EventParser().parse(event(error))
    assert raised.value.status == status


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[DONE]", b"[]", b"{}", b'{"type":5}',
        b'{"type":"content_block_start","content_block":{"type":"tool_use"}}',
        b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a"}}',
    ],
)  # fmt: skip
def test_what_is_not_the_protocol_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        anthropic.EventParser().parse(event(data))
