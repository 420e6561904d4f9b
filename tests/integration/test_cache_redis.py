"""The cache over a real Redis: the suites every store passes, and Redis away, old, or shared."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio

from hybrid_coordinator.cache import RedisStore
from hybrid_coordinator.conversation import CacheStatus
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.settings import Collection, RedisSettings
from tests.testbed.redis import RedisServer, redis_server
from tests.unit.cache.cache_contract import CacheContract, bench
from tests.unit.cache.cache_parts import Bench, Harness, key, request, vector
from tests.unit.cache.store_contract import StoreContract

pytest_plugins = ["tests.testbed.fixtures"]
__all__ = ["bench"]

PREFIX = "test:"


class RedisHarness(Harness):
    """Stores over one Redis, which is emptied before; ``now`` is the clock of outages."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = 0.0
        self.client = redis.asyncio.Redis.from_url(url, decode_responses=True)
        self.stores: list[RedisStore] = []

    def store(
        self, *, max_entries: int = 100, ttl: float = 60.0, timeout: float = 5.0
    ) -> RedisStore:
        settings = RedisSettings(url=self.url, key_prefix=PREFIX, timeout=timeout)
        made = RedisStore(settings, max_entries, ttl, clock=lambda: self.now)
        self.stores.append(made)
        return made

    async def age(self, seconds: float) -> None:
        order = f"{PREFIX}cache:order"
        for member in await self.client.zrange(order, 0, -1):
            await self.client.zincrby(order, -seconds * 1000, str(member))
        async for name in self.client.scan_iter(f"{PREFIX}cache:entry:*"):
            left = await self.client.pttl(name)
            await self.client.pexpireat(name, int(time.time() * 1000 + left - seconds * 1000))

    async def aclose(self) -> None:
        for store in self.stores:
            await store.aclose()
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


@pytest.fixture
async def fragile(own_redis: RedisServer) -> AsyncIterator[RedisHarness]:
    made = RedisHarness(own_redis.url)
    yield made
    await made.aclose()


class TestStore(StoreContract):
    """The store's suite in Redis 8."""


class TestCache(CacheContract):
    """The cache's suite in Redis 8."""


async def test_vectors_whose_entries_redis_dropped_are_removed_when_met(
    harness: RedisHarness,
) -> None:
    store = harness.store()
    for number in range(4):
        await store.put(key(number), b"%d" % number, "p" * 32, vector(number), {})
    await harness.client.delete(f"{PREFIX}cache:entry:{key(0).exact}")
    near = f"{PREFIX}cache:near:{'p' * 32}"
    assert await harness.client.vset().vcard(near) == 4
    found = await store.nearest("p" * 32, vector(0), 2)
    assert [n.body for n in found.neighbours] == [b"1"]
    assert await harness.client.vset().vcard(near) == 3


async def test_lesson_20_everything_in_redis_expires_or_is_bounded(harness: RedisHarness) -> None:
    store = harness.store(max_entries=5)
    for number in range(40):
        await store.put(key(number), b"x", f"{number:032x}", vector(number), {})
        await store.link({f"i{number}": key(number).member})
    await store.bump(Collection.BEST_PRACTICES)
    names = [name async for name in harness.client.scan_iter("*")]
    assert all(name.startswith(PREFIX) for name in names)
    endless = {name for name in names if await harness.client.pttl(name) == -1}
    cache = f"{PREFIX}cache:"
    assert endless == {f"{cache}order", f"{cache}home", f"{cache}version:best-practices"}
    assert await harness.client.zcard(f"{cache}order") == 5
    assert await harness.client.hlen(f"{cache}home") == 5
    assert sum(name.startswith(f"{cache}near:") for name in names) == 5
    assert await harness.client.llen(f"{cache}links:order") == 5


async def test_a_lowered_limit_is_reached_in_small_steps(harness: RedisHarness) -> None:
    large, small = harness.store(max_entries=300), harness.store(max_entries=10)
    for number in range(200):
        await large.put(key(number), b"x", "p" * 32, None, {})
    assert (await small.put(key(900), b"x", "p" * 32, None, {})).entries == 201 - 64
    for number in range(901, 904):
        last = await small.put(key(number), b"x", "p" * 32, None, {})
    assert last.entries == 10


async def test_coordinators_share_entries_versions_and_invalidations(
    harness: RedisHarness,
) -> None:
    one, two = Bench(harness.store()), Bench(harness.store())
    await one.keep(request(interaction_id="i-1"), embedding=vector(0))
    hit = await two.look_up(request(interaction_id="i-2"))
    assert hit.status is CacheStatus.EXACT
    assert (await two.look_up(request("near"), vector(1))).status is CacheStatus.SEMANTIC
    await two.cache.bump(Collection.ERROR_SOLUTIONS)
    assert (await one.look_up(request(), vector(0))).status is CacheStatus.MISS
    await one.keep(request(interaction_id="i-3"))
    assert await two.cache.invalidate(interaction_id="i-3") == 1
    assert (await one.look_up(request())).status is CacheStatus.MISS


