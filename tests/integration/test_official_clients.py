"""The vendors' own client libraries against the whole coordinator, real local and fake paid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from hybrid_coordinator.conversation import Rejection
from hybrid_coordinator.telemetry import EventReader
from hybrid_coordinator.telemetry.events import ResponseRejected
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, ToolUse, running
from tests.integration.served import Served, fake_backend, serving
from tests.testbed.lemonade import LemonadeServer

KEY = "test-key-of-at-least-sixteen"
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
    },
}


class Stack:
    """The coordinator with one real local backend and both paid APIs."""

    def __init__(self, served: Served, paid: FakeOpenAI, claude: FakeAnthropic) -> None:
        self.paid = paid
        self.claude = claude
        self.openai = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=KEY, max_retries=0)
        self.anthropic = anthropic.AsyncAnthropic(base_url=served.url, api_key=KEY, max_retries=0)


@pytest.fixture
async def stack(tmp_path: Path, lemonade: LemonadeServer) -> AsyncIterator[Stack]:
    keys = tmp_path / "keys"
    keys.write_text(f"tester:{KEY}\n")
    paid, claude = FakeOpenAI(), FakeAnthropic(models=("claude-fake",))
    async with running(paid) as paid_url, running(claude) as claude_url:
        backends = {
            "lemonade": {
                "kind": "lemonade",
                "base_url": lemonade.url,
                "models": [{"name": lemonade.model, "context_tokens": 2048}],
            },
            "paid": fake_backend(paid_url, tier="remote"),
            "claude": {
                "kind": "anthropic",
                "base_url": claude_url,
                "tier": "remote",
                "models": [{"name": "claude-fake", "context_tokens": 100_000}],
            },
        }
        async with serving(
            tmp_path / "state", backends=backends, api_keys_file=str(keys)
        ) as served:
            yield Stack(served, paid, claude)


def ask(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


async def test_openai_client_local_whole_and_streamed(
    stack: Stack, lemonade: LemonadeServer
) -> None:
    whole = await stack.openai.chat.completions.create(
        model=lemonade.model,
        messages=ask("Say hello."),
        max_tokens=16,
    )
    assert whole.choices[0].message.content
    stream = await stack.openai.chat.completions.create(
        model=lemonade.model,
        messages=ask("Count to five."),
        max_tokens=16,
        stream=True,
        stream_options={"include_usage": True},
    )
    text, usage = "", None
    async for chunk in stream:
        usage = chunk.usage or usage
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text
    assert usage is not None
    assert usage.completion_tokens > 0


async def test_openai_client_remote_with_tools_and_images(stack: Stack) -> None:
    stack.paid.enqueue(Answer(tool_calls=[ToolUse("add", '{"n": 2}')]))
    called = await stack.openai.chat.completions.create(
        model="gpt-fake",
        messages=ask("Add two."),
        tools=[TOOL],
    )
    calls = called.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"n": 2}'  # type: ignore[union-attr]


async def test_openai_client_gets_its_own_errors(stack: Stack) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await stack.openai.chat.completions.create(model="nope", messages=ask("Hi."))
    assert unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError) as empty:
        await stack.openai.chat.completions.create(model="auto", messages=[])
    assert empty.value.param == "messages"
    wrong = stack.openai.with_options(api_key="wrong-key-but-long-enough")
    with pytest.raises(openai.AuthenticationError):
        await wrong.models.list()


async def test_openai_client_embeds_and_lists(stack: Stack, lemonade: LemonadeServer) -> None:
    embedded = await stack.openai.embeddings.create(model="auto", input=["a", "b"])
    assert len(embedded.data) == 2
    assert len(embedded.data[0].embedding) == 384
    names = [model.id async for model in stack.openai.models.list()]
    assert {"auto", lemonade.model, "gpt-fake", "claude-fake"} <= set(names)


async def test_anthropic_client_against_each_kind_of_backend(
    stack: Stack, lemonade: LemonadeServer
) -> None:
    for model in (lemonade.model, "gpt-fake", "claude-fake"):
        message = await stack.anthropic.messages.create(
            model=model,
            max_tokens=16,
            system="Be brief.",
            messages=[{"role": "user", "content": "Say hello."}],
        )
        assert message.content[0].type == "text"
        assert message.content[0].text
        assert message.usage.output_tokens > 0


async def test_anthropic_client_streams_from_each_kind_of_backend(
    stack: Stack, lemonade: LemonadeServer
) -> None:
    for model in (lemonade.model, "gpt-fake", "claude-fake"):
        async with stack.anthropic.messages.stream(
            model=model,
            max_tokens=16,
            messages=[{"role": "user", "content": f"Count to three with {model}."}],
        ) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
        assert text
        assert final.stop_reason is not None


async def test_anthropic_client_counts_tokens(stack: Stack) -> None:
    counted = await stack.anthropic.messages.count_tokens(
        model="auto", messages=[{"role": "user", "content": "How many tokens are these?"}]
    )
    assert 3 <= counted.input_tokens <= 30


async def test_stream_and_whole_are_answered_from_one_entry_in_either_dialect(
    stack: Stack,
) -> None:
    stack.paid.enqueue(Answer(text="The one and only answer."))
    question = "What is the one and only answer?"
    first = await stack.openai.chat.completions.with_raw_response.create(
        model="gpt-fake",
        messages=ask(question),
        max_tokens=64,
        stream=True,
    )
    assert first.headers["x-hybrid-cache"] == "miss"
    stream = first.parse()
    assert isinstance(stream, openai.AsyncStream)
    assert [chunk async for chunk in stream]
    whole = await stack.anthropic.messages.with_raw_response.create(
        model="gpt-fake", max_tokens=64, messages=[{"role": "user", "content": question}]
    )
    assert whole.headers["x-hybrid-cache"] == "exact"
    assert (await whole.parse()).content[0].text == "The one and only answer."  # type: ignore[union-attr]


async def test_a_local_refusal_goes_to_the_paid_backend_and_is_never_seen(
    stack: Stack, tmp_path: Path
) -> None:
    declining = FakeOpenAI(models=("weak",), default=Answer(text="I'm sorry, but I can't do that."))
    stack.paid.enqueue(Answer(text="Here it is."))
    async with running(declining) as weak, running(stack.paid) as strong:
        backends = {
            "weak": fake_backend(weak, model="weak"),
            "strong": fake_backend(strong, tier="remote"),
        }
        async with serving(
            tmp_path / "two", backends=backends, routing={"local_confidence_threshold": 0}
        ) as served:
            client = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0)
            for stream in (False, True):
                stack.paid.enqueue(Answer(text="Here it is."))
                raw = await client.chat.completions.with_raw_response.create(
                    model="auto",
                    messages=ask(f"Do it, streamed {stream}."),
                    stream=stream,
                )
                assert raw.headers["x-hybrid-route"].startswith("remote:strong")
            await asyncio.to_thread(served.stop)
            rejected = [
                e
                for e in EventReader(served.state / "telemetry")
                if isinstance(e, ResponseRejected)
            ]
            assert [(e.backend, e.rejection, e.escalated) for e in rejected] == [
                ("weak", Rejection.REFUSAL, True)
            ] * 2
