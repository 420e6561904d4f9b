"""Clients that are slow, broken or hostile, byte by byte over real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest
import uvloop

from tests.unit.api.scripted import KEYS, ScriptedGateway, edge, running
from tests.unit.api.sockets import BODY, Talk, post, settings


@pytest.fixture(scope="module")
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The event loop that the coordinator runs on."""
    return uvloop.EventLoopPolicy()


async def test_a_body_sent_too_slowly_is_a_408() -> None:
    app = edge(settings=settings(body_timeout=0.2))
    async with running(app, settings(body_timeout=0.2)) as server:
        talk = await Talk.to(server)
        talk.send(post(b'{"mess', declared=100))
        status, body = await talk.answer()
        assert status == 408
        assert b"body_timeout" in body
        assert await talk.rest() == b""


async def test_a_head_sent_too_slowly_is_a_408_and_a_silent_connection_is_closed() -> None:
    async with running(edge(), settings(body_timeout=0.2)) as server:
        slow = await Talk.to(server)
        slow.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: loc")
        silent = await Talk.to(server)
        blank = await Talk.to(server)
        blank.send(b"\r\n")
        assert b"408 Request Timeout" in await slow.rest()
        assert await silent.rest() == b""
        assert await blank.rest() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: loc",
        post(b'{"mess', declared=100),
    ],
    ids=["in the head", "in the body"],
)
async def test_a_request_cut_off_by_a_half_closed_client_is_a_400_at_once(data: bytes) -> None:
    gateway = ScriptedGateway()
    async with running(edge(gateway)) as server:
        talk = await Talk.to(server)
        talk.send(data)
        await talk.writer.drain()
        talk.writer.write_eof()
        rest = await talk.rest()
    assert b"400 Bad Request" in rest
    assert b"incomplete_request" in rest
    assert gateway.requests == []


async def test_a_head_without_end_is_a_431() -> None:
    async with running(edge()) as server:
        talk = await Talk.to(server)
        talk.send(b"GET /health HTTP/1.1\r\nhost: localhost\r\n")
        rest = asyncio.create_task(talk.rest())
        sent = 0
        while not rest.done():
            talk.send(b"x-%d: " % sent + b"a" * 8000 + b"\r\n")
            sent += 1
            await talk.writer.drain()
        assert b"431 " in rest.result()
        assert sent < 1000


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET http://evil.example/health HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET health HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /h\xffealth HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nx y: 1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\n folded: 1\r\n\r\n",
        b"POST /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n"
        b"content-length: 6\r\n\r\nhello",
        b"POST /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_bytes_that_are_no_request_are_a_400_in_json(data: bytes) -> None:
    gateway = ScriptedGateway()
    async with running(edge(gateway)) as server:
        talk = await Talk.to(server)
        talk.send(data)
        talk.send(b"\r\n\r\n")
        status, body = await talk.answer()
        talk.close()
    assert status == 400
    assert json.loads(body)["error"]["message"]
    assert gateway.requests == []


async def test_two_host_headers_are_refused_on_the_wire_lesson_22() -> None:
    async with running(edge(keys=KEYS)) as server:
        talk = await Talk.to(server)
        talk.send(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nHost: evil.example\r\n\r\n")
        assert (await talk.answer())[0] == 400
        talk.send(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert (await talk.answer())[0] == 400


async def test_a_10_mb_body_is_a_413_and_the_connection_goes_on() -> None:
    async with running(edge()) as server:
        talk = await Talk.to(server)
        talk.send(post(b" " * 10_000_000))
        status, body = await talk.answer()
        assert status == 413
        assert b"max_body_bytes" in body
        talk.send(post(BODY))
        assert (await talk.answer())[0] == 200
        talk.close()


async def test_a_body_nobody_reads_does_not_hold_the_connection_for_ever() -> None:
    async with running(edge(), settings(body_timeout=0.2)) as server:
        talk = await Talk.to(server)
        talk.send(post(b"", declared=10_000_000))
        assert (await talk.answer())[0] == 413
        talk.send(b"x")
        assert await talk.rest() == b""


async def test_expect_100_continue_is_answered_only_for_a_body_that_will_be_read() -> None:
    async with running(edge()) as server:
        talk = await Talk.to(server)
        talk.send(post(b"", "expect: 100-continue", declared=len(BODY)))
        assert (await talk.head())[0] == 100
        talk.send(BODY)
        assert (await talk.answer())[0] == 200
        talk.send(post(b"", "expect: 100-continue", declared=10_000_000))
        assert (await talk.answer())[0] == 413
        talk.close()


async def test_one_connection_too_many_is_a_503_that_says_so() -> None:
    async with running(edge(), settings(max_connections=2)) as server:
        talks = [await Talk.to(server) for _ in range(3)]
        statuses = []
        for talk in talks:
            talk.send(post(BODY))
            statuses.append(await talk.answer())
        assert [status for status, _ in statuses] == [200, 200, 503]
        assert b"max_connections" in statuses[2][1]
        for talk in talks:
            talk.close()