async def test_lesson_19_versions_and_entries_outlive_a_coordinator(harness: RedisHarness) -> None:
    first = Bench(harness.store())
    await first.keep(request("stale"))
    await first.cache.bump(Collection.BEST_PRACTICES)
    await first.keep(request("fresh"))
    await first.cache.aclose()
    second = Bench(harness.store())
    assert (await second.look_up(request("stale"))).status is CacheStatus.MISS
    assert (await second.look_up(request("fresh"))).status is CacheStatus.EXACT


async def test_redis_killed_is_a_status_a_metric_and_one_line_and_ends_when_it_is_back(
    fragile: RedisHarness, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hybrid_coordinator")
    bench = Bench(fragile.store())
    await bench.keep(request(), embedding=vector(0))
    own_redis.kill()
    for _ in range(5):
        lookup = await bench.look_up(request(), vector(0))
        assert lookup.status is CacheStatus.UNAVAILABLE
        assert lookup.key is not None
        assert not await bench.keep(request(), lookup=lookup)
    assert not (await bench.cache.ready()).ok
    assert bench.count("hybrid_cache_errors_total", operation="get") == 5
    with pytest.raises(StoreUnavailable):
        await bench.cache.invalidate(question="What is NixOS?")
    own_redis.start()
    assert (await bench.look_up(request())).status is CacheStatus.UNAVAILABLE
    fragile.now += 1.0
    assert (await bench.look_up(request())).status is CacheStatus.MISS
    assert await bench.keep(request(), embedding=vector(0))
    assert (await bench.look_up(request("near"), vector(1))).status is CacheStatus.SEMANTIC
    events = [r.event for r in caplog.records if hasattr(r, "event")]
    assert events == ["cache_away", "cache_back"]


async def test_while_redis_is_away_one_request_a_second_tries_it(
    fragile: RedisHarness, own_redis: RedisServer
) -> None:
    store = fragile.store(timeout=0.2)
    await store.get(key().exact)
    own_redis.pause()
    tried = 0
    for _ in range(4):
        for _ in range(25):
            with pytest.raises(StoreUnavailable) as refused:
                await store.get(key().exact)
            tried += "cannot be reached" in refused.value.message
        fragile.now += 1.0
    own_redis.resume()
    assert tried == 4


async def test_a_request_of_many_at_once_hangs_on_a_silent_redis_for_the_limit_only(
    fragile: RedisHarness, own_redis: RedisServer
) -> None:
    store = fragile.store(timeout=0.2)
    await store.get(key().exact)
    own_redis.pause()
    async with asyncio.timeout(5):
        results = await asyncio.gather(
            *(store.get(key(n).exact) for n in range(100)), return_exceptions=True
        )
    own_redis.resume()
    assert all(isinstance(result, StoreUnavailable) for result in results)


async def test_lesson_19_a_change_redis_was_not_told_of_keeps_the_cache_unread(
    fragile: RedisHarness, own_redis: RedisServer
) -> None:
    bench = Bench(fragile.store(timeout=0.2))
    await bench.keep(request(), embedding=vector(0))
    own_redis.pause()
    await bench.cache.bump(Collection.BEST_PRACTICES)
    assert bench.count("hybrid_cache_errors_total", operation="bump") == 1
    assert (await bench.look_up(request())).status is CacheStatus.UNAVAILABLE
    own_redis.resume()
    fragile.now += 1.0
    assert (await bench.look_up(request(), vector(0))).status is CacheStatus.MISS
    assert await bench.keep(request())
    assert (await bench.look_up(request())).status is CacheStatus.EXACT


async def test_a_redis_out_of_memory_is_still_read(
    fragile: RedisHarness, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(fragile.store())
    await bench.keep(request("one"))
    await fragile.client.config_set("maxmemory", "100kb")
    assert not await bench.keep(request("two"))
    assert not await bench.keep(request("three"))
    assert (await bench.look_up(request("one"))).status is CacheStatus.EXACT
    assert bench.count("hybrid_cache_errors_total", operation="put") == 2
    await fragile.client.config_set("maxmemory", "0")
    assert await bench.keep(request("two"))
    refusals = [r for r in caplog.records if getattr(r, "event", "") == "cache_refused"]
    assert len([r for r in refusals if getattr(r, "operation", "") == "put"]) == 1


async def test_an_old_redis_serves_the_exact_tier_with_one_warning(
    redis7: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    old = RedisHarness(redis7.url)
    await old.client.flushall()
    bench = Bench(old.store())
    for number in range(3):
        assert await bench.keep(request(f"q{number}"), embedding=vector(number))
        assert (await bench.look_up(request(f"q{number}"))).status is CacheStatus.EXACT
        near = await bench.look_up(request("near"), vector(number))
        assert near.status is CacheStatus.MISS
    assert await bench.cache.invalidate(question="q1") == 1
    ready = await bench.cache.ready()
    assert ready.ok
    assert "exact tier only" in ready.detail
    warnings = [r for r in caplog.records if getattr(r, "event", "") == "cache_without_vector_sets"]
    assert len(warnings) == 1
    await old.aclose()
