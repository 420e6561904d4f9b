"""The extraction queue in a real Redis: the suite of every queue, and Redis away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis.asyncio

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.learning.queue_redis import RedisQueue
from hybrid_coordinator.learning.queue_scripts import GROUP, key_names
from hybrid_coordinator.learning.records import QueuedExtraction
from hybrid_coordinator.settings import RedisSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.testbed.redis import RedisServer, redis_server
from tests.unit.learning.queue_contract import QueueContract, claimed, entry, shown

pytest_plugins = ["tests.testbed.fixtures"]

PREFIX = "test:"
STREAM, ENTRIES, PLACES, DEAD, SEEN = key_names(PREFIX)


class RedisHarness:
    def __init__(self, url: str) -> None:
        self.url = url
        self.metrics = Metrics()
        self.client = redis.asyncio.Redis.from_url(url, decode_responses=True)
        self.made: list[RedisQueue] = []
        self.clock = 0.0

    async def queue(
        self, *, max_waiting: int = 100, max_dead: int = 100, max_seen: int = 100
    ) -> RedisQueue:
        made = RedisQueue(
            RedisSettings(url=self.url, key_prefix=PREFIX, timeout=5.0),
            self.metrics,
            now=self._later,
            clock=lambda: self.clock,
            max_waiting=max_waiting,
            max_dead=max_dead,
            max_seen=max_seen,
        )
        await made.start()
        self.made.append(made)
        return made

    def _later(self) -> float:
        self.clock += 0.001
        return self.clock

    async def lapse(self, claimed: QueuedExtraction) -> None:
        place: Any = await self.client.hget(PLACES, claimed.interaction_id)
        rows: Any = await self.client.xpending_range(STREAM, GROUP, place, place, 1)
        owner = rows[0]["consumer"]
        await self.client.xclaim(STREAM, GROUP, owner, 0, [place], idle=10_000_000)

    def gauge(self, state: str) -> float:
        return shown(self.metrics, state)

    async def aclose(self) -> None:
        for queue in self.made:
            await queue.aclose()
        await self.client.aclose()


@pytest.fixture
async def harness(redis8: RedisServer) -> AsyncIterator[RedisHarness]:
    made = RedisHarness(redis8.url)
    await made.client.flushall()
    yield made
    await made.aclose()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may kill."""
    with redis_server("8") as server:
        yield server


class TestRedisQueue(QueueContract):
    """Every queue's suite."""


async def test_a_redis_that_is_away_stops_no_start_and_says_so(own_redis: RedisServer) -> None:
    harness = RedisHarness(own_redis.url)
    own_redis.kill()
    queue = await harness.queue()
    with pytest.raises(StoreUnavailable, match="Redis"):
        await queue.add(entry(1))
    with pytest.raises(StoreUnavailable, match="tried again in"):
        await queue.claim(1.0)
    await harness.aclose()


async def test_a_redis_that_lost_everything_takes_entries_again(harness: RedisHarness) -> None:
    """It may be emptied at any time; the interactions still say that they wait."""
    queue = await harness.queue()
    await queue.add(entry(1))
    await harness.client.flushall()
    with pytest.raises(StoreUnavailable, match="refused"):
        await queue.claim(60.0)
    assert await queue.claim(60.0) is None
    assert await queue.restore(entry(1))
    assert await claimed(queue) == entry(1)


async def test_a_message_without_its_entry_is_passed_over(harness: RedisHarness) -> None:
    queue = await harness.queue()
    for number in (1, 2):
        await queue.add(entry(number))
    await harness.client.hdel(ENTRIES, entry(1).interaction_id)
    assert await claimed(queue) == entry(2)
    assert await harness.client.xlen(STREAM) == 1


async def test_an_instance_leaves_the_group_unless_it_holds_something(
    harness: RedisHarness,
) -> None:
    """Lesson 20: every restart would leave a consumer behind."""
    queue = await harness.queue()
    await queue.add(entry(1))
    await queue.done(await claimed(queue))
    await queue.aclose()
    assert await harness.client.xinfo_consumers(STREAM, GROUP) == []
    other = await harness.queue()
    await other.add(entry(2))
    held = await claimed(other)
    await other.aclose()
    assert len(await harness.client.xinfo_consumers(STREAM, GROUP)) == 1
    await harness.lapse(held)
    assert await claimed(await harness.queue()) == entry(2)


async def test_keys_stay_below_the_prefix(harness: RedisHarness) -> None:
    queue = await harness.queue()
    await queue.add(entry(1))
    await queue.failed(await claimed(queue), "prose", 1)
    names = [name async for name in harness.client.scan_iter("*")]
    assert names
    assert all(name.startswith(PREFIX) for name in names)
