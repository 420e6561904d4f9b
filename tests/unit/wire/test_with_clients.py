"""What we write, read by the vendors' clients; what vendors write, read by us.

The first half serves our encoders' bytes to the official clients; the second
reads the fakes, which the official clients were checked against, with our parsers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic as anthropic_client
import httpx
import openai as openai_client
import pytest

from hybrid_coordinator.conversation import (
    Completion,
    Delta,
    FinishReason,
    Json,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from hybrid_coordinator.errors import BackendOverloaded, InvalidRequest, Unauthorized
from hybrid_coordinator.wire import EventSplitter, StreamError, anthropic, openai
from tests.fakes import Answer, FakeAnthropic, FakeOpenAI, ToolUse, running
from tests.unit.wire.strategies import folded

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
COMPLETION = Completion(
    id="a1",
    model="m",
    created=5,
    text="I look.",
    finish_reason=FinishReason.TOOL_CALLS,
    usage=Usage(12, 3, 4),
    tool_calls=(ToolCall("t1", "clock", '{"zone":"UTC"}'), ToolCall("t2", "clock", "{}")),
    reasoning="hm",
)
DELTAS = [
    Delta(reasoning="h"),
    Delta(reasoning="m"),
    Delta(text="I "),
    Delta(text="look."),
    Delta(tool_calls=(ToolCallDelta(0, "t1", "clock", ""),)),
    Delta(tool_calls=(ToolCallDelta(0, arguments='{"zone"'),)),
    Delta(tool_calls=(ToolCallDelta(1, "t2", "clock", ""),)),
    Delta(tool_calls=(ToolCallDelta(0, arguments=':"UTC"}'),)),
    Delta(tool_calls=(ToolCallDelta(1, arguments="{}"),)),
    Delta(finish_reason=FinishReason.TOOL_CALLS),
    Delta(usage=Usage(12, 3, 4)),
]


def serving(body: bytes, status: int = 200, kind: str = "application/json") -> Any:
    """An app that gives every request the same answer."""

    async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def gpt(url: str) -> Any:
    return openai_client.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0)


def claude(url: str) -> Any:
    return anthropic_client.AsyncAnthropic(api_key="k", base_url=url, max_retries=0)


async def test_the_openai_client_reads_our_answer() -> None:
    async with running(serving(openai.encode_completion(COMPLETION))) as url, gpt(url) as client:
        answer = await client.chat.completions.create(model="m", messages=HELLO)
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("I look.", "tool_calls")
    assert choice.message.reasoning_content == "hm"
    assert [c.function.arguments for c in choice.message.tool_calls] == ['{"zone":"UTC"}', "{}"]
    assert answer.usage.prompt_tokens_details.cached_tokens == 4


async def test_the_openai_client_reads_our_stream() -> None:
    encoder = openai.ChunkEncoder("a1", "m", 5, include_usage=True)
    body = b"".join(encoder.encode(delta) for delta in DELTAS) + encoder.finish()
    async with running(serving(body, kind="text/event-stream")) as url, gpt(url) as client:
        tools = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]
        async with client.chat.completions.stream(
            model="m", messages=HELLO, tools=tools, stream_options={"include_usage": True}
        ) as stream:
            answer = await stream.get_final_completion()
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("I look.", "tool_calls")
    assert [c.function.arguments for c in choice.message.tool_calls] == ['{"zone":"UTC"}', "{}"]
    assert answer.usage.total_tokens == 15


async def test_the_anthropic_client_reads_our_answer() -> None:
    body = anthropic.encode_message(COMPLETION)
    async with running(serving(body)) as url, claude(url) as client:
        answer = await client.messages.create(model="m", max_tokens=9, messages=HELLO)
    thinking, text, first, second = answer.content
    assert (thinking.thinking, text.text) == ("hm", "I look.")
    assert (first.input, second.input) == ({"zone": "UTC"}, {})
    assert (answer.stop_reason, answer.usage.input_tokens) == ("tool_use", 8)


async def test_the_anthropic_client_reads_our_stream() -> None:
    encoder = anthropic.EventEncoder("a1", "m")
    body = b"".join(encoder.encode(delta) for delta in DELTAS) + encoder.finish()
    async with (
        running(serving(body, kind="text/event-stream")) as url,
        claude(url) as client,
        client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream,
    ):
        answer = await stream.get_final_message()
    thinking, text, first, second = answer.content
    assert (thinking.thinking, text.text) == ("hm", "I look.")
    assert (first.input, second.input) == ({"zone": "UTC"}, {})
    assert (answer.stop_reason, answer.usage.output_tokens) == ("tool_use", 3)
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (8, 4)


async def test_the_clients_read_our_errors() -> None:
    wrong = InvalidRequest("messages is empty.", field="messages")
    async with running(serving(openai.error_body(wrong), 400)) as url, gpt(url) as client:
        with pytest.raises(openai_client.BadRequestError, match="messages is empty") as bad:
            await client.chat.completions.create(model="m", messages=HELLO)
    assert (bad.value.param, bad.value.code) == ("messages", "invalid_request")
    body = anthropic.error_body(Unauthorized("Send a key."), "req_1")
    async with running(serving(body, 401)) as url, claude(url) as client:
        with pytest.raises(anthropic_client.AuthenticationError, match="Send a key"):
            await client.messages.create(model="m", max_tokens=9, messages=HELLO)


async def test_the_clients_see_our_error_inside_a_stream() -> None:
    error = BackendOverloaded("Come back later.", backend="b")
    chunks = openai.ChunkEncoder("a1", "m", 5, include_usage=False)
    body = chunks.encode(DELTAS[2]) + chunks.error(error)
    async with running(serving(body, kind="text/event-stream")) as url, gpt(url) as client:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert (await anext(stream)).choices[0].delta.content == "I "
        with pytest.raises(openai_client.APIError, match="Come back later"):
            await anext(stream)
    events = anthropic.EventEncoder("a1", "m")
    body = events.encode(DELTAS[2]) + events.error(error)
    async with running(serving(body, kind="text/event-stream")) as url, claude(url) as client:
        stream = await client.messages.create(model="m", max_tokens=9, messages=HELLO, stream=True)
        with pytest.raises(anthropic_client.APIStatusError, match="Come back later"):
            async for _ in stream:
                pass


SCRIPTED = Answer(
    text="I look.",
    reasoning="hm hm",
    tool_calls=[ToolUse("clock", '{"zone":"UTC"}', "t1"), ToolUse("clock", "{}", "t2")],
    usage=(12, 3),
    cached_tokens=4,
)
WANTED = {
    "text": "I look.",
    "reasoning": "hm hm",
    "refusal": "",
    "calls": [("t1", "clock", '{"zone":"UTC"}'), ("t2", "clock", "{}")],
    "reason": FinishReason.TOOL_CALLS,
    "usage": Usage(12, 3, 4),
}


async def answered(url: str, path: str, body: Json) -> bytes:
    headers = {"anthropic-version": anthropic.API_VERSION}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        return (await client.post(path, json=body)).content


def as_said(completion: Completion) -> Json:
    return {
        "text": completion.text,
        "reasoning": completion.reasoning,
        "refusal": completion.refusal or "",
        "calls": [(c.id, c.name, c.arguments) for c in completion.tool_calls],
        "reason": completion.finish_reason,
        "usage": completion.usage,
    }


async def test_openais_answers_are_read_whole_and_streamed() -> None:
    fake = FakeOpenAI()
    fake.enqueue(SCRIPTED, SCRIPTED)
    body = {"model": "gpt-fake", "messages": HELLO}
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    async with running(fake) as url:
        whole = openai.parse_completion(await answered(url, fake.chat_path, body))
        stream = await answered(url, fake.chat_path, asked)
    assert as_said(whole) == WANTED
    deltas = [openai.parse_chunk(event) for event in EventSplitter().feed(stream)]
    assert deltas.pop() is None
    assert folded(delta for delta in deltas if delta is not None) == WANTED


async def test_anthropics_answers_are_read_whole_and_streamed() -> None:
    fake = FakeAnthropic()
    fake.enqueue(SCRIPTED, SCRIPTED)
    body = anthropic.chat_to_messages({"messages": HELLO}, "claude-fake", 9)
    async with running(fake) as url:
        whole = anthropic.parse_message(await answered(url, fake.chat_path, body))
        stream = await answered(url, fake.chat_path, {**body, "stream": True})
    assert as_said(whole) == WANTED
    parser = anthropic.EventParser()
    deltas = [parser.parse(event) for event in EventSplitter().feed(stream)]
    assert deltas.pop() is None
    assert folded(delta for delta in deltas if delta is not None) == WANTED


async def test_errors_inside_streams_of_both_apis_are_stream_errors() -> None:
    gpt_fake, claude_fake = FakeOpenAI(), FakeAnthropic()
    for fake in (gpt_fake, claude_fake):
        fake.enqueue(Answer(stream_error="no room"))
    body = {"model": "gpt-fake", "messages": HELLO, "stream": True}
    async with running(gpt_fake) as url:
        *_, last = EventSplitter().feed(await answered(url, gpt_fake.chat_path, body))
    with pytest.raises(StreamError, match="no room"):
        openai.parse_chunk(last)
    body = {"model": "claude-fake", "messages": HELLO, "stream": True, "max_tokens": 9}
    async with running(claude_fake) as url:
        *_, last = EventSplitter().feed(await answered(url, claude_fake.chat_path, body))
    with pytest.raises(StreamError, match="no room"):
        anthropic.EventParser().parse(last)


async def test_a_translated_conversation_is_accepted_by_the_strict_api() -> None:
    """Everything the API answers 400 to, in one conversation."""
    body = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": " "},
            {"role": "user", "content": [{"type": "text", "text": ""}]},
            {"role": "user", "content": "The time?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "functions.clock:0",
                        "type": "function",
                        "function": {"name": "clock", "arguments": "not json"},
                    }
                ],
            },
            {"role": "system", "content": "In UTC."},
            {"role": "tool", "tool_call_id": "functions.clock:0", "content": ""},
            {"role": "user", "content": "Well?"},
        ],
        "tools": [{"type": "function", "function": {"name": "clock"}}],
        "temperature": 1.9,
        "seed": 4,
        "frequency_penalty": 1,
    }
    fake = FakeAnthropic(models=["claude-sonnet-4-5"])
    request = anthropic.chat_to_messages(body, "claude-sonnet-4-5", 9)
    async with running(fake) as url:
        answer = await answered(url, fake.chat_path, request)
    assert anthropic.parse_message(answer).text == "echo: Well?"
