"""The fake paid APIs, judged by the vendors' own clients: if those understand them, so must we."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.fakes import Answer, FakeAnthropic, FakeOpenAI, ToolUse, running

HELLO = [{"role": "user", "content": "hello there"}]
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}


@pytest.fixture
def fake() -> FakeOpenAI:
    return FakeOpenAI(api_key="key")


@pytest.fixture
def claude() -> FakeAnthropic:
    return FakeAnthropic(api_key="key")


@pytest.fixture
async def gpt(fake: FakeOpenAI) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        running(fake) as url,
        openai.AsyncOpenAI(api_key="key", base_url=f"{url}/v1", max_retries=0) as client,
    ):
        yield client


@pytest.fixture
async def messages(claude: FakeAnthropic) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with (
        running(claude) as url,
        anthropic.AsyncAnthropic(api_key="key", base_url=url, max_retries=0) as client,
    ):
        yield client


async def test_the_openai_client_reads_a_whole_answer(fake: FakeOpenAI, gpt: Any) -> None:
    answer = await gpt.chat.completions.create(model="gpt-fake", messages=HELLO)
    assert answer.choices[0].message.content == "echo: hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 3)
    assert fake.chat_requests[0].json["model"] == "gpt-fake"
    assert fake.chat_requests[0].headers["authorization"] == "Bearer key"
    assert (fake.started, fake.finished, fake.cancelled) == (1, 1, 0)


async def test_the_openai_client_reads_a_stream_with_usage_only_when_asked(
    gpt: Any,
) -> None:
    for asked in (True, False):
        stream = await gpt.chat.completions.create(
            model="gpt-fake",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": asked},
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == "echo: hello there"
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert [c.usage.completion_tokens for c in chunks if c.usage] == ([3] if asked else [])


async def test_the_openai_client_reads_tool_calls_whole_and_streamed(
    fake: FakeOpenAI, gpt: Any
) -> None:
    calls = Answer(tool_calls=[ToolUse("clock", '{"zone": "UTC"}'), ToolUse("clock", "{}")])
    fake.enqueue(calls, calls)
    answer = await gpt.chat.completions.create(model="gpt-fake", messages=HELLO, tools=[TOOL])
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    assert [c.function.arguments for c in answer.choices[0].message.tool_calls] == [
        '{"zone": "UTC"}',
        "{}",
    ]
    async with gpt.chat.completions.stream(
        model="gpt-fake", messages=HELLO, tools=[TOOL]
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.tool_calls is not None
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"zone": "UTC"}'


async def test_the_openai_client_sees_errors_as_the_real_ones(fake: FakeOpenAI, gpt: Any) -> None:
    fake.enqueue(Answer(status=429, retry_after=7), Answer(status=500), Answer(garbage=b"<html>"))
    with pytest.raises(openai.RateLimitError) as limited:
        await gpt.chat.completions.create(model="gpt-fake", messages=HELLO)
    assert limited.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.InternalServerError, match="scripted failure"):
        await gpt.chat.completions.create(model="gpt-fake", messages=HELLO)
    response = await gpt.chat.completions.with_raw_response.create(model="gpt-fake", messages=HELLO)
    assert response.http_response.content == b"<html>"
    with pytest.raises(openai.NotFoundError):
        await gpt.chat.completions.create(model="gpt-unknown", messages=HELLO)
    with pytest.raises(openai.AuthenticationError):
        await gpt.with_options(api_key="other").models.list()


async def test_the_openai_client_sees_a_cut_stream_and_an_error_event(
    fake: FakeOpenAI, gpt: Any
) -> None:
    fake.enqueue(Answer(cut_after_chunks=2), Answer(stream_error="overloaded"))
    stream = await gpt.chat.completions.create(model="gpt-fake", messages=HELLO, stream=True)
    for _ in range(2):
        await anext(stream)
    with pytest.raises(openai.APIConnectionError):
        await anext(stream)
    with pytest.raises(openai.APIError, match="overloaded"):
        async for _ in await gpt.chat.completions.create(
            model="gpt-fake", messages=HELLO, stream=True
        ):
            pass


async def test_embeddings_and_models_are_served(gpt: Any) -> None:
    vectors = await gpt.embeddings.create(
        model="gpt-fake", input=["a", "b", "a"], encoding_format="float"
    )
    first, second, third = (item.embedding for item in vectors.data)
    assert first == third != second
    assert [model.id async for model in gpt.models.list()] == ["gpt-fake"]


async def test_a_client_that_goes_away_is_counted_as_cancelled(fake: FakeOpenAI, gpt: Any) -> None:
    fake.enqueue(Answer(hold_stream=asyncio.Event()))
    stream = await gpt.chat.completions.create(model="gpt-fake", messages=HELLO, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    assert fake.running == 1
    await stream.close()
    await fake.until(lambda: fake.cancelled == 1)
    assert (fake.finished, fake.running) == (0, 0)


async def test_held_answers_run_side_by_side_until_they_are_let_go(
    fake: FakeOpenAI, gpt: Any
) -> None:
    gate = asyncio.Event()
    fake.default = Answer(hold=gate)
    asked = [
        asyncio.create_task(gpt.chat.completions.create(model="gpt-fake", messages=HELLO))
        for _ in range(3)
    ]
    await fake.until(lambda: fake.running == 3)
    gate.set()
    await asyncio.gather(*asked)
    assert (fake.most_running, fake.finished) == (3, 3)


async def test_the_anthropic_client_reads_a_whole_answer(
    claude: FakeAnthropic, messages: Any
) -> None:
    claude.enqueue(Answer(reasoning="let me see", text="it is noon", cached_tokens=1))
    answer = await messages.messages.create(model="claude-fake", max_tokens=9, messages=HELLO)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert (answer.stop_reason, answer.usage.cache_read_input_tokens) == ("end_turn", 1)
    assert "key" in claude.chat_requests[0].headers["authorization"]


async def test_the_anthropic_client_reads_a_stream_with_thinking_and_tools(
    claude: FakeAnthropic, messages: Any
) -> None:
    claude.enqueue(
        Answer(reasoning="hm", text="calling", tool_calls=[ToolUse("clock", '{"zone":"UTC"}')])
    )
    async with messages.messages.stream(
        model="claude-fake", max_tokens=9, messages=HELLO
    ) as stream:
        final = await stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use"]
    assert final.content[2].input == {"zone": "UTC"}
    assert (final.stop_reason, final.usage.output_tokens) == ("tool_use", 1)


async def test_the_anthropic_client_sees_errors_as_the_real_ones(
    claude: FakeAnthropic, messages: Any
) -> None:
    claude.enqueue(Answer(status=529), Answer(stream_error="try later"))
    with pytest.raises(anthropic.InternalServerError, match="overloaded_error"):
        await messages.messages.create(model="claude-fake", max_tokens=9, messages=HELLO)
    with pytest.raises(anthropic.APIStatusError, match="try later"):
        async for _ in await messages.messages.create(
            model="claude-fake", max_tokens=9, messages=HELLO, stream=True
        ):
            pass
    for wrong in (
        {"messages": [{"role": "assistant", "content": "I"}]},
        {"messages": [{"role": "user", "content": " "}]},
        {"messages": HELLO, "extra_body": {"seed": 1}},
        {"messages": HELLO, "extra_body": {"temperature": 0.5}},
    ):
        with pytest.raises(anthropic.BadRequestError):
            await messages.messages.create(model="claude-fake", max_tokens=9, **wrong)
    with pytest.raises(anthropic.AuthenticationError):
        await messages.with_options(api_key="other").messages.create(
            model="claude-fake", max_tokens=9, messages=HELLO
        )


async def test_anthropic_token_counts_and_models_are_served(
    messages: Any,
) -> None:
    count = await messages.messages.count_tokens(model="claude-fake", messages=HELLO)
    assert count.input_tokens == 2
    assert [model.id async for model in messages.models.list()] == ["claude-fake"]


async def test_an_unknown_path_is_404_in_both_dialects(
    fake: FakeOpenAI, claude: FakeAnthropic
) -> None:
    for app, headers in (
        (fake, {"authorization": "Bearer key"}),
        (claude, {"x-api-key": "key", "anthropic-version": "2023-06-01"}),
    ):
        async with running(app) as url, httpx.AsyncClient() as client:
            response = await client.get(f"{url}/v1/nothing", headers=headers)
            assert response.status_code == 404
            assert "error" in response.json()
