"""Chat completion requests become messages requests that Anthropic accepts."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import InvalidRequest, Unsupported
from hybrid_coordinator.wire import anthropic
from tests.unit.wire.translating import (
    PDF,
    PIXEL,
    TOOL,
    assistant,
    call,
    result,
    text,
    to_messages,
    user,
)


def test_plain_fields_are_translated() -> None:
    request = to_messages(
        {"role": "system", "content": "Be brief."},
        user(),
        {"role": "developer", "content": [text("Be kind.")]},
        max_completion_tokens=5,
        max_tokens=7,
        stream=True,
        stop="END",
        user="ada",
        temperature=1.7,
        top_p=0.5,
        seed=3,
    )
    assert request == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 5,
        "system": "Be brief.\n\nBe kind.",
        "messages": [user()],
        "stream": True,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "ada"},
        "temperature": 1,
    }


def test_max_tokens_is_filled_in_where_the_client_gave_none() -> None:
    assert to_messages(user())["max_tokens"] == 1000
    assert to_messages(user(), max_tokens=7)["max_tokens"] == 7


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        ("claude-3-5-sonnet-20241022", True),
        ("claude-3-haiku-20240307", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-sonnet-4.6", True),
        ("anthropic/claude-sonnet-4-5", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4-8-20260528", False),
        ("claude-sonnet-5", False),
        ("claude-fable-5", False),
        ("claude-opus-5-5", False),
        ("claude-next", False),
        ("qwen3-8b", True),
    ],
)
def test_sampling_parameters_are_sent_only_to_models_that_take_them(
    model: str, accepted: bool
) -> None:
    """Claude after 4.6 answers 400 to a temperature, even where it is the default."""
    assert anthropic.accepts_sampling(model) is accepted
    assert ("temperature" in to_messages(user(), model=model, temperature=0.2)) is accepted
    native = {"max_tokens": 5, "messages": [user()], "top_k": 4, "temperature": 0.2}
    assert ("top_k" in anthropic.native_call(native, model)) is accepted
    assert "top_k" in native


def test_top_p_is_sent_only_without_temperature() -> None:
    assert to_messages(user(), top_p=0.5)["top_p"] == 0.5
    assert "top_p" not in to_messages(user(), top_p=0.5, temperature=0)


def test_tool_calls_and_results_become_blocks_and_turns_alternate() -> None:
    request = to_messages(
        user("q"),
        assistant("I look.", tool_calls=[call("a:1", arguments='{"x":1}'), call("b", "g", "")]),
        result("a:1", "one"),
        result("b", [text("two")]),
        user("and?"),
        user("well?"),
    )
    assert request["messages"] == [
        user("q"),
        assistant(
            [
                text("I look."),
                {"type": "tool_use", "id": "a_1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ]
        ),
        user(
            [
                {"type": "tool_result", "tool_use_id": "a_1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "b", "content": [text("two")]},
                text("and?"),
                text("well?"),
            ]
        ),
    ]


def test_tool_results_come_before_what_was_said_between_them() -> None:
    """The API wants every result at the beginning of the turn after the calls."""
    request = to_messages(
        user("q"),
        assistant(tool_calls=[call("a"), call("b")]),
        result("a", "one"),
        user("hurry"),
        result("b", "two"),
    )
    kinds = [block["type"] for block in request["messages"][2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


def test_the_form_before_tools_is_translated() -> None:
    request = to_messages(
        user("q"),
        assistant(function_call={"name": "f", "arguments": '{"x":1}'}),
        {"role": "function", "name": "f", "content": "one"},
        functions=[{"name": "f"}],
        function_call={"name": "f"},
    )
    use, answer = request["messages"][1]["content"][0], request["messages"][2]["content"][0]
    assert use["id"] == answer["tool_use_id"]
    assert use["input"] == {"x": 1}
    assert request["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert request["tool_choice"] == {"type": "tool", "name": "f"}


def test_arguments_that_are_no_object_are_kept_as_text() -> None:
    request = to_messages(user("q"), assistant(tool_calls=[call("a", arguments="[1")]))
    assert request["messages"][1]["content"][0]["input"] == {"arguments": "[1"}


def test_images_and_documents_become_blocks() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
        text("what?"),
    ]
    assert to_messages(user(parts))["messages"][0]["content"] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
            "title": "a.pdf",
        },
        text("what?"),
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": [user([text("a"), {"type": "input_audio", "input_audio": {"data": ""}}])]},
         "messages[0].content[1].type"),
        ({"messages": [user([{"type": "video_url", "video_url": {"url": "x"}}])]},
         "messages[0].content[0].type"),
        ({"messages": [user([{"type": "file", "file": {"file_id": "x"}}])]},
         "messages[0].content[0].type"),
        ({"messages": [user()], "n": 2}, "n"),
        ({"messages": [user()], "tools": [{"type": "custom", "custom": {"name": "f"}}]},
         "tools[0].type"),
    ],
)  # fmt: skip
def test_what_anthropic_cannot_do_is_refused_with_the_field(fields: Json, field: str) -> None:
    with pytest.raises(Unsupported) as raised:
        anthropic.chat_to_messages(fields, "claude", 10)
    assert raised.value.field == field


def test_tools_are_translated() -> None:
    schema = {"properties": {"a": {"type": "string"}}, "required": ["a"]}
    tool = {"type": "function", "function": {"name": "g", "parameters": schema}}
    assert to_messages(user(), tools=[TOOL, tool])["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {}},
        },
        {"name": "g", "input_schema": {"type": "object", **schema}},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "wanted"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choice_is_translated(choice: Any, parallel: bool | None, wanted: Any) -> None:
    fields = {"tool_choice": choice, "parallel_tool_calls": parallel}
    request = to_messages(user(), tools=[TOOL], **fields)
    assert request.get("tool_choice") == wanted
    assert "tool_choice" not in to_messages(user(), **fields)


def test_allowed_tools_leave_out_the_others() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    subset = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": subset}
    request = to_messages(user(), tools=[TOOL, other], tool_choice=choice)
    assert [tool["name"] for tool in request["tools"]] == ["g"]
    assert request["tool_choice"] == {"type": "any"}


def test_a_json_schema_becomes_the_output_format_anthropic_takes() -> None:
    """Objects are closed; bounds, which are refused, are told in the description."""
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 5, "description": "how many"},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "kind": {"oneOf": [{"const": "a"}, {"type": "null"}]},
        },
        "required": ["n"],
        "$defs": {"tag": {"type": "object", "properties": {"t": {"type": "string"}}}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    request = to_messages(user(), response_format=wanted)
    assert request["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer", "description": "how many (minimum: 1, maximum: 5)"},
                    "tags": {
                        "type": "array",
                        "items": {"$ref": "#/$defs/tag"},
                        "description": "minItems: 2",
                    },
                    "kind": {"anyOf": [{"const": "a"}, {"type": "null"}]},
                },
                "required": ["n"],
                "$defs": {
                    "tag": {
                        "type": "object",
                        "properties": {"t": {"type": "string"}},
                        "additionalProperties": False,
                    }
                },
                "additionalProperties": False,
            },
        }
    }
    assert "system" not in request


def test_a_json_object_without_schema_is_asked_for_in_the_system_prompt() -> None:
    request = to_messages(
        {"role": "system", "content": "Be brief."}, user(), response_format={"type": "json_object"}
    )
    assert request["system"].startswith("Be brief.\n\n")
    assert "JSON object" in request["system"]
    assert "output_config" not in request


def test_what_the_api_refuses_is_never_sent() -> None:
    """Empty text, a first turn that is not the user's, white space at the end of a prefill."""
    request = to_messages(
        assistant("Hello."),
        user([text(" "), text("x")]),
        assistant(""),
        user("  "),
        assistant("It is \n"),
        stop=["", " ", "END"],
    )
    assert [turn["role"] for turn in request["messages"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    assert request["messages"][2:] == [user("x"), assistant("It is")]
    assert request["stop_sequences"] == ["END"]
    assert (
        "content"
        not in to_messages(user(), assistant(tool_calls=[call("a")]), result("a", ""))["messages"][
            2
        ]["content"][0]
    )


def test_a_conversation_of_system_messages_alone_is_asked_as_the_users() -> None:
    request = to_messages({"role": "system", "content": "Say hello."})
    assert "system" not in request
    assert request["messages"] == [user("Say hello.")]


def test_a_conversation_without_any_text_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no text"):
        to_messages(user(" "))


def test_marks_for_the_prompt_cache_are_kept() -> None:
    mark = {"type": "ephemeral"}
    request = to_messages(
        {"role": "system", "content": [{**text("long"), "cache_control": mark}]},
        user([{**text("long too"), "cache_control": mark}]),
    )
    assert request["system"] == [{**text("long"), "cache_control": mark}]
    assert request["messages"][0]["content"] == [{**text("long too"), "cache_control": mark}]
