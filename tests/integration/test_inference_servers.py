"""The fleet against real local servers: Lemonade with llama.cpp, and Ollama."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from hybrid_coordinator.conversation import FinishReason, ModelCall
from hybrid_coordinator.errors import BackendUnavailable, ContextTooLong, NoBackend
from hybrid_coordinator.inference import BackendStatus, Candidate, Fleet, build_backend
from hybrid_coordinator.settings import BackendKind, BackendSettings, ModelSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.testbed.lemonade import LemonadeServer, lemonade_server
from tests.testbed.ollama import ollama_server

pytest_plugins = ["tests.testbed.fixtures"]

LIMIT = 120.0


class Server(Protocol):
    model: str

    @property
    def url(self) -> str: ...


@pytest.fixture(params=[BackendKind.LEMONADE, BackendKind.OLLAMA])
def served(request: pytest.FixtureRequest) -> tuple[BackendKind, Server]:
    """Each server in turn, its model loaded."""
    kind: BackendKind = request.param
    name = "lemonade" if kind is BackendKind.LEMONADE else "ollama_server"
    return kind, request.getfixturevalue(name)


@pytest.fixture(params=[BackendKind.LEMONADE, BackendKind.OLLAMA])
def unloaded(request: pytest.FixtureRequest) -> tuple[BackendKind, Callable[[], Any]]:
    """How to start each server without a loaded model, for a test that stops it."""
    kind: BackendKind = request.param
    name = "lemonade" if kind is BackendKind.LEMONADE else "ollama_server"
    request.getfixturevalue(name)  # fails or skips where the part cannot be had
    return kind, lemonade_server if kind is BackendKind.LEMONADE else ollama_server


@asynccontextmanager
async def fleet_for(
    kind: BackendKind, server: Server, *names: str, **changed: Any
) -> AsyncIterator[Fleet]:
    settings = BackendSettings(
        kind=kind,
        base_url=server.url,
        models=tuple(ModelSettings(name=name) for name in names),
        probe_interval=1.0,
        **changed,
    )
    fleet = Fleet([build_backend("b", settings, None, Path())], Metrics())
    async with asyncio.timeout(LIMIT):
        try:
            await fleet.start()
            yield fleet
        finally:
            await fleet.aclose()


def is_ready(statuses: tuple[BackendStatus, ...]) -> bool:
    return statuses[0].ready


def caller(*, text: str = "Say hi.", tokens: int = 8, stream: bool = False) -> Any:
    def make_call(candidate: Candidate) -> ModelCall:
        body: dict[str, Any] = {
            "model": candidate.model.name,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": tokens,
            "seed": 1,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return ModelCall(body, candidate.model.name, stream, "i1")

    return make_call


async def test_a_loaded_model_is_found_answers_and_streams(
    served: tuple[BackendKind, Server],
) -> None:
    kind, server = served
    async with fleet_for(kind, server) as fleet:
        (status,) = await fleet.wait_for(is_ready)
        assert [m.name.removesuffix(":latest") for m in status.models] == [server.model]
        candidate = Candidate("b", status.models[0])
        answered = await fleet.complete([candidate], caller(), None)
        assert answered.completion.text
        assert 0 < answered.completion.usage.output_tokens <= 8
        assert answered.completion.usage.input_tokens > 0

        stream = await fleet.stream([candidate], caller(stream=True), None)
        deltas = [delta async for delta in stream.deltas]
        assert "".join(delta.text for delta in deltas)
        reasons = [delta.finish_reason for delta in deltas if delta.finish_reason]
        assert reasons
        assert reasons[-1] in (FinishReason.LENGTH, FinishReason.STOP)
        assert [d.usage.output_tokens for d in deltas if d.usage][-1] > 0
        assert stream.first_token_seconds is not None


async def test_lemonade_says_the_context_it_has_and_that_a_prompt_is_over_it(
    lemonade: LemonadeServer,
) -> None:
    async with fleet_for(BackendKind.LEMONADE, lemonade) as fleet:
        (status,) = await fleet.wait_for(is_ready)
        candidate = Candidate("b", status.models[0])
        assert candidate.model.context_tokens == 2048
        for stream in (False, True):
            ask = fleet.stream if stream else fleet.complete
            with pytest.raises(ContextTooLong, match="2048"):
                await ask([candidate], caller(text="word " * 5000, stream=stream), None)


async def test_a_model_the_server_does_not_have_is_not_ready_and_not_asked_for(
    served: tuple[BackendKind, Server],
) -> None:
    kind, server = served
    async with fleet_for(kind, server, "no-such-model") as fleet:
        (status,) = fleet.statuses()
        assert not status.ready
        assert "no-such-model" in status.detail
        with pytest.raises(NoBackend, match="no-such-model"):
            await fleet.complete([Candidate("b", status.models[0])], caller(), None)


async def test_closing_a_stream_frees_the_server_for_the_next_request(
    served: tuple[BackendKind, Server],
) -> None:
    """Both serve one answer at a time: were the first not cancelled, the second would wait."""
    kind, server = served
    async with fleet_for(kind, server, idle_timeout=30.0) as fleet:
        (status,) = await fleet.wait_for(is_ready)
        candidate = Candidate("b", status.models[0])
        endless = caller(text="Count from one to a thousand.", tokens=100_000, stream=True)
        stream = await fleet.stream([candidate], endless, None)
        await anext(stream.deltas)
        await stream.aclose()
        answered = await fleet.complete([candidate], caller(tokens=2), None)
        assert answered.completion.usage.output_tokens <= 2


async def test_a_named_model_is_loaded_by_the_probe_before_anything_is_sent(
    unloaded: tuple[BackendKind, Callable[[], Any]],
) -> None:
    """Lesson 9: started is not ready."""
    kind, start = unloaded
    with await asyncio.to_thread(start) as server:
        async with fleet_for(kind, server) as unnamed:
            (status,) = unnamed.statuses()
            assert not status.ready
            assert "no model is loaded" in status.detail
        async with fleet_for(kind, server, server.model) as fleet:
            (status,) = fleet.statuses()
            assert (status.ready, status.detail) == (False, f"loading {server.model}")
            (status,) = await fleet.wait_for(is_ready)
            assert await asyncio.to_thread(server.loaded)
            candidate = Candidate("b", status.models[0])
            assert (await fleet.complete([candidate], caller(), None)).completion.text


async def test_a_server_killed_in_the_middle_of_a_stream_and_started_again_is_used_again(
    unloaded: tuple[BackendKind, Callable[[], Any]],
) -> None:
    kind, start = unloaded
    with await asyncio.to_thread(start) as server:
        async with fleet_for(kind, server, server.model, breaker_reset=0.1) as fleet:
            (status,) = await fleet.wait_for(is_ready)
            candidate = Candidate("b", status.models[0])
            endless = caller(text="Count from one to a thousand.", tokens=100_000, stream=True)
            stream = await fleet.stream([candidate], endless, None)
            await asyncio.to_thread(server.kill)
            with pytest.raises(BackendUnavailable):
                async for _ in stream.deltas:
                    pass
            await fleet.wait_for(lambda statuses: not statuses[0].ready)
            with pytest.raises(NoBackend, match="cannot be reached"):
                await fleet.complete([candidate], caller(), None)
            await asyncio.to_thread(server.restart)
            await fleet.wait_for(lambda s: s[0].ready and not s[0].breaker_open)
            assert (await fleet.complete([candidate], caller(), None)).completion.text


async def test_a_frozen_server_is_given_up_at_the_time_limit(
    unloaded: tuple[BackendKind, Callable[[], Any]],
) -> None:
    kind, start = unloaded
    with await asyncio.to_thread(start) as server:
        async with fleet_for(
            kind, server, server.model, first_token_timeout=0.5, total_timeout=60.0
        ) as fleet:
            (status,) = await fleet.wait_for(is_ready)
            candidate = Candidate("b", status.models[0])
            server.pause()
            try:
                with pytest.raises(NoBackend, match="did not begin to answer"):
                    await fleet.stream([candidate], caller(stream=True), None)
            finally:
                server.resume()
