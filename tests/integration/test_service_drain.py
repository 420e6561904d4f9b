"""The end of the server, connection by connection: what has come is answered, nothing is reset."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
import uvloop

from hybrid_coordinator.conversation import ChatRequest, Delta
from hybrid_coordinator.gateway import Answer
from tests.unit.api.scripted import Running, ScriptedGateway, completion, edge, meta, running
from tests.unit.api.sockets import BODY, STREAM, Talk, post, settings

HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The event loop that the coordinator runs on."""
    return uvloop.EventLoopPolicy()


async def end(server: Running) -> None:
    """Begin the end, as SIGTERM does, and wait until it has begun."""
    server.server.should_exit = True
    async with asyncio.timeout(10):
        while server.server.is_listening:
            await asyncio.sleep(0.01)


def held() -> tuple[ScriptedGateway, asyncio.Event, asyncio.Event]:
    """A gateway whose answers have begun, and go on when they are told to."""
    gateway = ScriptedGateway()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def stream() -> AsyncGenerator[Delta, None]:
        yield Delta(text="first", id="c1")
        begun.set()
        await go_on.wait()
        yield Delta(text="last")

    async def script(request: ChatRequest) -> Answer:
        if request.stream:
            return Answer(meta(request), deltas=stream())
        begun.set()
        await go_on.wait()
        return Answer(meta(request), completion=completion())

    gateway.script = script
    return gateway, begun, go_on


async def test_a_request_on_a_kept_connection_is_answered_once_more() -> None:
    async with running(edge()) as server:
        talk = await Talk.to(server)
        talk.send(post(BODY))
        assert (await talk.head())[1].get("connection") != "close"
        await talk.reader.readexactly(1)
        await end(server)
        talk.send(HEALTH)
        rest = await talk.rest()
    assert rest.count(b"HTTP/1.1 200 OK") == 1
    assert b"connection: close" in rest
    assert rest.endswith(b'{"status":"ok"}')


async def test_a_kept_connection_where_nothing_comes_is_closed_without_a_reset() -> None:
    async with running(edge()) as server:
        talk = await Talk.to(server)
        talk.send(HEALTH)
        await talk.answer()
        await end(server)
        assert await talk.rest() == b""


async def test_who_has_connected_and_sent_nothing_is_answered() -> None:
    async with running(edge()) as server:
        silent, half = await Talk.to(server), await Talk.to(server)
        half.send(HEALTH[:20])
        talk = await Talk.to(server)
        talk.send(HEALTH)
        await talk.answer()  # By then the others are accepted, too.
        await end(server)
        silent.send(HEALTH)
        half.send(HEALTH[20:])
        for late in (silent, half):
            answer = await late.rest()
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b"connection: close" in answer


async def test_a_body_that_is_under_way_is_waited_for() -> None:
    async with running(edge()) as server:
        talk = await Talk.to(server)
        whole = post(BODY)
        talk.send(whole[:-5])
        other = await Talk.to(server)
        other.send(HEALTH)
        await other.answer()
        await end(server)
        talk.send(whole[-5:])
        answer = await talk.rest()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer
    assert b"Paris." in answer


async def test_requests_in_a_row_are_all_answered_and_the_last_one_closes() -> None:
    gateway, begun, go_on = held()
    async with running(edge(gateway)) as server:
        talk = await Talk.to(server)
        talk.send(post(BODY))
        await begun.wait()
        await end(server)
        talk.send(HEALTH + HEALTH)
        go_on.set()
        rest = await talk.rest()
    assert rest.count(b"HTTP/1.1 200 OK") == 3
    assert rest.count(b"connection: close") == 1
    assert rest.rindex(b"connection: close") > rest.rindex(b"HTTP/1.1 200 OK")


async def test_a_stream_that_did_not_say_it_is_the_last_leaves_time_for_one_more_request() -> None:
    gateway, begun, go_on = held()
    async with running(edge(gateway)) as server:
        talk = await Talk.to(server)
        talk.send(post(STREAM))
        assert (await talk.head())[1].get("connection") != "close"
        await begun.wait()
        await end(server)
        go_on.set()
        async with asyncio.timeout(10):
            assert b"last" in await talk.reader.readuntil(b"0\r\n\r\n")
        talk.send(HEALTH)
        rest = await talk.rest()
    assert rest.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in rest


async def test_the_end_takes_a_moment_only_where_nobody_asks_anything() -> None:
    async with running(edge(), settings(grace_period=30)) as server:
        kept = await Talk.to(server)
        kept.send(HEALTH)
        await kept.answer()
        started = time.monotonic()
    assert time.monotonic() - started < 4
    kept.close()


async def test_the_server_answers_itself_also_where_every_connection_is_in_use() -> None:
    async with running(edge(), settings(max_connections=1)) as server:
        await server.server.ask_itself(5)
        talk = await Talk.to(server)
        talk.send(HEALTH)
        await talk.answer()
        await server.server.ask_itself(5)
        talk.close()


async def test_a_server_whose_application_stands_still_does_not_answer_itself() -> None:
    app = edge()
    async with running(app) as server:
        server.server.config.loaded_app = _asleep
        with pytest.raises(TimeoutError):
            await server.server.ask_itself(0.2)


async def test_a_server_whose_application_fails_does_not_pass_its_own_check() -> None:
    async with running(edge()) as server:
        server.server.config.loaded_app = _broken
        with pytest.raises(OSError, match="500"):
            await server.server.ask_itself(5)


async def test_other_limits_hold_for_connections_from_then_on() -> None:
    async with running(edge(), settings(max_connections=1)) as server:
        first = await Talk.to(server)
        first.send(HEALTH)
        assert (await first.answer())[0] == 200
        refused = await Talk.to(server)
        refused.send(HEALTH)
        assert (await refused.head())[0] == 503
        server.server.apply(settings(max_connections=8).server)
        served = await Talk.to(server)
        served.send(HEALTH)
        assert (await served.answer())[0] == 200
        for talk in (first, refused, served):
            talk.close()


async def _asleep(scope: object, receive: object, send: object) -> None:
    await asyncio.sleep(1)


async def _broken(scope: object, receive: object, send: object) -> None:
    raise RuntimeError("broken")
