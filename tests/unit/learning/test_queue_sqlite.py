"""The extraction queue in a file: the suite of every queue, clocks, and files that are at fault."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.learning.queue_sqlite import SqliteQueue
from hybrid_coordinator.learning.records import QueuedExtraction
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.queue_contract import LEASE, QueueContract, claimed, entry, shown


class SqliteHarness:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 5000.0
        self.metrics = Metrics()
        self.made: list[SqliteQueue] = []

    async def queue(
        self, *, max_waiting: int = 100, max_dead: int = 100, max_seen: int = 100
    ) -> SqliteQueue:
        made = SqliteQueue(
            self.path,
            self.metrics,
            now=lambda: self.now,
            max_waiting=max_waiting,
            max_dead=max_dead,
            max_seen=max_seen,
        )
        await made.start()
        self.made.append(made)
        return made

    async def lapse(self, claimed: QueuedExtraction) -> None:
        self.now += LEASE

    def gauge(self, state: str) -> float:
        return shown(self.metrics, state)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[SqliteHarness]:
    made = SqliteHarness(tmp_path / "extraction.sqlite")
    yield made
    for queue in made.made:
        await queue.aclose()


class TestSqliteQueue(QueueContract):
    """Every queue's suite."""


async def test_a_clock_that_was_set_back_holds_no_entry_for_ever(harness: SqliteHarness) -> None:
    queue = await harness.queue()
    await queue.add(entry(1))
    await claimed(queue)
    harness.now -= 100_000.0
    assert await claimed(queue) == entry(1)
    harness.now -= 0.5  # what a clock's slewing does is no reason
    assert await queue.claim(LEASE) is None


async def test_what_is_done_is_remembered_within_a_bound(harness: SqliteHarness) -> None:
    queue = await harness.queue(max_seen=2)
    for number in (1, 2, 3):
        await queue.add(entry(number))
        await queue.done(await claimed(queue))
    assert [await queue.add(entry(number)) for number in (3, 2, 1)] == [False, False, True]


async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "extraction.sqlite"
    path.write_bytes(b"no database, and longer than a header would be " * 40)
    queue = SqliteQueue(path, Metrics())
    with pytest.raises(StoreUnavailable, match=r"extraction\.sqlite"):
        await queue.start()
    await queue.aclose()


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "extraction.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    queue = SqliteQueue(path, Metrics())
    with pytest.raises(StoreUnavailable, match="newer version"):
        await queue.start()
    await queue.aclose()


async def test_a_closed_queue_says_so_and_may_be_closed_twice(harness: SqliteHarness) -> None:
    queue = await harness.queue()
    await queue.aclose()
    await queue.aclose()
    with pytest.raises(StoreUnavailable, match="not open"):
        await queue.add(entry(1))
