"""The OpenAI-compatible and the Anthropic backend against APIs that fail in every way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.conversation import Delta, Dialect, FinishReason, ModelCall
from hybrid_coordinator.errors import (
    BackendError,
    BackendOverloaded,
    BackendProtocolError,
    BackendRejected,
    BackendUnavailable,
)
from hybrid_coordinator.inference import Backend, build_backend
from hybrid_coordinator.settings import BackendKind
from tests.fakes import Answer, FakeAnthropic, FakeOpenAI, ToolUse, running
from tests.unit.inference.fleet_parts import (
    ANTHROPIC_MODEL,
    LIMIT,
    call,
    read_into,
    settings,
    text_of,
)
from tests.unit.inference.raw_server import raw_server, read_request

KINDS = [BackendKind.OPENAI, BackendKind.ANTHROPIC]
Fake = FakeOpenAI | FakeAnthropic


@asynccontextmanager
async def backend_of(
    kind: BackendKind, api_key: str | None = None, **changed: Any
) -> AsyncIterator[tuple[Fake, Backend]]:
    fake: Fake = (FakeAnthropic if kind is BackendKind.ANTHROPIC else FakeOpenAI)(api_key="sk-x")
    async with running(fake) as url, asyncio.timeout(LIMIT):
        backend = build_backend("b", settings(url, kind, **changed), api_key or "sk-x", Path())
        try:
            yield fake, backend
        finally:
            await backend.aclose()


def made(kind: BackendKind, *, stream: bool = False) -> ModelCall:
    plain = call(stream=stream, text="ping pong")
    if kind is BackendKind.OPENAI:
        return plain
    return ModelCall(
        body={**plain.body, "model": ANTHROPIC_MODEL},
        api_model=ANTHROPIC_MODEL,
        stream=stream,
        interaction_id="i1",
    )


async def streamed(backend: Backend, kind: BackendKind) -> list[Delta]:
    return [delta async for delta in backend.stream(made(kind, stream=True))]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_answer_keeps_its_bytes_and_its_usage(kind: BackendKind) -> None:
    async with backend_of(kind) as (_, backend):
        completion = await backend.complete(made(kind))
    assert "ping pong" in completion.text
    assert completion.finish_reason is FinishReason.STOP
    assert completion.usage.input_tokens == 2
    assert completion.raw is not None
    assert completion.raw_dialect == Dialect(kind.value)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_gives_text_reason_and_usage_in_pieces(kind: BackendKind) -> None:
    async with backend_of(kind) as (_, backend):
        deltas = await streamed(backend, kind)
    assert "ping pong" in "".join(delta.text for delta in deltas)
    assert [d.finish_reason for d in deltas if d.finish_reason] == [FinishReason.STOP]
    assert [d.usage.input_tokens for d in deltas if d.usage] == [2]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_tool_call_arrives_whole_and_streamed(kind: BackendKind) -> None:
    use = ToolUse("add", '{"a":1}')
    async with backend_of(kind) as (fake, backend):
        fake.enqueue(Answer(tool_calls=(use,)), Answer(tool_calls=(use,)))
        completion = await backend.complete(made(kind))
        deltas = await streamed(backend, kind)
    assert [(c.name, c.arguments) for c in completion.tool_calls] == [("add", '{"a":1}')]
    pieces = [piece for delta in deltas for piece in delta.tool_calls]
    assert "".join(piece.arguments for piece in pieces) == '{"a":1}'
    assert pieces[0].name == "add"


async def test_the_body_goes_upstream_as_the_pipeline_made_it() -> None:
    async with backend_of(BackendKind.OPENAI) as (fake, backend):
        sent = made(BackendKind.OPENAI, stream=True)
        sent.body["x_unknown"] = {"kept": True}
        before = repr(sent.body)
        async for _ in backend.stream(sent):
            pass
    assert fake.chat_requests[0].json == sent.body
    assert repr(sent.body) == before
    assert fake.chat_requests[0].headers["authorization"] == "Bearer sk-x"


async def test_a_clients_own_anthropic_body_is_sent_instead_of_a_translation() -> None:
    native = {
        "model": ANTHROPIC_MODEL,
        "max_tokens": 7,
        "messages": [{"role": "user", "content": "native words"}],
        "metadata": {"user_id": "u"},
    }
    async with backend_of(BackendKind.ANTHROPIC) as (fake, backend):
        plain = made(BackendKind.ANTHROPIC)
        await backend.complete(
            ModelCall(plain.body, plain.api_model, False, "i1", native, Dialect.ANTHROPIC)
        )
    assert fake.chat_requests[0].json == native


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_cut_in_the_middle_is_an_error_after_what_came(kind: BackendKind) -> None:
    async with backend_of(kind) as (fake, backend):
        fake.enqueue(Answer(text="one two three", cut_after_chunks=4))
        seen: list[Delta] = []
        with pytest.raises(BackendUnavailable, match="in the middle"):
            await read_into(seen, backend.stream(made(kind, stream=True)))
    assert text_of(seen).startswith("one")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_ends_politely_but_too_early_is_an_error(kind: BackendKind) -> None:
    async with backend_of(kind) as (fake, backend):
        fake.enqueue(Answer(text="one two three", end_after_chunks=3))
        with pytest.raises(BackendUnavailable, match="in the middle"):
            await streamed(backend, kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_inside_a_stream_comes_after_what_was_said(kind: BackendKind) -> None:
    async with backend_of(kind) as (fake, backend):
        fake.enqueue(Answer(text="one two", stream_error="out of memory, key sk-x"))
        seen: list[Delta] = []
        with pytest.raises(BackendUnavailable, match="out of memory") as raised:
            await read_into(seen, backend.stream(made(kind, stream=True)))
    assert text_of(seen) == "one two"
    assert "sk-x" not in str(raised.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", [b"", b"\x00\xff", b"[]", b"{}", b"<html></html>"])
async def test_a_whole_answer_that_is_garbage_is_a_protocol_error(
    kind: BackendKind, garbage: bytes
) -> None:
    async with backend_of(kind) as (fake, backend):
        fake.enqueue(Answer(garbage=garbage))
        with pytest.raises(BackendProtocolError, match="backend 'b'"):
            await backend.complete(made(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", [b"data: {nope\n\n", b"data: [1]\n\n", b"data: \xff\n\n"])
async def test_a_stream_that_is_garbage_is_a_protocol_error(
    kind: BackendKind, garbage: bytes
) -> None:
    async with backend_of(kind) as (fake, backend):
        fake.enqueue(Answer(garbage=garbage, content_type="text/event-stream"))
        with pytest.raises(BackendProtocolError):
            await streamed(backend, kind)


async def test_a_server_that_cannot_stream_gives_its_whole_answer_as_one_delta() -> None:
    body = (
        b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
        b'"message":{"role":"assistant","content":"all of it"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":1,"completion_tokens":3,"total_tokens":4}}'
    )
    async with backend_of(BackendKind.OPENAI) as (fake, backend):
        fake.enqueue(Answer(garbage=body))
        (delta,) = await streamed(backend, BackendKind.OPENAI)
    assert (delta.text, delta.finish_reason) == ("all of it", FinishReason.STOP)
    assert delta.usage is not None
    assert delta.usage.output_tokens == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_each_failing_status_has_its_error(kind: BackendKind) -> None:
    expected: list[tuple[Answer, type[BackendError], int]] = [
        (Answer(status=400, error_message="bad field"), BackendRejected, 400),
        (Answer(status=429, retry_after=3.0), BackendOverloaded, 503),
        (Answer(status=500), BackendUnavailable, 503),
        (Answer(status=401), BackendUnavailable, 503),
    ]
    async with backend_of(kind) as (fake, backend):
        for answer, error, status in expected:
            fake.enqueue(answer, answer)
            with pytest.raises(error) as whole:
                await backend.complete(made(kind))
            with pytest.raises(error) as stream:
                await streamed(backend, kind)
            assert whole.value.status == stream.value.status == status
            assert whole.value.retry_after == answer.retry_after


async def test_a_stream_is_read_to_its_end_so_that_its_connection_serves_the_next() -> None:
    """The end of the body comes after the last event, and not always in the same packet."""
    connections = 0
    event = (
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}'
        b"\n\ndata: [DONE]\n\n"
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(event), event)
            )
            await writer.drain()
            await asyncio.sleep(0.005)
            writer.write(b"0\r\n\r\n")

    async with raw_server(serve) as url, asyncio.timeout(LIMIT):
        backend = build_backend("b", settings(url), None, Path())
        for _ in range(3):
            assert text_of(await streamed(backend, BackendKind.OPENAI)) == "a"
        await backend.aclose()
    assert connections == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_closing_a_stream_cancels_it_upstream_at_once(kind: BackendKind) -> None:
    async with backend_of(kind) as (fake, backend):
        fake.enqueue(Answer(text="one two three", hold_stream=asyncio.Event()))
        stream = backend.stream(made(kind, stream=True))
        while not (await anext(stream)).text:
            pass
        await stream.aclose()
        await fake.until(lambda: fake.cancelled == 1)


async def test_anthropic_counts_a_prompts_tokens_by_its_own_count() -> None:
    async with backend_of(BackendKind.ANTHROPIC) as (fake, backend):
        assert await backend.count_tokens(made(BackendKind.ANTHROPIC)) == 2
    assert fake.started == 0


async def test_a_server_without_a_count_of_tokens_says_so() -> None:
    async with backend_of(BackendKind.OPENAI) as (_, backend):
        assert await backend.count_tokens(made(BackendKind.OPENAI)) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_key_is_found_by_the_probe_and_named(kind: BackendKind) -> None:
    async with backend_of(kind, api_key="sk-wrong") as (fake, backend):
        found = await backend.probe()
    if kind is BackendKind.ANTHROPIC:
        assert fake.started == 0
    assert not found.ready
    assert "backends.b.api_key_file" in found.detail
    assert "sk-wrong" not in found.detail
