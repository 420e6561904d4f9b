"""Server-sent events are the same however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.wire import EventSplitter, ProtocolError, ServerSentEvent
from tests.unit.wire.strategies import THOROUGH


def split(*chunks: bytes) -> list[ServerSentEvent]:
    splitter = EventSplitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events + splitter.flush()


PIECES = st.sampled_from(
    [
        b"data: one", b"data:two", b"data", b"data:", b"data:  two spaces", b": comment",
        b"event: ping", b"event", b"id: 7", b"retry: 10", b"unknown: field", b"\xff\x00",
        b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\xef\xbb\xbf",
    ]
)  # fmt: skip


@THOROUGH
@given(st.lists(PIECES, max_size=25).map(b"".join), st.data())
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert split(*chunks) == split(stream) == split(*(bytes([b]) for b in stream))


@THOROUGH
@given(st.lists(PIECES.filter(lambda p: b"\xef" not in p), max_size=25).map(b"".join))
def test_raw_bytes_sent_on_are_read_as_the_same_events(stream: bytes) -> None:
    events = split(stream)
    again = split(b"".join(event.raw for event in events))
    assert [(e.event, e.data) for e in again] == [(e.event, e.data) for e in events]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_of_the_standard_is_understood(end: bytes) -> None:
    stream = end.join([b"event: a", b"data: 1", b"data: 2", b"", b": note", b"data:3", b"", b""])
    assert [(e.event, e.data) for e in split(stream)] == [("a", b"1\n2"), (None, b"3")]
    assert b"".join(e.raw for e in split(stream)) == stream


def test_an_event_is_given_out_as_soon_as_its_blank_line_is_there() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1\n") == []
    assert [e.data for e in splitter.feed(b"\ndata: 2\n\ndata")] == [b"1", b"2"]
    assert [e.data for e in splitter.feed(b": 3\r\n\r\n")] == [b"3"]


def test_comments_and_events_without_data_are_no_events() -> None:
    assert split(b": keep-alive\n\nevent: lonely\n\n\n\ndata: 1\n\n") == [
        ServerSentEvent(None, b"1", b"data: 1\n\n")
    ]


def test_empty_data_is_an_event() -> None:
    assert [e.data for e in split(b"data\n\ndata:\n\n")] == [b"", b""]


def test_a_byte_order_mark_is_dropped_at_the_start_only() -> None:
    assert [e.data for e in split(b"\xef", b"\xbb", b"\xbfdata: 1\n\n")] == [b"1"]
    assert [e.data for e in split(b"data: \xef\xbb\xbf\n\n")] == [b"\xef\xbb\xbf"]


@pytest.mark.parametrize("rest", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r"])
def test_a_last_event_without_its_blank_line_is_given_out_at_the_end(rest: bytes) -> None:
    events = split(b"data: 1\n\n", rest)
    assert [e.data for e in events] == [b"1", b"[DONE]"]
    assert [e.data for e in split(events[-1].raw, b"data: 2\n\n")] == [b"[DONE]", b"2"]


def test_an_event_over_the_limit_is_refused_whole_or_unfinished() -> None:
    """Lesson 20: no buffer grows without bound."""
    with pytest.raises(ProtocolError, match="over the limit of 64"):
        EventSplitter(max_event_bytes=64).feed(b"data: " + b"x" * 64 + b"\n\n")
    splitter = EventSplitter(max_event_bytes=64)
    assert splitter.feed(b"x" * 64) == []
    with pytest.raises(ValueError, match="over the limit of 64"):
        splitter.feed(b"x")


def test_many_small_events_in_one_chunk_are_within_the_limit() -> None:
    assert len(EventSplitter(max_event_bytes=64).feed(b"data: x\n\n" * 100)) == 100
