"""Requests translated between the dialects ask the same, there and back."""

from __future__ import annotations

from itertools import pairwise

import orjson
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import RequestError
from hybrid_coordinator.wire import anthropic, openai, schemas
from tests.unit.wire.from_schema import fitting
from tests.unit.wire.strategies import ARGUMENTS, NAMES, QUICK, SOME_TEXT
from tests.unit.wire.translating import (
    assistant,
    call,
    result,
    text,
    to_messages,
    user,
)

VISIBLE = SOME_TEXT.filter(str.strip)
FITTING = {
    name: fitting(schemas.request_schema(name))
    for name in ("ChatCompletionRequest", "MessagesRequest")
}


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """System text, then rounds of question, tool calls with results, and answer."""
    chat: list[Json] = [{"role": "system", "content": draw(VISIBLE)}]
    for number in range(draw(st.integers(1, 3))):
        chat.append(user(draw(VISIBLE)))
        ids = [f"id{number}_{i}" for i in range(draw(st.integers(0, 2)))]
        if ids:
            calls = [call(i, draw(NAMES), draw(ARGUMENTS)) for i in ids]
            chat.append(assistant(draw(st.none() | VISIBLE), tool_calls=calls))
            chat += [result(i, draw(VISIBLE)) for i in ids]
        chat.append(assistant(draw(VISIBLE)))
    chat.append(user(draw(VISIBLE)))
    return chat


def parsed_arguments(chat: list[Json]) -> list[Json]:
    made: list[Json] = orjson.loads(orjson.dumps(chat))
    for message in made:
        for one in message.get("tool_calls", ()):
            one["function"]["arguments"] = orjson.loads(one["function"]["arguments"])
    return made


@QUICK
@given(conversations())
def test_a_conversation_comes_back_as_it_was(chat: list[Json]) -> None:
    back = anthropic.messages_to_chat(to_messages(*chat))
    assert parsed_arguments(back["messages"]) == parsed_arguments(chat)


@QUICK
@given(FITTING["ChatCompletionRequest"])
def test_any_checked_chat_request_translates_or_is_refused_with_a_reason(body: Json) -> None:
    before = orjson.dumps(body)
    request, error = translated(body)
    assert request is not None or (error is not None and error.field)
    if request is not None:
        anthropic.validate_messages_request(orjson.dumps(request), 200)
        roles = [turn["role"] for turn in request["messages"]]
        assert roles[0] == "user"
        assert all(a != b for a, b in pairwise(roles))
    assert orjson.dumps(body) == before, "the request itself is never changed"


def translated(body: Json) -> tuple[Json | None, RequestError | None]:
    try:
        return anthropic.chat_to_messages(body, "claude-sonnet-4-5", 1000), None
    except RequestError as error:
        return None, error


@QUICK
@given(FITTING["MessagesRequest"])
def test_any_checked_messages_request_translates_to_a_valid_chat_request(native: Json) -> None:
    before = orjson.dumps(native)
    chat = anthropic.messages_to_chat(native)
    server_tools = any(tool.get("type") != "function" for tool in chat.get("tools", ()))
    if not server_tools:
        openai.validate_chat_request(orjson.dumps(chat), 200)
    anthropic.native_call(native, "claude-sonnet-4-5")
    assert orjson.dumps(native) == before, "the request itself is never changed"


def test_thinking_that_was_not_anthropics_is_taken_out_of_a_native_call() -> None:
    """The API answers 400 to a thinking block without a signature."""
    unsigned = {"type": "thinking", "thinking": "ours", "signature": ""}
    signed = {"type": "thinking", "thinking": "theirs", "signature": "c2ln"}
    turns = [user(), assistant([unsigned, text("a")]), user(), assistant([signed, text("b")])]
    native = {"model": "auto", "max_tokens": 9, "messages": [*turns, user(), assistant([unsigned])]}
    request = anthropic.native_call(native, "claude-x")
    assert request["model"] == "claude-x"
    assert request["messages"] == [
        user(),
        assistant([text("a")]),
        user(),
        assistant([signed, text("b")]),
        user(),
    ]
    assert native["model"] == "auto"
