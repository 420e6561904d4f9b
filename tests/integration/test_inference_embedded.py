"""The embedded backend with real llama.cpp and the real small model, in its child process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hybrid_coordinator.conversation import ModelCall
from hybrid_coordinator.errors import BackendUnavailable, NoBackend
from hybrid_coordinator.inference import Candidate, Fleet
from hybrid_coordinator.inference.embedded import EmbeddedBackend
from hybrid_coordinator.inference.engine_process import EngineProcess
from hybrid_coordinator.inference.model_file import QUIZ_STYLE, ModelFile
from hybrid_coordinator.inference.transport import HttpTransport
from hybrid_coordinator.settings import BackendKind, BackendSettings, ModelSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.testbed import model

LOAD_LIMIT = 120.0
SETTINGS = BackendSettings(kind=BackendKind.EMBEDDED, probe_interval=0.5)


def embedded(path: Path) -> EmbeddedBackend:
    file = ModelFile(path, bundled=False, style=QUIZ_STYLE)
    return EmbeddedBackend("embedded", SETTINGS, EngineProcess("embedded", SETTINGS, file))


@pytest.fixture(scope="module")
def model_path() -> Path:
    return model.model_file()


@pytest.fixture
async def backend(model_path: Path) -> AsyncIterator[EmbeddedBackend]:
    made = embedded(model_path)
    yield made
    await made.aclose()


def make_call(candidate: Candidate, *, tokens: int = 16, stream: bool = False) -> ModelCall:
    body = {
        "model": candidate.model.name,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": tokens,
        "seed": 1,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return ModelCall(body, candidate.model.name, stream, "i1")


async def test_it_loads_answers_streams_counts_and_is_gone_when_closed(
    backend: EmbeddedBackend, model_path: Path
) -> None:
    fleet = Fleet([backend], Metrics())
    async with asyncio.timeout(LOAD_LIMIT):
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await fleet.start()
        (status,) = fleet.statuses()
        assert not status.ready
        assert status.detail == f"loading {model_path.name}"
        named = Candidate("embedded", ModelSettings(name=model_path.stem))
        with pytest.raises(NoBackend, match="loading"):
            await fleet.complete([named], make_call, None)
        (status,) = await fleet.wait_for(lambda statuses: statuses[0].ready)
        ticking.cancel()
        # The event loop ran on while the model was loaded.
        assert ticks > 10

        (candidate,) = fleet.find_model(model_path.stem)
        assert candidate.model.context_tokens == 8192
        answered = await fleet.complete([candidate], make_call, None)
        assert answered.completion.text
        assert answered.completion.usage.output_tokens > 0

        stream = await fleet.stream([candidate], lambda c: make_call(c, stream=True), None)
        deltas = [delta async for delta in stream.deltas]
        assert "".join(delta.text for delta in deltas)
        assert [d.usage.output_tokens for d in deltas if d.usage]

        tokens = await fleet.count_tokens(candidate, make_call)
        assert tokens is not None
        assert 5 < tokens < 40

        # Other users of this machine do not have its key.
        stranger = HttpTransport("stranger", SETTINGS, backend.process.url, {})
        with pytest.raises(BackendUnavailable, match="refused our API key"):
            await stranger.post("/v1/chat/completions", b"{}")
        await stranger.aclose()

        pid = backend.process.pid
        assert pid is not None
        await fleet.aclose()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_closing_a_stream_stops_the_model(backend: EmbeddedBackend) -> None:
    fleet = Fleet([backend], Metrics())
    async with asyncio.timeout(LOAD_LIMIT):
        await fleet.start()
        (status,) = await fleet.wait_for(lambda statuses: statuses[0].ready)
        candidate = Candidate("embedded", status.models[0])
        # Both slots are taken by answers that would go on for a long time; were they not
        # stopped, the third request would wait for them.
        endless = {"ignore_eos": True, "stop": ["\u2603\u2603"]}

        def long_call(chosen: Candidate) -> ModelCall:
            made = make_call(chosen, tokens=4000, stream=True)
            return ModelCall({**made.body, **endless}, made.api_model, True, "i1")

        streams = [await fleet.stream([candidate], long_call, None) for _ in range(2)]
        for stream in streams:
            await stream.aclose()
        answered = await fleet.complete([candidate], lambda c: make_call(c, tokens=2), None)
        assert answered.completion.usage.output_tokens <= 2
        await fleet.aclose()


async def test_a_child_that_was_killed_is_started_again(backend: EmbeddedBackend) -> None:
    fleet = Fleet([backend], Metrics())
    async with asyncio.timeout(LOAD_LIMIT):
        await fleet.start()
        (status,) = await fleet.wait_for(lambda statuses: statuses[0].ready)
        candidate = Candidate("embedded", status.models[0])
        pid = backend.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await fleet.wait_for(lambda statuses: not statuses[0].ready)
        await fleet.wait_for(lambda statuses: statuses[0].ready)
        assert backend.process.pid != pid
        answered = await fleet.complete([candidate], lambda c: make_call(c, tokens=2), None)
        assert answered.completion.usage.output_tokens > 0
        await fleet.aclose()


async def test_a_file_that_is_no_model_is_reported_and_the_gateway_lives(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    made = embedded(broken)
    fleet = Fleet([made], Metrics())
    async with asyncio.timeout(LOAD_LIMIT):
        await fleet.start()
        (status,) = await fleet.wait_for(lambda statuses: "failed" in statuses[0].detail)
        assert "loading broken.gguf; the last try failed: " in status.detail
        with pytest.raises(BackendUnavailable, match="loading its model"):
            await made.complete(make_call(Candidate("embedded", ModelSettings(name="m"))))
        await fleet.aclose()
    assert made.process.pid is None


_PARENT = """
import asyncio, sys
from pathlib import Path
from hybrid_coordinator.inference.engine_process import EngineProcess
from hybrid_coordinator.inference.model_file import ModelFile
from hybrid_coordinator.settings import BackendKind, BackendSettings

async def main():
    settings = BackendSettings(kind=BackendKind.EMBEDDED)
    process = EngineProcess("e", settings, ModelFile(Path(sys.argv[1]), False, None))
    await process()
    while not (await process()).ready:
        await asyncio.sleep(0.1)
    print(process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_gateway_that_is_killed_leaves_no_child_behind(model_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PARENT,
        str(model_path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with asyncio.timeout(LOAD_LIMIT):
        assert parent.stdout is not None
        child = os.pidfd_open(int(await parent.stdout.readline()))
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(child, ended.set)
        parent.kill()
        await parent.wait()
        await ended.wait()
        loop.remove_reader(child)
        os.close(child)
