"""A request is served to its end by the application that was current when it came."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from hybrid_coordinator.service.switchboard import Switchboard


class App:
    def __init__(self) -> None:
        self.served = 0
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.served += 1
        await self.go_on.wait()
        if scope.get("fails"):
            raise RuntimeError


async def receive() -> dict[str, object]:
    raise AssertionError


async def send(message: object) -> None:
    raise AssertionError


def begin(board: Switchboard, **scope: object) -> asyncio.Task[None]:
    return asyncio.create_task(board({"type": "http", **scope}, receive, send))


async def test_the_last_request_before_a_switch_ends_it_however_it_ends() -> None:
    old, new = App(), App()
    board = Switchboard(old)
    lifespan = begin(board, type="lifespan")
    requests = [begin(board), begin(board, fails=True), begin(board)]
    await asyncio.sleep(0)
    done = board.switch(new)
    later = begin(board)
    await asyncio.sleep(0)
    assert (old.served, new.served) == (4, 1)
    requests[0].cancel()
    await asyncio.gather(requests[0], return_exceptions=True)
    assert not done.is_set()
    old.go_on.set()
    await asyncio.gather(*requests, lifespan, return_exceptions=True)
    assert done.is_set()
    assert not later.done()
    new.go_on.set()
    await later


async def test_an_application_without_requests_is_done_at_once() -> None:
    board = Switchboard(App())
    assert board.switch(App()).is_set()
