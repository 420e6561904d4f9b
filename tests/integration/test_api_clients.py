"""The official client libraries against the edge on a real socket, with a scripted gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import anthropic
import openai
import pytest

from hybrid_coordinator.conversation import ChatRequest, Delta
from hybrid_coordinator.errors import (
    BackendOverloaded,
    BackendRejected,
    BackendTimeout,
    ContextTooLong,
    HybridError,
    NoBackend,
    UnknownModel,
    Unprocessable,
)
from hybrid_coordinator.gateway import Answer
from tests.unit.api.scripted import (
    ALICE,
    KEYS,
    SIZE,
    TOOL_DELTAS,
    Running,
    ScriptedGateway,
    edge,
    meta,
    running,
    tool_completion,
)

QUESTION = "Capital of France?"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
async def server(gateway: ScriptedGateway) -> AsyncIterator[Running]:
    async with running(edge(gateway, keys=KEYS)) as found:
        yield found


@pytest.fixture
async def gpt(server: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key=ALICE, max_retries=0, timeout=10
    ) as client:
        yield client


@pytest.fixture
async def claude(server: Running) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=server.url, api_key=ALICE, max_retries=0, timeout=10
    ) as client:
        yield client


async def test_openai_gets_a_completion_and_the_headers(
    gpt: openai.AsyncOpenAI, gateway: ScriptedGateway
) -> None:
    raw = await gpt.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": QUESTION}]
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 2)
    assert raw.headers["x-hybrid-interaction-id"] == gateway.requests[0].interaction_id
    assert raw.headers["x-hybrid-cache"] == "miss"
    assert gateway.requests[0].caller.name == "alice"


async def test_openai_gets_a_stream_with_usage_only_where_it_asked(
    gpt: openai.AsyncOpenAI,
) -> None:
    for include in (False, True):
        stream = await gpt.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": include},
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == "Paris."
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        usages = [c.usage for c in chunks if c.usage]
        assert len(usages) == (1 if include else 0)


async def test_openai_gets_tool_calls_whole_and_streamed(
    gpt: openai.AsyncOpenAI, gateway: ScriptedGateway
) -> None:
    gateway.whole = tool_completion()
    gateway.deltas = TOOL_DELTAS
    tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    answer = await gpt.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "Weather in Paris?"}],
        tools=tools,  # type: ignore[arg-type]
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert answer.choices[0].finish_reason == "tool_calls"
    assert calls[0].function.arguments == '{"city":"Paris"}'  # type: ignore[union-attr]
    async with gpt.chat.completions.stream(
        model="auto",
        messages=[{"role": "user", "content": "Weather in Paris?"}],
        tools=tools,  # type: ignore[arg-type]
    ) as stream:
        final = await stream.get_final_completion()
    streamed = final.choices[0].message.tool_calls
    assert streamed is not None
    assert streamed[0].id == "call_1"
    assert streamed[0].function.arguments == '{"city":"Paris"}'
    assert gateway.requests[0].uses_tools


async def test_openai_gets_embeddings_and_models(gpt: openai.AsyncOpenAI) -> None:
    made = await gpt.embeddings.create(model="bundled", input=["a", "b"])
    assert [len(entry.embedding) for entry in made.data] == [SIZE, SIZE]
    assert made.data[1].embedding[1] == 1.0
    plain = await gpt.embeddings.create(model="bundled", input="a", encoding_format="float")
    assert plain.data[0].embedding == made.data[0].embedding
    listed = [model.id async for model in gpt.models.list()]
    assert listed == ["auto", "small", "org/large"]
    assert (await gpt.models.retrieve("org/large")).owned_by == "remote"


async def test_anthropic_gets_a_message_a_stream_and_a_count(
    claude: anthropic.AsyncAnthropic, gateway: ScriptedGateway
) -> None:
    message = await claude.messages.create(
        model="auto",
        max_tokens=50,
        system="Be brief.",
        messages=[{"role": "user", "content": QUESTION}],
    )
    assert message.content[0].text == "Paris."  # type: ignore[union-attr]
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 2)
    async with claude.messages.stream(
        model="auto", max_tokens=50, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        pieces = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert "".join(pieces) == "Paris."
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 2
    counted = await claude.messages.count_tokens(
        model="auto", messages=[{"role": "user", "content": "one two three"}]
    )
    assert counted.input_tokens == 3
    assert [r.system_text for r in gateway.requests] == ["Be brief.", "", ""]


async def test_anthropic_gets_tool_use_whole_and_streamed(
    claude: anthropic.AsyncAnthropic, gateway: ScriptedGateway
) -> None:
    gateway.whole = tool_completion()
    gateway.deltas = TOOL_DELTAS
    tools = [{"name": "weather", "input_schema": WEATHER}]
    message = await claude.messages.create(
        model="auto",
        max_tokens=50,
        messages=[{"role": "user", "content": "Weather in Paris?"}],
        tools=tools,  # type: ignore[arg-type]
    )
    async with claude.messages.stream(
        model="auto",
        max_tokens=50,
        messages=[{"role": "user", "content": "Weather in Paris?"}],
        tools=tools,  # type: ignore[arg-type]
    ) as stream:
        streamed = await stream.get_final_message()
    for found in (message, streamed):
        assert found.stop_reason == "tool_use"
        block = next(b for b in found.content if b.type == "tool_use")
        assert (block.name, block.input) == ("weather", {"city": "Paris"})


async def test_anthropic_lists_models(claude: anthropic.AsyncAnthropic) -> None:
    listed = [model async for model in claude.models.list()]
    assert [model.id for model in listed] == ["auto", "small", "org/large"]
    assert listed[1].created_at.year == 2023
    assert (await claude.models.retrieve("small")).display_name == "small"


async def test_a_bearer_token_works_for_anthropic_too(server: Running) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=server.url, auth_token=ALICE, api_key=None, max_retries=0
    ) as client:
        counted = await client.messages.count_tokens(
            model="auto", messages=[{"role": "user", "content": "one"}]
        )
    assert counted.input_tokens == 1


ERRORS: list[tuple[HybridError, type[Exception], type[Exception]]] = [
    (
        ContextTooLong("Too long.", field="messages"),
        openai.BadRequestError,
        anthropic.BadRequestError,
    ),
    (UnknownModel("No such model."), openai.NotFoundError, anthropic.NotFoundError),
    (
        Unprocessable("Does not fit."),
        openai.UnprocessableEntityError,
        anthropic.UnprocessableEntityError,
    ),
    (
        BackendRejected("Slow down.", backend="remote", upstream_status=429),
        openai.RateLimitError,
        anthropic.RateLimitError,
    ),
    (
        BackendTimeout("Too slow.", backend="small"),
        openai.InternalServerError,
        anthropic.InternalServerError,
    ),
    (
        BackendOverloaded("Full.", backend="small", retry_after=3),
        openai.InternalServerError,
        anthropic.InternalServerError,
    ),
    (
        NoBackend("Nothing answers: small refused."),
        openai.InternalServerError,
        anthropic.InternalServerError,
    ),
]


@pytest.mark.parametrize("stream", [False, True])
async def test_errors_become_the_libraries_exceptions(
    gpt: openai.AsyncOpenAI,
    claude: anthropic.AsyncAnthropic,
    gateway: ScriptedGateway,
    stream: bool,
) -> None:
    for error, theirs, other in ERRORS:
        gateway.error = error
        with pytest.raises(theirs) as caught:
            await gpt.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": QUESTION}], stream=stream
            )
        assert isinstance(caught.value, openai.APIStatusError)
        assert caught.value.status_code == error.status
        assert caught.value.code == error.code
        assert error.message in caught.value.message
        with pytest.raises(other) as refused:
            await claude.messages.create(
                model="auto",
                max_tokens=5,
                messages=[{"role": "user", "content": QUESTION}],
                stream=stream,
            )
        assert isinstance(refused.value, anthropic.APIStatusError)
        assert refused.value.status_code == error.status
        assert error.message in refused.value.message


async def test_a_wrong_key_is_the_libraries_authentication_error(server: Running) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="wrong-key", max_retries=0
    ) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    async with anthropic.AsyncAnthropic(
        base_url=server.url, api_key="wrong-key", max_retries=0
    ) as other:
        with pytest.raises(anthropic.AuthenticationError):
            await other.messages.count_tokens(
                model="auto", messages=[{"role": "user", "content": "x"}]
            )


async def test_an_error_in_a_stream_is_raised_by_both_libraries(
    gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, gateway: ScriptedGateway
) -> None:
    async def broken() -> AsyncGenerator[Delta, None]:
        yield Delta(text="Pa", id="c1", model="small")
        raise BackendTimeout("No next byte came.", backend="small")

    async def script(request: ChatRequest) -> Answer:
        return Answer(meta(request), deltas=broken())

    gateway.script = script
    stream = await gpt.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    assert (await anext(stream)).choices[0].delta.content == "Pa"
    with pytest.raises(openai.APIError, match="No next byte came"):
        await anext(stream)
    async with claude.messages.stream(
        model="auto", max_tokens=5, messages=[{"role": "user", "content": QUESTION}]
    ) as events:
        with pytest.raises(anthropic.APIError, match="No next byte came"):
            await events.until_done()


async def test_a_hundred_requests_at_once_get_their_own_answers(
    gpt: openai.AsyncOpenAI, gateway: ScriptedGateway
) -> None:
    raws = await asyncio.gather(
        *(
            gpt.chat.completions.with_raw_response.create(
                model="auto", messages=[{"role": "user", "content": f"q{n}"}]
            )
            for n in range(100)
        )
    )
    ids = [raw.headers["x-hybrid-interaction-id"] for raw in raws]
    assert len(set(ids)) == 100
    by_id = {request.interaction_id: request.question for request in gateway.requests}
    assert [by_id[found] for found in ids] == [f"q{n}" for n in range(100)]
