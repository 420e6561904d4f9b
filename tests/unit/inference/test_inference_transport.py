"""Bytes to and from one server: time limits, broken connections, bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from hybrid_coordinator.errors import (
    BackendProtocolError,
    BackendTimeout,
    BackendUnavailable,
)
from hybrid_coordinator.inference import transport as transport_module
from hybrid_coordinator.inference.transport import HttpTransport, Reply
from hybrid_coordinator.inference.upstream_errors import BackendUnreachable
from tests.fakes import Answer, FakeOpenAI, running
from tests.unit.inference.fleet_parts import LIMIT, settings
from tests.unit.inference.raw_server import raw_server, read_request

PATH = "/v1/chat/completions"
BODY = b'{"model":"gpt-fake","messages":[{"role":"user","content":"hi"}]}'
STREAM = BODY[:-1] + b',"stream":true}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@contextlib.asynccontextmanager
async def transport_to(url: str, **changed: Any) -> AsyncIterator[HttpTransport]:
    made = HttpTransport("b", settings(url, **changed), url, {"content-type": "application/json"})
    try:
        async with asyncio.timeout(LIMIT):
            yield made
    finally:
        await made.aclose()


async def collected(transport: HttpTransport, body: bytes = STREAM) -> bytes:
    chunks = [chunk async for chunk in transport.stream(PATH, body)]
    return b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))


async def test_connections_are_kept_and_nagle_is_off_on_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lesson 21: 40 ms added to every streamed token."""
    opened: list[socket.socket] = []
    new_socket = transport_module._new_socket

    def noted(address: object) -> socket.socket:
        made = new_socket(address)  # type: ignore[arg-type]
        opened.append(made)
        return made

    monkeypatch.setattr(transport_module, "_new_socket", noted)
    async with running(FakeOpenAI()) as url, transport_to(url) as transport:
        for _ in range(3):
            await transport.post(PATH, BODY)
        assert await collected(transport)
        assert await collected(transport)
        assert len(opened) == 1
        assert opened[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_kept_connection_that_the_server_has_closed_is_replaced_unnoticed() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)  # and close without an answer, as a server out of patience

    async with raw_server(serve) as url, transport_to(url) as transport:
        for _ in range(3):
            assert (await transport.post(PATH, BODY)).body == b"{}"
    assert connections == 3


async def test_a_new_connection_that_is_closed_without_answer_is_not_asked_twice() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)

    async with raw_server(serve) as url, transport_to(url) as transport:
        with pytest.raises(BackendUnavailable, match="closed the connection before it answered"):
            await transport.post(PATH, BODY)
    assert connections == 1


async def test_a_server_that_is_not_there_is_named_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with transport_to(url) as transport:
        with pytest.raises(BackendUnreachable, match=url):
            await transport.post(PATH, BODY)


async def test_a_server_that_accepts_nobody_times_out() -> None:
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):  # fill its backlog: what comes next gets no answer to its SYN
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with transport_to(url, connect_timeout=0.05) as transport:
            with pytest.raises(BackendTimeout, match="connect_timeout"):
                await transport.post(PATH, BODY)


async def test_a_stream_that_does_not_begin_times_out_and_is_cancelled() -> None:
    fake = FakeOpenAI(default=Answer(hold=asyncio.Event()))
    async with running(fake) as url, transport_to(url, first_token_timeout=0.05) as transport:
        with pytest.raises(BackendTimeout, match="did not begin"):
            await collected(transport)
        await fake.until(lambda: fake.cancelled == 1)


async def test_headers_without_a_byte_of_the_answer_count_as_not_begun() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        await reader.read()  # until the client gives up

    async with (
        raw_server(serve) as url,
        transport_to(url, first_token_timeout=0.05, idle_timeout=60.0) as transport,
    ):
        with pytest.raises(BackendTimeout):
            await collected(transport)


async def test_a_stream_that_stops_in_the_middle_times_out() -> None:
    fake = FakeOpenAI(default=Answer(hold_stream=asyncio.Event()))
    async with running(fake) as url, transport_to(url, idle_timeout=0.05) as transport:
        with pytest.raises(BackendTimeout, match="in the middle"):
            await collected(transport)


async def test_an_answer_that_drips_for_ever_ends_at_the_total_limit() -> None:
    fake = FakeOpenAI(default=Answer(text="a b c d e f g h " * 100, chunk_delay=0.01))
    async with running(fake) as url, transport_to(url, total_timeout=0.1) as transport:
        with pytest.raises(BackendTimeout, match="total_timeout"):
            await collected(transport)
        await fake.until(lambda: fake.cancelled == 1)


async def test_a_whole_answer_may_take_longer_than_a_first_token() -> None:
    fake = FakeOpenAI(default=Answer(delay=0.1))
    async with running(fake) as url, transport_to(url, first_token_timeout=0.01) as transport:
        assert (await transport.post(PATH, BODY)).status == 200


