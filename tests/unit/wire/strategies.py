"""What hypothesis generates for the wire formats: answers, increments, JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hybrid_coordinator.conversation import (
    Completion,
    Delta,
    FinishReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)

# Bodies are big and machines are busy; that one took long to make says nothing about the code.
QUICK = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
THOROUGH = settings(QUICK, max_examples=200)

# Everything UTF-8 can carry; lone surrogates cannot be written and are tried as bytes elsewhere.
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
SOME_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
COUNTS = st.integers(0, 10**9)

JSON_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(
    JSON_SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
JSON_OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
ARGUMENTS = JSON_OBJECTS.map(lambda value: orjson.dumps(value).decode())


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached = draw(st.integers(0, 1000))
    return Usage(
        input_tokens=cached + draw(COUNTS),
        output_tokens=draw(COUNTS),
        cached_input_tokens=cached,
    )


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    calls = tuple(ToolCall(f"id_{n}", draw(NAMES), draw(ARGUMENTS)) for n in names)
    reasons = [FinishReason.LENGTH, FinishReason.CONTENT_FILTER]
    reasons.append(FinishReason.TOOL_CALLS if calls else FinishReason.STOP)
    return Completion(
        id=draw(NAMES),
        model=draw(SOME_TEXT),
        created=draw(COUNTS),
        text=draw(TEXT),
        finish_reason=draw(st.sampled_from(reasons)),
        usage=draw(usages()),
        tool_calls=calls,
        reasoning=draw(TEXT),
    )


@st.composite
def streams(draw: st.DrawFn, *, interleaved: bool = False) -> list[Delta]:
    """The increments of one answer: reasoning, text, tool calls, then reason and usage."""
    deltas = [Delta(reasoning=piece) for piece in draw(st.lists(SOME_TEXT, max_size=3))]
    deltas += [Delta(text=piece) for piece in draw(st.lists(SOME_TEXT, max_size=5))]
    pieces: list[ToolCallDelta] = []
    for index in range(draw(st.integers(0, 3))):
        arguments = draw(ARGUMENTS)
        cut = draw(st.integers(0, len(arguments)))
        pieces.append(ToolCallDelta(index, f"call_{index}", draw(NAMES), ""))
        pieces += [
            ToolCallDelta(index, arguments=part)
            for part in (arguments[:cut], arguments[cut:])
            if part
        ]
    if interleaved:
        # A call's own pieces stay in order.
        order = draw(st.permutations(range(len(pieces))))
        slots = [pieces[i].index for i in order]
        queues = {i: [p for p in pieces if p.index == i] for i in set(slots)}
        pieces = [queues[i].pop(0) for i in slots]
    deltas += [Delta(tool_calls=(piece,)) for piece in pieces]
    ends = [FinishReason.LENGTH, FinishReason.TOOL_CALLS if pieces else FinishReason.STOP]
    deltas.append(Delta(finish_reason=draw(st.sampled_from(ends))))
    deltas.append(Delta(usage=draw(usages())))
    return deltas


def folded(deltas: Iterable[Delta]) -> dict[str, Any]:
    """What a stream says altogether, however it is cut into increments."""
    seen: dict[str, Any] = {"text": "", "reasoning": "", "refusal": "", "calls": {}}
    for delta in deltas:
        seen["text"] += delta.text
        seen["reasoning"] += delta.reasoning
        seen["refusal"] += delta.refusal
        for call in delta.tool_calls:
            whole = seen["calls"].setdefault(call.index, [None, None, ""])
            whole[0] = whole[0] or call.id
            whole[1] = whole[1] or call.name
            whole[2] += call.arguments
        if delta.finish_reason is not None:
            seen["reason"] = delta.finish_reason
        if delta.usage is not None:
            seen["usage"] = delta.usage
    # The order calls began in is what counts, not their numbers.
    seen["calls"] = sorted(map(tuple, seen["calls"].values()))
    return seen
