"""Messages requests become chat completion requests that ask the same."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.wire import anthropic
from tests.unit.wire.translating import (
    PDF,
    PIXEL,
    assistant,
    call,
    result,
    text,
    to_chat,
    to_messages,
    user,
)


def test_plain_fields_come_back() -> None:
    chat = to_chat(
        user(),
        model="auto",
        system=[text("Be brief."), text("Be kind.")],
        stop_sequences=["END"],
        metadata={"user_id": "ada"},
        temperature=0.5,
        stream=True,
        top_k=5,
        thinking={"type": "adaptive"},
    )
    assert chat == {
        "model": "auto",
        "messages": [{"role": "system", "content": "Be brief.\nBe kind."}, user()],
        "max_tokens": 9,
        "stop": ["END"],
        "user": "ada",
        "temperature": 0.5,
        "stream": True,
    }


def test_tool_results_come_first_and_their_images_after() -> None:
    pixel = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    image = {"type": "image", "source": pixel}
    chat = to_chat(
        user("q"),
        assistant(
            [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                text("I "),
                text("look."),
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ]
        ),
        user(
            [
                text("here"),
                {"type": "tool_result", "tool_use_id": "a", "content": [text("one"), image]},
                {"type": "tool_result", "tool_use_id": "b", "content": "bad", "is_error": True},
            ]
        ),
    )  # fmt: skip
    assert chat["messages"] == [
        user("q"),
        assistant("I look.", tool_calls=[call("a", "f", '{"x":1}'), call("b", "f", "{}")]),
        result("a", "one"),
        result("b", "Error: bad"),
        user([text("here"), {"type": "image_url", "image_url": {"url": PIXEL}}]),
    ]


def test_a_system_turn_stays_where_it_is() -> None:
    chat = to_chat(user("a"), {"role": "system", "content": [text("hint")]}, assistant("b"))
    assert [m["role"] for m in chat["messages"]] == ["user", "system", "assistant"]


def test_documents_and_search_results_become_text_or_files() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
    chat = to_chat(
        user(
            [
                {"type": "document", "title": "T", "source": {"type": "text", "data": "body"}},
                {"type": "document", "source": {"type": "content", "content": [text("inner")]}},
                {"type": "document", "source": {"type": "url", "url": "https://a.org/a.pdf"}},
                {"type": "search_result", "title": "S", "content": [text("found")]},
                {"type": "container_upload", "file_id": "f"},
                {"type": "image", "source": {"type": "file", "file_id": "f1"}},
            ]
        ),
        user([{"type": "document", "source": pdf}]),
    )  # fmt: skip
    assert chat["messages"][0]["content"].split("\n") == [
        "T",
        "body",
        "inner",
        "[document https://a.org/a.pdf]",
        "found",
        "[image f1]",
    ]
    assert chat["messages"][1]["content"] == [
        {
            "type": "file",
            "file": {"filename": "document.pdf", "file_data": PDF},
        }
    ]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tools_and_tool_choice_come_back(choice: Json, wanted: Any) -> None:
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
    chat = to_chat(user(), tools=[tool], tool_choice=choice)
    function = {"name": "f", "parameters": {"type": "object"}, "description": "d"}
    assert chat["tools"] == [{"type": "function", "function": function}]
    assert chat["tool_choice"] == wanted
    assert "parallel_tool_calls" not in chat
    alone = {**choice, "disable_parallel_tool_use": True}
    assert to_chat(user(), tools=[tool], tool_choice=alone)["parallel_tool_calls"] is False


def test_server_tools_stay_as_they_are_both_ways() -> None:
    tool = {"type": "web_search_20260318", "name": "web_search", "max_uses": 3}
    native = {"max_tokens": 9, "messages": [user()], "tools": [tool]}
    chat = anthropic.messages_to_chat(native)
    assert chat["tools"] == [tool]
    assert anthropic.chat_to_messages(chat, "claude", 9)["tools"] == [tool]


def test_an_output_format_becomes_a_response_format() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    chat = to_chat(user(), output_config={"format": {"type": "json_schema", "schema": schema}})
    assert chat["response_format"]["json_schema"]["schema"] == schema
    assert to_messages(*chat["messages"], response_format=chat["response_format"])[
        "output_config"
    ] == {"format": {"type": "json_schema", "schema": schema}}
