"""A store that fails on purpose: what the cache makes of it, and what it says about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest

from hybrid_coordinator.cache import MemoryStore
from hybrid_coordinator.cache.links import AnswerLinks
from hybrid_coordinator.cache.outage import Outage
from hybrid_coordinator.conversation import CacheStatus, Tier
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.settings import Collection
from tests.unit.cache.cache_parts import Bench, completion, key, request, vector


class BrittleStore(MemoryStore):
    """A memory store whose named operations fail, or wait until they are let go."""

    def __init__(self) -> None:
        super().__init__(100, 60.0, clock=lambda: 0.0)
        self.broken: set[str] = set()
        self.gate: asyncio.Event | None = None
        self.linked_batches: list[dict[str, str]] = []

    async def _pass(self, operation: str) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if operation in self.broken:
            raise StoreUnavailable("broken on purpose")

    async def get(self, exact: str):  # type: ignore[no-untyped-def]
        await self._pass("get")
        return await super().get(exact)

    async def nearest(self, *args):  # type: ignore[no-untyped-def]
        await self._pass("nearest")
        return await super().nearest(*args)

    async def put(self, *args):  # type: ignore[no-untyped-def]
        await self._pass("put")
        return await super().put(*args)

    async def bump(self, collection: Collection) -> None:
        await self._pass("bump")
        await super().bump(collection)

    async def link(self, links: Mapping[str, str]) -> None:
        await self._pass("link")
        self.linked_batches.append(dict(links))
        await super().link(links)


@pytest.fixture
def store() -> BrittleStore:
    return BrittleStore()


@pytest.fixture
def bench(store: BrittleStore) -> Bench:
    return Bench(store)


async def test_each_failing_operation_is_counted_and_never_an_error_of_the_request(
    bench: Bench, store: BrittleStore
) -> None:
    await bench.keep(request("one"), embedding=vector(0))
    store.broken = {"nearest"}
    assert (await bench.look_up(request("one"))).status is CacheStatus.EXACT
    near = await bench.look_up(request("two"), vector(0))
    assert near.status is CacheStatus.UNAVAILABLE
    store.broken = {"put"}
    assert not await bench.keep(request("two"))
    store.broken = {"get"}
    away = await bench.look_up(request("one"), vector(0))
    assert (away.status, away.entry) == (CacheStatus.UNAVAILABLE, None)
    assert not await bench.keep(request("one"), lookup=away)
    for operation in ("get", "nearest", "put"):
        assert bench.count("hybrid_cache_errors_total", operation=operation) == 1


async def test_an_answer_whose_versions_are_unknown_is_shared_but_not_kept(
    bench: Bench, store: BrittleStore
) -> None:
    store.broken = {"get"}
    lookup = await bench.cache.look_up_exact(request())
    async with bench.cache.flight(lookup, request()) as flight:
        follower = asyncio.create_task(_follow(bench))
        while bench.count("hybrid_single_flight_waits_total") < 1:
            await asyncio.sleep(0)
        kept = await bench.cache.store(
            lookup, request(), None, completion(), "b", Tier.LOCAL, 0, "i", flight=flight
        )
        assert not kept
        assert await follower == "A Linux distribution."
    store.broken = set()
    assert (await bench.look_up(request())).status is CacheStatus.MISS


async def _follow(bench: Bench) -> str:
    asked = request(interaction_id="i-follower")
    lookup = await bench.cache.look_up_exact(asked)
    async with bench.cache.flight(lookup, asked) as flight:
        return flight.entry.completion.text if flight.entry else "alone"


async def test_lesson_19_nothing_is_read_until_a_failed_bump_went_through(
    bench: Bench, store: BrittleStore
) -> None:
    await bench.keep(request(), embedding=vector(0))
    before = await bench.cache.look_up_exact(request("another"))
    store.broken = {"bump"}
    await bench.cache.bump(Collection.BEST_PRACTICES)
    for _ in range(2):
        assert (await bench.look_up(request(), vector(0))).status is CacheStatus.UNAVAILABLE
    assert not await bench.keep(request("another"), lookup=before)
    near = await bench.cache.look_up_semantic(request("near"), before, vector(0))
    assert near.status is CacheStatus.MISS
    store.broken = set()
    assert (await bench.look_up(request(), vector(0))).status is CacheStatus.MISS
    assert await bench.keep(request())
    assert (await bench.look_up(request())).status is CacheStatus.EXACT


async def test_lesson_19_a_look_up_during_a_late_bump_waits_for_it(
    bench: Bench, store: BrittleStore
) -> None:
    await bench.keep(request())
    store.broken = {"bump"}
    await bench.cache.bump(Collection.BEST_PRACTICES)
    store.broken, store.gate = set(), asyncio.Event()
    lookups = [asyncio.create_task(bench.look_up(request())) for _ in range(3)]
    await asyncio.sleep(0)
    store.gate.set()
    assert {lookup.status for lookup in await asyncio.gather(*lookups)} == {CacheStatus.MISS}


async def test_lesson_19_a_bump_whose_caller_went_away_is_not_forgotten(
    bench: Bench, store: BrittleStore
) -> None:
    await bench.keep(request())
    store.gate = asyncio.Event()
    bump = asyncio.create_task(bench.cache.bump(Collection.BEST_PRACTICES))
    await asyncio.sleep(0)
    bump.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bump
    store.gate = None
    assert (await bench.look_up(request())).status is CacheStatus.MISS


async def test_an_answer_called_wrong_while_it_is_being_kept_is_dropped(
    bench: Bench, store: BrittleStore
) -> None:
    asked = request(interaction_id="i-wrong")
    lookup = await bench.cache.look_up_exact(asked)
    store.gate = asyncio.Event()
    keeping = asyncio.create_task(bench.keep(asked, lookup=lookup))
    await asyncio.sleep(0)
    assert await bench.cache.invalidate(interaction_id="i-wrong") == 0
    store.gate.set()
    assert not await keeping
    assert (await bench.look_up(request())).status is CacheStatus.MISS


async def test_links_are_written_in_batches_and_lost_ones_are_counted(
    store: BrittleStore,
) -> None:
    lost: list[int] = []
    links = AnswerLinks(store, lost.append, limit=3)
    store.gate = asyncio.Event()
    links.add("first", key(1).member)
    await asyncio.sleep(0)  # it is being written
    for number in range(5):
        links.add(f"i{number}", key(number).member)
    store.gate.set()
    assert await links.of("i4") == key(4).member
    assert [list(batch) for batch in store.linked_batches] == [["first"], ["i2", "i3", "i4"]]
    assert lost == [1, 1]
    store.broken = {"link"}
    links.add("i9", key(9).member)
    await links.settle()
    assert lost == [1, 1, 1]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_one_line_at_each_end_and_one_try_a_pause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "hybrid_coordinator")
    clock = Clock()
    outage = Outage("Redis", pause=1.0, clock=clock)
    outage.admit()
    outage.failed(ConnectionError("refused"))
    assert outage.away
    with pytest.raises(StoreUnavailable) as refused:
        outage.admit()
    assert refused.value.retry_after == pytest.approx(1.0)
    clock.now = 1.0
    outage.admit()
    with pytest.raises(StoreUnavailable):
        outage.admit()  # one try at a time
    outage.failed(TimeoutError())
    clock.now = 2.5
    outage.admit()
    outage.succeeded("get")
    assert not outage.away
    outage.admit()
    assert [record.getMessage() for record in caplog.records] == [
        "Redis is away (refused): requests are answered without the cache until it is back.",
        "Redis is back after 2.5 s.",
    ]


def test_a_refusal_does_not_close_the_store_and_is_one_line_an_operation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "hybrid_coordinator")
    outage = Outage("Redis", clock=Clock())
    for _ in range(3):
        error = outage.refused("put", RuntimeError("OOM"))
        assert "OOM" in error.message
    outage.succeeded("get")
    outage.admit()
    outage.succeeded("put")
    assert [getattr(r, "event", None) for r in caplog.records] == [
        "cache_refused",
        "cache_accepted",
    ]
