"""The watchdog is fed while the check passes, and only then."""

from __future__ import annotations

import asyncio
import logging
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hybrid_coordinator.service.watchdog import Unsound, Watchdog, check


class Scene:
    def __init__(self, interval: float = 0.01) -> None:
        self.fed = 0
        self.failed = 0
        self.problems: list[str | None] = []
        self.outcome: BaseException | None = None
        self.dog = Watchdog(
            self.check,
            feed=self.feed,
            interval=interval,
            failed=self.count,
            changed=self.problems.append,
        )

    async def check(self, limit: float) -> None:
        if self.outcome is not None:
            raise self.outcome

    def feed(self) -> None:
        self.fed += 1

    def count(self) -> None:
        self.failed += 1


async def test_it_is_fed_again_and_again() -> None:
    scene = Scene()
    running = asyncio.create_task(scene.dog.run())
    async with asyncio.timeout(5):
        while scene.fed < 5:
            await asyncio.sleep(0.01)
    running.cancel()
    assert scene.failed == 0
    assert scene.problems == []


@pytest.mark.parametrize("error", [Unsound("gone"), OSError("gone"), RuntimeError("gone")])
async def test_a_check_that_fails_stops_it_and_is_logged_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    scene.outcome = error
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await scene.dog.once()
    assert (scene.fed, scene.failed, scene.problems) == (0, 3, ["gone"])
    assert caplog.text.count("the watchdog is not fed: gone") == 1
    scene.outcome = None
    await scene.dog.once()
    assert (scene.fed, scene.problems) == (1, ["gone", None])


async def test_a_check_without_an_end_counts_as_failed() -> None:
    scene = Scene()
    scene.outcome = TimeoutError()
    await scene.dog.once()
    assert scene.fed == 0
    assert scene.problems == ["no answer to the self-check within 0.01 s"]


async def test_a_loop_that_stands_still_feeds_nothing() -> None:
    scene = Scene(interval=0.001)
    running = asyncio.create_task(scene.dog.run())
    async with asyncio.timeout(5):
        while scene.fed < 2:
            await asyncio.sleep(0.001)
    before = scene.fed
    # What blocks the loop blocks the dog; no other thread feeds it.
    time.sleep(0.2)
    assert scene.fed == before
    running.cancel()


class Server:
    def __init__(self, *, listening: bool = True, draining: bool = False) -> None:
        self.is_listening = listening
        self.server_state = SimpleNamespace(draining=draining)
        self.asked = 0

    async def ask_itself(self, limit: float) -> None:
        self.asked += 1


def rooms(*, telemetry: bool = True, embedder: bool = True) -> Any:
    return SimpleNamespace(
        telemetry=SimpleNamespace(alive=telemetry),
        stores=SimpleNamespace(embedder=SimpleNamespace(alive=embedder)),
    )


async def test_a_sound_process_is_asked_over_its_own_protocol() -> None:
    server = Server()
    await check(cast(Any, server), rooms(), 1)
    assert server.asked == 1


@pytest.mark.parametrize(
    ("server", "parts", "said"),
    [
        (Server(listening=False), rooms(), "listens"),
        (Server(), rooms(telemetry=False), "telemetry"),
        (Server(), rooms(embedder=False), "embeds"),
    ],
)
async def test_a_part_that_has_ended_is_named(server: Server, parts: Any, said: str) -> None:
    with pytest.raises(Unsound, match=said):
        await check(cast(Any, server), parts, 1)


async def test_a_server_that_ends_in_order_need_not_listen() -> None:
    await check(cast(Any, Server(listening=False, draining=True)), rooms(), 1)