async def test_headers_sent_long_before_a_whole_answer_do_not_start_the_idle_limit() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head, _, body = OK.partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.write(body)

    async with raw_server(serve) as url, transport_to(url, idle_timeout=0.01) as transport:
        assert (await transport.post(PATH, BODY)).body == b"{}"


async def test_a_connection_cut_in_the_middle_is_an_error_and_not_a_short_answer() -> None:
    fake = FakeOpenAI(default=Answer(cut_after_chunks=2))
    async with running(fake) as url, transport_to(url) as transport:
        with pytest.raises(BackendUnavailable, match="in the middle"):
            await collected(transport)


async def test_a_server_that_speaks_no_http_is_a_protocol_error() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_10.0\r\n")
        await reader.read()

    async with raw_server(serve) as url, transport_to(url) as transport:
        with pytest.raises(BackendProtocolError, match="does not speak HTTP"):
            await transport.post(PATH, BODY)


async def test_a_redirect_is_not_followed_with_the_key_but_reported() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(
            b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n"
        )

    async with raw_server(serve) as url, transport_to(url) as transport:
        with pytest.raises(BackendProtocolError, match="redirect"):
            await transport.post(PATH, BODY)


async def test_cancelling_the_caller_cancels_the_request_at_the_server() -> None:
    fake = FakeOpenAI(default=Answer(hold=asyncio.Event()))
    async with running(fake) as url, transport_to(url) as transport:
        request = asyncio.create_task(transport.post(PATH, BODY))
        await fake.until(lambda: fake.running == 1)
        request.cancel()
        await fake.until(lambda: fake.cancelled == 1)
        with pytest.raises(asyncio.CancelledError):
            await request


async def test_closing_a_stream_cancels_the_request_at_the_server() -> None:
    fake = FakeOpenAI(default=Answer(hold_stream=asyncio.Event()))
    async with running(fake) as url, transport_to(url) as transport:
        stream = transport.stream(PATH, STREAM)
        assert isinstance(await anext(stream), Reply)
        assert await anext(stream)
        await stream.aclose()
        await fake.until(lambda: fake.cancelled == 1)


class Flood(asyncio.Protocol):
    """Sends an endless answer as fast as it is taken; ``full`` is set once it is not taken."""

    limit = 512 * 1024 * 1024

    def __init__(self) -> None:
        self.sent = 0
        self.full = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.sent == 0:
            assert self.transport
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            self._more()

    def _more(self) -> None:
        assert self.transport
        if self.sent < self.limit and not self.full.is_set() and not self.transport.is_closing():
            self.transport.write(b"x" * 65536)
            self.sent += 65536
            asyncio.get_running_loop().call_soon(self._more)

    def pause_writing(self) -> None:
        self.full.set()


async def test_a_slow_reader_stops_the_server_instead_of_filling_memory() -> None:
    """Lesson 20: memory that grows until the process is killed."""
    flood = Flood()
    server = await asyncio.get_running_loop().create_server(lambda: flood, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, transport_to(url) as transport:
        stream = transport.stream(PATH, STREAM)
        assert isinstance(await anext(stream), Reply)
        # Nobody reads on. Without a bound the client would take all 512 MiB.
        await flood.full.wait()
        assert flood.sent < flood.limit
        await stream.aclose()


async def test_the_total_limit_holds_for_who_reads_slowly_too() -> None:
    now = [0.0]
    flood = Flood()
    server = await asyncio.get_running_loop().create_server(lambda: flood, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = HttpTransport("b", settings(url), url, {}, clock=lambda: now[0])
    async with server, asyncio.timeout(LIMIT):
        stream = transport.stream(PATH, STREAM)
        assert isinstance(await anext(stream), Reply)
        await flood.full.wait()
        now[0] = 3600.0
        with pytest.raises(BackendTimeout):
            await anext(stream)
        await transport.aclose()


async def test_an_answer_without_end_is_refused_at_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport_module, "MAX_ANSWER_BYTES", 100_000)
    fake = FakeOpenAI(default=Answer(garbage=b" " * 200_000))
    async with running(fake) as url, transport_to(url) as transport:
        with pytest.raises(BackendProtocolError, match="more than"):
            await transport.post(PATH, BODY)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_a_base_url_is_understood_with_and_without_its_version(ending: str) -> None:
    async with running(FakeOpenAI()) as url, transport_to(url + ending) as transport:
        assert (await transport.get("/v1/models", limit=LIMIT)).status == 200


@pytest.mark.parametrize(
    ("host", "proxy"),
    [("api.example", "http://proxy.example:3128"), ("internal.example", None)],
)
def test_a_host_elsewhere_is_reached_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, host: str, proxy: str | None
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "internal.example")
    assert transport_module._proxy(URL(f"https://{host}")) == proxy
