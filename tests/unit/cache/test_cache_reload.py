"""The cache under other options: what is kept stays, what is unsent stays unsent."""

from __future__ import annotations

import pytest

from hybrid_coordinator.cache import Cache, Guard, MemoryStore
from hybrid_coordinator.conversation import CacheStatus, Tier
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.settings import CacheSettings, Collection
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.cache.cache_parts import completion, request

GUARD = Guard("bundled", 0.01)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Away(MemoryStore):
    """Cannot be told of changes."""

    away = True

    async def bump(self, collection: Collection) -> None:
        if self.away:
            raise StoreUnavailable("away")
        await super().bump(collection)


def cache(store: MemoryStore, settings: CacheSettings | None = None) -> Cache:
    return Cache(
        store, GUARD, settings or CacheSettings(), Metrics(), embedder="e", collections=Collection
    )


async def keep(where: Cache, question: str) -> bool:
    asked = request(question)
    lookup = await where.look_up_exact(asked)
    return await where.store(lookup, asked, None, completion(), "b", Tier.LOCAL, 0.0, "i-1")


async def test_entries_are_found_under_other_options_and_switching_it_off_is_for_new_requests() -> (
    None
):
    old = cache(MemoryStore(10, 60))
    assert await keep(old, "What is Nix?")
    tighter = old.under(CacheSettings(max_entry_bytes=1024), GUARD, Collection)
    assert (await tighter.look_up_exact(request("What is Nix?"))).status is CacheStatus.EXACT
    off = old.under(CacheSettings(enable=False), GUARD, Collection)
    assert (await off.look_up_exact(request("What is Nix?"))).status is CacheStatus.OFF
    assert (await old.look_up_exact(request("What is Nix?"))).status is CacheStatus.EXACT


async def test_another_time_to_live_holds_for_what_is_kept_from_then_on() -> None:
    clock = Clock()
    old = cache(MemoryStore(10, 60, clock=clock))
    await keep(old, "Kept before?")
    new = old.under(CacheSettings(ttl=5), GUARD, Collection)
    await keep(new, "Kept after?")
    clock.now += 30
    assert (await new.look_up_exact(request("Kept before?"))).status is CacheStatus.EXACT
    assert (await new.look_up_exact(request("Kept after?"))).status is CacheStatus.MISS


async def test_fewer_entries_let_the_oldest_go() -> None:
    old = cache(MemoryStore(10, 60))
    await keep(old, "One?")
    await keep(old, "Two?")
    new = old.under(CacheSettings(max_entries=1), GUARD, Collection)
    assert (await new.look_up_exact(request("One?"))).status is CacheStatus.MISS
    assert (await new.look_up_exact(request("Two?"))).status is CacheStatus.EXACT


@pytest.mark.parametrize("told_to", ["old", "new"])
async def test_a_change_that_could_not_be_told_is_not_forgotten_by_a_reload_lesson_19(
    told_to: str,
) -> None:
    store = Away(10, 60)
    old = cache(store)
    await keep(old, "Stale?")
    if told_to == "old":
        await old.bump(Collection.BEST_PRACTICES)
    new = old.under(CacheSettings(), GUARD, Collection)
    if told_to == "new":
        await new.bump(Collection.BEST_PRACTICES)
    for where in (old, new):
        lookup = await where.look_up_exact(request("Stale?"))
        assert lookup.status is CacheStatus.UNAVAILABLE
    store.away = False
    for where in (new, old):
        assert (await where.look_up_exact(request("Stale?"))).status is CacheStatus.MISS
