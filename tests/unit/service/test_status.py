"""The line that ``systemctl status`` shows."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid_coordinator.inference import BackendStatus
from hybrid_coordinator.knowledge import CollectionReport
from hybrid_coordinator.service.status import StatusLine, describe
from hybrid_coordinator.settings import BackendSettings, Collection


def backend(name: str, *, usable: bool) -> BackendStatus:
    settings = BackendSettings.model_validate({"kind": "ollama", "base_url": "http://x"})
    return BackendStatus(name, settings, (), usable, True, "", False, 0)


def report(points: int | None = 0, problem: str | None = None) -> dict[Collection, Any]:
    return dict.fromkeys(Collection, CollectionReport(points, 384, problem))


def test_a_person_reads_who_can_answer_and_what_is_stored() -> None:
    states = {
        **report(3000),
        Collection.SKILLS_PATTERNS: CollectionReport(304, 384),
    }
    backends = [
        backend("lemonade", usable=True),
        backend("ollama", usable=False),
        backend("remote", usable=True),
    ]
    assert describe(backends, states) == (
        "lemonade ✓ ollama – remote ✓, 5 collections, 12,304 points"
    )


def test_what_is_missing_is_said() -> None:
    states = report(None, "connection refused") | {
        Collection.BEST_PRACTICES: CollectionReport(7, 384)
    }
    assert describe([backend("one", usable=False)], states) == (
        "one –, no backend can answer, 1 of 5 collections, 7 points"
    )


class Fleet:
    def __init__(self) -> None:
        self.usable = True
        self.waiters: list[asyncio.Event] = []

    def statuses(self) -> list[BackendStatus]:
        return [backend("one", usable=self.usable)]

    async def wait_for(self, condition: Any) -> None:
        while not condition(self.statuses()):
            changed = asyncio.Event()
            self.waiters.append(changed)
            await changed.wait()

    def set(self, usable: bool) -> None:
        self.usable = usable
        for waiter in self.waiters:
            waiter.set()


class Knowledge:
    def __init__(self) -> None:
        self.broken = False

    async def status(self) -> dict[Collection, Any]:
        if self.broken:
            raise RuntimeError("broken")
        return report()


class Scene:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.failed = 0
        self.fleet, self.knowledge = Fleet(), Knowledge()
        application: Any = SimpleNamespace(fleet=self.fleet, knowledge=self.knowledge)
        self.line = StatusLine(self.sent.append, lambda: application, self.count)

    def count(self) -> None:
        self.failed += 1

    async def until(self, sent: str) -> None:
        async with asyncio.timeout(10):
            while not (self.sent and self.sent[-1] == sent):
                await asyncio.sleep(0.01)


async def test_it_follows_the_backends_and_remarks_and_says_nothing_twice() -> None:
    scene = Scene()
    running = asyncio.create_task(scene.line.run())
    await scene.until("ready: one ✓, 5 collections, 0 points")
    scene.fleet.set(False)
    await scene.until("ready: one –, no backend can answer, 5 collections, 0 points")
    scene.fleet.set(True)
    scene.line.note("reload", "reload failed: no such option")
    await scene.until("ready: one ✓, 5 collections, 0 points; reload failed: no such option")
    scene.line.note("reload", None)
    await scene.until("ready: one ✓, 5 collections, 0 points")
    running.cancel()
    assert len(scene.sent) == 4


async def test_a_line_that_cannot_be_made_is_counted_and_logged_once_and_the_last_one_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    first = await scene.line.now()
    scene.knowledge.broken = True
    with caplog.at_level(logging.ERROR):
        assert await scene.line.now() == first
        assert await scene.line.now() == first
    assert scene.failed == 2
    assert len(caplog.records) == 1
