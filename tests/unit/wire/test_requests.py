"""What is checked is what is documented, and a wrong request is told where it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import InvalidRequest, RequestError
from hybrid_coordinator.wire import anthropic, openai, schemas
from tests.unit.wire.from_schema import fitting, mutated
from tests.unit.wire.strategies import JSON, QUICK

Validate = Callable[[bytes, int], Json]
CHECKS: dict[str, Validate] = {
    "ChatCompletionRequest": openai.validate_chat_request,
    "EmbeddingsRequest": openai.validate_embeddings_request,
    "MessagesRequest": anthropic.validate_messages_request,
    "CountTokensRequest": anthropic.validate_count_tokens_request,
}
SCHEMAS = {name: schemas.request_schema(name) for name in CHECKS}
VALIDATORS = {name: jsonschema_rs.validator_for(schema) for name, schema in SCHEMAS.items()}
FITTING = {name: fitting(schema) for name, schema in SCHEMAS.items()}
ALTERED = {name: mutated(values) for name, values in FITTING.items()}
EVERY_CHECK = pytest.mark.parametrize("name", CHECKS)
DEPTH = 64
HELLO = {"role": "user", "content": "hello"}


def chat(**fields: Any) -> bytes:
    return orjson.dumps({"messages": [HELLO], **fields})


def messages(**fields: Any) -> bytes:
    return orjson.dumps({"max_tokens": 9, "messages": [HELLO], **fields})


def user(*parts: Any) -> Json:
    return {"role": "user", "content": list(parts)}


def refusal(validate: Validate, body: bytes) -> RequestError | None:
    try:
        validate(body, DEPTH)
    except RequestError as error:
        return error
    return None


def fault(validate: Validate, body: bytes) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as raised:
        validate(body, DEPTH)
    return raised.value.field, raised.value.message


def without_whole_floats(value: Any) -> Any:
    """JSON schema counts 1.0 as an integer; as an integer of a request it is refused."""
    if isinstance(value, dict):
        return {key: without_whole_floats(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_whole_floats(inner) for inner in value]
    return 0.5 if isinstance(value, float) and value.is_integer() else value


@EVERY_CHECK
@QUICK
@given(data=st.data())
def test_what_the_document_allows_is_accepted_as_it_is(name: str, data: st.DataObject) -> None:
    body = data.draw(FITTING[name])
    assert CHECKS[name](orjson.dumps(body), DEPTH) == body


@EVERY_CHECK
@QUICK
@given(data=st.data())
def test_document_and_check_agree_on_altered_bodies(name: str, data: st.DataObject) -> None:
    body = without_whole_floats(data.draw(ALTERED[name]))
    error = refusal(CHECKS[name], orjson.dumps(body))
    assert (error is None) == VALIDATORS[name].is_valid(body), error
    if error is not None:
        assert error.field
        assert error.message.startswith(error.field)
        assert error.message.endswith(".")


@EVERY_CHECK
@QUICK
@given(body=st.binary(max_size=200) | JSON.map(orjson.dumps))
def test_no_bytes_raise_anything_but_a_request_error(name: str, body: bytes) -> None:
    error = refusal(CHECKS[name], body)
    assert error is None or error.status == 400


@EVERY_CHECK
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"null", "is null; it must be a JSON object"),
        (b'"x"', "is a string; it must be a JSON object"),
        (b"[]", "is a list; it must be a JSON object"),
        (b"{", "not valid JSON: .* line 1, column 2"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": Infinity}', "not valid JSON"),
        (b'{"a": 1e999}', "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON: .*surrogate"),
        (b'{"a": "\xff"}', "not UTF-8 .byte 7."),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"[" * 100_000, "nested more than 64 levels"),
        (b'{"a":' * 64 + b"[]" + b"}" * 64, "nested more than 64 levels"),
    ],
)
def test_what_is_no_json_object_is_refused_with_a_reason(name: str, body: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        CHECKS[name](body, DEPTH)


def test_nesting_up_to_the_limit_is_accepted_and_brackets_in_text_are_no_nesting() -> None:
    deep: Any = []
    for _ in range(DEPTH - 2):
        deep = [deep]
    assert openai.validate_chat_request(chat(extra=deep), DEPTH)["extra"] == deep
    assert fault(openai.validate_chat_request, chat(extra=[deep]))[0] is None
    text = "[{" * 500
    assert openai.validate_chat_request(chat(user=text), DEPTH)["user"] == text


def test_nesting_that_could_not_be_written_again_is_refused_whatever_is_allowed() -> None:
    deep: Any = []
    for _ in range(240):
        deep = [deep]
    with pytest.raises(InvalidRequest, match="200 levels"):
        openai.validate_chat_request(chat(extra=deep), 512)


def test_the_last_of_duplicate_keys_counts_and_is_what_is_checked() -> None:
    body = b'{"messages": 5, "messages": [{"role": "user", "content": "a", "content": "b"}]}'
    assert openai.validate_chat_request(body, DEPTH)["messages"][0]["content"] == "b"
    assert fault(openai.validate_chat_request, body[:-1] + b', "messages": 5}')[0] == "messages"


def test_numbers_beyond_64_bits_are_refused_where_an_integer_is_wanted() -> None:
    huge = b'{"messages": [{"role": "user", "content": ""}], "max_tokens": 1' + b"0" * 30 + b"}"
    assert fault(openai.validate_chat_request, huge)[0] == "max_tokens"


CALL_WITH_OBJECT = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}

CHAT_FAULTS: list[tuple[bytes, str, str]] = [
    (b"{}", "messages", "missing"),
    (chat(messages=[]), "messages", "empty"),
    (chat(messages=[3]), "messages[0]", "a number; it must be an object"),
    (chat(messages=[{"content": "x"}]), "messages[0].role", "missing"),
    (chat(messages=[{"role": "robot"}]), "messages[0].role", "one of 'user'"),
    (chat(messages=[{"role": None}]), "messages[0].role", "null"),
    (chat(messages=[{"role": "user"}]), "messages[0].content", "missing"),
    (chat(messages=[{"role": "user", "content": 5}]), "messages[0].content", "a string or a list"),
    (
        chat(messages=[HELLO, user({"type": "text", "text": "a"}, {"type": "smell"})]),
        "messages[1].content[1].type",
        "is 'smell'; it must be one of 'text'",
    ),
    (
        chat(messages=[user({"type": "text"})]),
        "messages[0].content[0].text",
        "missing",
    ),
    (
        chat(messages=[{"role": "system", "content": [{"type": "image_url", "image_url": {}}]}]),
        "messages[0].content[0].type",
        "'text'",
    ),
    (chat(messages=[{"role": "tool", "content": "x"}]), "messages[0].tool_call_id", "missing"),
    (
        chat(messages=[{"role": "assistant", "tool_calls": [CALL_WITH_OBJECT]}]),
        "messages[0].tool_calls[0].function.arguments",
        "an object; it must be a string",
    ),
    (chat(model=5), "model", "a string"),
    (chat(model=""), "model", "empty"),
    (chat(n=0), "n", "at least 1"),
    (chat(n=True), "n", "an integer"),
    (chat(stream="yes"), "stream", "true or false"),
    (chat(max_tokens=0), "max_tokens", "at least 1"),
    (chat(max_tokens=1.5), "max_tokens", "is 1.5; it must be an integer"),
    (chat(temperature=2.1), "temperature", "is 2.1; it must be at most 2"),
    (chat(temperature="hot"), "temperature", "a string; it must be a number"),
    (chat(tools={}), "tools", "a list"),
    (chat(tools=[{"type": "function", "function": {}}]), "tools[0].function.name", "missing"),
    (chat(tool_choice="maybe"), "tool_choice", "'none', 'auto' or 'required'"),
    (chat(response_format={"type": "xml"}), "response_format.type", "one of 'text'"),
    (chat(response_format={"type": "json_schema"}), "response_format.json_schema", "missing"),
    (chat(stream_options=[]), "stream_options", "an object"),
    (chat(stop=[1]), "stop[0]", "a string"),
    (chat(stop=1), "stop", "a string or a list"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "field", "why"), CHAT_FAULTS)
def test_a_wrong_chat_request_is_told_the_field(body: bytes, field: str, why: str) -> None:
    found, message = fault(openai.validate_chat_request, body)
    assert found == field
    assert why in message


MESSAGES_FAULTS: list[tuple[bytes, str, str]] = [
    (orjson.dumps({"messages": [HELLO]}), "max_tokens", "missing"),
    (messages(max_tokens=0), "max_tokens", "at least 1"),
    (messages(messages=[{"role": "tool", "content": ""}]), "messages[0].role", "one of 'user'"),
    (messages(messages=[user(7)]), "messages[0].content[0]", "an object"),
    (
        messages(messages=[user({"text": "x"})]),
        "messages[0].content[0].type",
        "missing",
    ),
    (
        messages(messages=[user({"type": "image", "source": {"type": "film"}})]),
        "messages[0].content[0].source.type",
        "one of 'base64'",
    ),
    (
        messages(messages=[user({"type": "tool_result", "content": "x"})]),
        "messages[0].content[0].tool_use_id",
        "missing",
    ),
    (messages(system=[{"type": "image"}]), "system[0].type", "'text'"),
    (messages(system=3), "system", "a string or a list"),
    (messages(tools=[{"name": "f"}]), "tools[0].input_schema", "missing"),
    (messages(tool_choice={"type": "tool"}), "tool_choice.name", "missing"),
    (messages(tool_choice="auto"), "tool_choice", "an object"),
    (messages(thinking={"type": "enabled", "budget_tokens": "x"}), "thinking.budget_tokens", "int"),
    (messages(stop_sequences="x"), "stop_sequences", "a list"),
    (messages(temperature=1.5), "temperature", "at most 1"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "field", "why"), MESSAGES_FAULTS)
def test_a_wrong_messages_request_is_told_the_field(body: bytes, field: str, why: str) -> None:
    found, message = fault(anthropic.validate_messages_request, body)
    assert found == field
    assert why in message


def test_a_fault_never_repeats_what_a_user_wrote() -> None:
    secret = "my password is hunter2"
    _, message = fault(openai.validate_chat_request, chat(messages=secret))
    assert "hunter2" not in message
    _, message = fault(openai.validate_chat_request, chat(messages=[{"role": secret * 9}]))
    assert "hunter2" not in message


def test_unknown_fields_and_blocks_are_kept() -> None:
    body = chat(top_k=40, messages=[{**HELLO, "name": "ada"}], grammar={"a": [1]})
    assert openai.validate_chat_request(body, DEPTH) == orjson.loads(body)
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    turn = {"role": "assistant", "content": [block]}
    tool = {"type": "web_search_20260318", "name": "web_search", "max_uses": 2}
    body = messages(messages=[HELLO, turn], tools=[tool], context_management={"edits": []})
    assert anthropic.validate_messages_request(body, DEPTH) == orjson.loads(body)


def test_what_claude_code_sends_is_accepted() -> None:
    """A system turn inside messages, marks for the prompt cache, adaptive thinking."""
    mark = {"type": "ephemeral", "ttl": "1h"}
    thought = {"type": "thinking", "thinking": "", "signature": "s"}
    body = messages(
        system=[{"type": "text", "text": "You are…", "cache_control": mark}],
        messages=[
            user({"type": "text", "text": "hi", "cache_control": mark}),
            {"role": "system", "content": [{"type": "text", "text": "hint"}]},
            {"role": "assistant", "content": [thought]},
            user({"type": "tool_result", "tool_use_id": "t", "content": []}),
        ],
        thinking={"type": "adaptive", "display": "omitted"},
        metadata={"user_id": "u"},
        output_config={"effort": "high"},
        stream=True,
    )  # fmt: skip
    assert anthropic.validate_messages_request(body, DEPTH) == orjson.loads(body)


@pytest.mark.parametrize("wrong", ["", [], [""], [1], [[1, 2]], {"a": 1}, None])
def test_embeddings_want_text(wrong: Any) -> None:
    field, _ = fault(openai.validate_embeddings_request, orjson.dumps({"input": wrong}))
    assert (field or "").startswith("input")


@pytest.mark.parametrize("right", ["one", ["one", "two"]])
def test_embeddings_take_one_text_or_several(right: Any) -> None:
    body = orjson.dumps({"model": "m", "input": right, "encoding_format": "base64"})
    assert openai.validate_embeddings_request(body, DEPTH)["input"] == right
