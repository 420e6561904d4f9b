"""A streamed answer is joined to what the whole one would have been; tokens are estimated."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.collector import StreamCollector
from hybrid_coordinator.conversation import Delta, FinishReason, ToolCall, ToolCallDelta, Usage
from hybrid_coordinator.tokens import estimate_tokens


def collected(deltas: list[Delta], limit: int = 10_000, finished: bool = True) -> StreamCollector:
    collector = StreamCollector(limit)
    for delta in deltas:
        collector.add(delta)
    collector.finished = finished
    return collector


END = Delta(finish_reason=FinishReason.STOP, usage=Usage(3, 4))


@given(st.lists(st.text()))
def test_pieces_join_to_the_text(pieces: list[str]) -> None:
    deltas = [*(Delta(text=piece, id="c1", model="m") for piece in pieces), END]
    whole = collected(deltas, limit=10**6).completion(created=7)
    assert whole is not None
    assert whole.text == "".join(pieces)
    assert (whole.usage, whole.created) == (Usage(3, 4), 7)


def test_interleaved_tool_calls_are_told_apart_by_their_index() -> None:
    deltas = [
        Delta(tool_calls=(ToolCallDelta(0, "a", "add"),)),
        Delta(tool_calls=(ToolCallDelta(1, "b", "sub"),)),
        Delta(tool_calls=(ToolCallDelta(0, arguments='{"n"'), ToolCallDelta(1, arguments="{}"))),
        Delta(tool_calls=(ToolCallDelta(0, arguments=": 1}"),)),
        END,
    ]
    whole = collected(deltas).completion(created=0)
    assert whole is not None
    assert whole.tool_calls == (ToolCall("a", "add", '{"n": 1}'), ToolCall("b", "sub", "{}"))


def test_what_broke_off_or_has_no_end_is_no_answer() -> None:
    assert collected([Delta(text="half")]).completion(created=0) is None
    assert collected([Delta(text="half"), END], finished=False).completion(created=0) is None


def test_a_longer_answer_than_can_be_kept_is_let_go() -> None:
    collector = collected([Delta(text="x" * 60), Delta(text="y" * 60), END], limit=100)
    assert collector.completion(created=0) is None
    assert collector.usage == Usage(3, 4)
    assert len(collector.text) <= 100


def words(text: str) -> int:
    return len(text.split())


def test_short_texts_are_counted_and_long_ones_sampled() -> None:
    assert estimate_tokens("one two three", words) == 3
    long = "word " * 100_000
    read: list[int] = []

    def counting(text: str) -> int:
        read.append(len(text))
        return words(text)

    assert abs(estimate_tokens(long, counting) / 100_000 - 1) < 0.01
    assert sum(read) <= 6_000
