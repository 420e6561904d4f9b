"""The server under the edge, spoken to byte by byte over real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
import uvloop

from hybrid_coordinator.api.server import build_server, open_sockets
from hybrid_coordinator.conversation import ChatRequest, Delta
from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.gateway import Answer
from hybrid_coordinator.settings import Settings
from tests.unit.api.scripted import (
    ALICE,
    KEYS,
    ScriptedGateway,
    completion,
    edge,
    meta,
    running,
)
from tests.unit.api.sockets import BODY, STREAM, Talk, post, settings


@pytest.fixture(scope="module")
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The event loop that the coordinator runs on."""
    return uvloop.EventLoopPolicy()


async def test_a_connection_is_kept_and_pipelined_requests_are_answered_in_order() -> None:
    async with running(edge()) as server:
        talk = await Talk.to(server)
        for _ in range(3):
            talk.send(post(BODY))
            assert (await talk.answer())[0] == 200
        talk.send(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n" + post(BODY))
        assert (await talk.answer())[1] == b'{"status":"ok"}'
        assert b"Paris." in (await talk.answer())[1]
        talk.close()


async def test_nagle_is_off_on_accepted_connections_lesson_21() -> None:
    async with running(edge()) as server:
        talk = await Talk.to(server)
        talk.send(post(BODY))
        await talk.answer()
        (connection,) = server.server.server_state.connections
        transport = connection.transport
        accepted = transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        talk.close()


async def test_each_increment_is_on_the_wire_before_the_next_is_made() -> None:
    gateway = ScriptedGateway()
    go_on = asyncio.Event()

    async def stream() -> AsyncGenerator[Delta, None]:
        yield Delta(text="first", id="c1")
        await go_on.wait()
        yield Delta(text="second")

    async def script(request: ChatRequest) -> Answer:
        return Answer(meta(request), deltas=stream())

    gateway.script = script
    async with running(edge(gateway)) as server:
        talk = await Talk.to(server)
        talk.send(post(STREAM))
        await talk.head()
        async with asyncio.timeout(10):
            assert b"first" in await talk.reader.readuntil(b"\n\n")
        go_on.set()
        async with asyncio.timeout(10):
            assert b"second" in await talk.reader.readuntil(b"0\r\n\r\n")
        talk.close()


def hanging(
    gateway: ScriptedGateway, begun: asyncio.Event, ended: asyncio.Event, first: int
) -> Callable[[ChatRequest], Awaitable[Answer]]:
    """A script that waits for ever: before answering, or after ``first`` increments."""

    async def stream() -> AsyncGenerator[Delta, None]:
        try:
            for number in range(first):
                yield Delta(text=str(number), id="c1")
            begun.set()
            await asyncio.Event().wait()
        finally:
            gateway.finished += 1
            ended.set()

    async def script(request: ChatRequest) -> Answer:
        if request.stream:
            return Answer(meta(request), deltas=stream(), after=gateway.after)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    return script


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("half", [False, True], ids=["closed", "half-closed"])
async def test_a_client_that_goes_ends_the_work_for_it(body: bytes, first: int, half: bool) -> None:
    gateway = ScriptedGateway()
    begun, ended = asyncio.Event(), asyncio.Event()
    gateway.script = hanging(gateway, begun, ended, first)
    async with running(edge(gateway)) as server:
        talk = await Talk.to(server)
        talk.send(post(body))
        async with asyncio.timeout(10):
            await begun.wait()
            if half:
                talk.writer.write_eof()
            else:
                talk.close()
            await ended.wait()
        talk.close()
    streamed = body is STREAM
    assert (gateway.finished, gateway.afters) == ((1, 1) if streamed else (0, 0))
    labels = {"endpoint": "/v1/chat/completions", "status": "gone"}
    assert gateway.metrics.registry.get_sample_value("hybrid_requests_total", labels) == 1


async def test_a_reader_that_does_not_read_holds_the_stream_back_lesson_20() -> None:
    gateway = ScriptedGateway()
    made = 0
    stalled = asyncio.Event()
    ended = asyncio.Event()
    piece = "x" * 10_000

    async def stream() -> AsyncGenerator[Delta, None]:
        nonlocal made
        try:
            while True:
                made += 1
                yield Delta(text=piece, id="c1")
        finally:
            ended.set()

    async def script(request: ChatRequest) -> Answer:
        return Answer(meta(request), deltas=stream())

    gateway.script = script
    async with running(edge(gateway), write_timeout=0.5) as server:
        silent = server.connect(receive_buffer=4096)
        silent.sendall(post(STREAM))
        async with asyncio.timeout(20):
            # The server cuts a reader off that stands still; until then it must not pile up.
            while not stalled.is_set():
                await asyncio.sleep(0.01)
                for connection in list(server.server.server_state.connections):
                    transport = connection.transport
                    buffered = transport.get_write_buffer_size()
                    assert buffered < 200_000
                    if buffered > 0:
                        stalled.set()
            await ended.wait()
        silent.close()
    # Whatever the kernel's own buffers took is bounded; a thousand pieces would be 10 MB.
    assert made < 1000


async def test_an_open_answer_may_end_within_the_grace_period() -> None:
    gateway = ScriptedGateway()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def script(request: ChatRequest) -> Answer:
        begun.set()
        await go_on.wait()
        return Answer(meta(request), completion=completion(), after=gateway.after)

    gateway.script = script
    async with running(edge(gateway)) as server:
        talk = await Talk.to(server)
        talk.send(post(BODY))
        await begun.wait()
        server.server.should_exit = True
        while any(listening.is_serving() for listening in server.server.servers):
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            await Talk.to(server)
        go_on.set()
        status, _ = await talk.answer()
        assert status == 200
    assert gateway.afters == 1


async def test_answers_still_open_after_the_grace_period_are_told_and_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = ScriptedGateway()
    begun, ended = asyncio.Event(), asyncio.Event()
    gateway.script = hanging(gateway, begun, ended, 2)
    async with running(edge(gateway), settings(grace_period=0.1)) as server:
        stream, whole = await Talk.to(server), await Talk.to(server)
        stream.send(post(STREAM))
        await begun.wait()
        begun.clear()
        whole.send(post(BODY))
        await begun.wait()
    assert b"shutting_down" in await stream.rest()
    refused = await whole.rest()
    assert b"503" in refused.split(b"\r\n")[0]
    assert b"retry-after: 5" in refused
    assert (gateway.finished, gateway.afters) == (1, 1)
    assert "Traceback" not in caplog.text


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}") as caught:
            open_sockets(Settings(port=port), {})
    assert caught.value.field == "port"


