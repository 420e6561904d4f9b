"""A kept answer as a stream: the same text, in pieces a reader can be shown."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.cache import CacheEntry, completion_of, stream_of
from hybrid_coordinator.cache.replay import pieces
from hybrid_coordinator.conversation import Completion, FinishReason, Tier, ToolCall, Usage
from tests.unit.cache.cache_parts import completion, key

UNITS = st.lists(
    st.sampled_from(
        [
            *("word", "é", "e\u0301", " ", "\n", "\r\n", "\\n", "\\u00e9", "\\ud83d\\ude00"),
            *("👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "각", "日本", '"', "❤\ufe0f"),
        ]
    ),
    max_size=400,
).map("".join)


def entry(answer: Completion) -> CacheEntry:
    return CacheEntry(
        key=key(),
        question="q",
        completion=answer,
        model=answer.model,
        backend="b",
        tier=Tier.LOCAL,
        cost_usd=0.0,
        created_at=0.0,
        interaction_id="i",
        embedder="",
        versions={},
    )


@settings(max_examples=60)
@given(st.text() | UNITS)
def test_the_pieces_are_the_text(text: str) -> None:
    cut = list(pieces(text))
    assert "".join(cut) == text
    assert all(cut)


@settings(max_examples=60)
@given(UNITS)
def test_no_piece_begins_within_what_a_reader_sees_as_one_character(text: str) -> None:
    cut = list(pieces(text))
    for before, after in pairwise(cut):
        assert unicodedata.category(after[0]) not in ("Mn", "Mc", "Me", "Cf")
        assert not before.endswith("\u200d")
        assert not (before.endswith("\r") and after.startswith("\n"))
        assert not "\U0001f3fb" <= after[0] <= "\U0001f3ff"
        assert not ("\U0001f1e6" <= before[-1] <= "\U0001f1ff" and after[0] >= "\U0001f1e6")


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["\\n", "\\u00e9", "\\ud83d\\ude00", "\\\\", "ab"]), max_size=300))
def test_no_cut_falls_within_an_escape(units: list[str]) -> None:
    text = "".join(units)
    borders, place = {0}, 0
    for unit in units:
        borders |= set(range(place, place + 3)) if unit == "ab" else {place + len(unit)}
        place += len(unit)
    place = 0
    for piece in pieces(text):
        assert place in borders
        place += len(piece)


def test_a_long_answer_comes_in_several_pieces_that_end_where_words_do() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 40
    cut = list(pieces(text))
    assert 8 <= len(cut) <= 65
    assert all(piece.endswith(" ") for piece in cut)


def test_a_short_answer_is_one_piece_and_an_empty_one_none() -> None:
    assert list(pieces("Yes.")) == ["Yes."]
    assert list(pieces("")) == []


@pytest.mark.parametrize("text", ["A" * 100_000, "漢字" * 20_000, "x y" * 60_000])
def test_the_number_of_pieces_is_bounded_and_words_without_end_are_cut(text: str) -> None:
    cut = list(pieces(text))
    assert 7 <= len(cut) <= 65
    assert "".join(cut) == text


def test_a_stream_says_why_it_ended_and_then_what_it_took() -> None:
    answer = completion("Hello there, " * 20, reasoning="Let me think. " * 10)
    deltas = list(stream_of(entry(answer)))
    assert "".join(d.text for d in deltas) == answer.text
    assert "".join(d.reasoning for d in deltas) == answer.reasoning
    assert [d.finish_reason for d in deltas if d.finish_reason] == [FinishReason.STOP]
    assert deltas[-2].finish_reason is FinishReason.STOP
    assert deltas[-1].usage == Usage(12, 5)
    assert {(d.id, d.model) for d in deltas} == {("chatcmpl-1", "small")}
    assert all(d.raw is None for d in deltas)
    last_thought = max(i for i, d in enumerate(deltas) if d.reasoning)
    assert last_thought < min(i for i, d in enumerate(deltas) if d.text)


def test_tool_calls_are_streamed_by_index_name_first() -> None:
    calls = (
        ToolCall("call_1", "clock", '{"zone":"UTC"}'),
        ToolCall("call_2", "search", '{"text":"' + "words and more " * 30 + '"}'),
    )
    answer = completion("", tool_calls=calls, finish_reason=FinishReason.TOOL_CALLS)
    parts = [part for d in stream_of(entry(answer)) for part in d.tool_calls]
    for index, call in enumerate(calls):
        mine = [part for part in parts if part.index == index]
        assert (mine[0].id, mine[0].name) == (call.id, call.name)
        assert all(part.id is None and part.name is None for part in mine[1:])
        assert "".join(part.arguments for part in mine) == call.arguments


def test_the_whole_answer_is_the_kept_one() -> None:
    answer = completion(extra={"x": 1})
    assert completion_of(entry(answer)) is answer