def test_a_host_that_is_no_address_is_a_sentence() -> None:
    with pytest.raises(SettingsError, match=r"no\.such\.host\.invalid"):
        open_sockets(Settings(host="no.such.host.invalid", api_keys_file="keys"), {})


async def test_the_sockets_are_passed_by_systemd() -> None:
    program = textwrap.dedent(
        """
        import asyncio, os, sys
        os.dup2(int(sys.argv[1]), 3)
        from hybrid_coordinator.api.server import build_server, open_sockets
        from hybrid_coordinator.settings import Settings
        from tests.unit.api.scripted import edge

        environment = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        settings = Settings(port=1)
        server = build_server(edge(), settings, on_started=lambda: print("up", flush=True))
        asyncio.run(server.serve(sockets=open_sockets(settings, environment)))
        """
    )
    listening = socket.create_server(("127.0.0.1", 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        str(listening.fileno()),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        pass_fds=(listening.fileno(),),
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"up\n"
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert b"200 OK" in await reader.readline()
            writer.close()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == -signal.SIGTERM
    finally:
        listening.close()
        if process.returncode is None:
            process.kill()


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    (listening,) = open_sockets(Settings(port=0), environment, pid=2)
    with listening:
        assert listening.fileno() != 3
        assert listening.getsockname()[1] != 0


def test_the_configured_limits_reach_the_server() -> None:
    server = build_server(edge(keys=KEYS), settings(max_connections=7, grace_period=1.5))
    assert server.config.http.limits.connections == 7  # type: ignore[union-attr]
    assert server.config.timeout_graceful_shutdown == 2
    assert ALICE not in repr(vars(server.config))
