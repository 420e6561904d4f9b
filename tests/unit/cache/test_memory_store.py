"""The in-process store: the suites every store passes, and what is its alone."""

from __future__ import annotations

import pytest

from hybrid_coordinator.cache import MemoryStore
from tests.unit.cache.cache_contract import CacheContract, bench
from tests.unit.cache.cache_parts import Harness, key, vector
from tests.unit.cache.store_contract import StoreContract

__all__ = ["bench"]


class MemoryHarness(Harness):
    def __init__(self) -> None:
        self.now = 0.0

    def store(self, *, max_entries: int = 100, ttl: float = 60.0) -> MemoryStore:
        return MemoryStore(max_entries, ttl, clock=lambda: self.now)

    async def age(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def harness() -> MemoryHarness:
    return MemoryHarness()


class TestStore(StoreContract):
    """The store's suite in memory."""


class TestCache(CacheContract):
    """The cache's suite in memory."""


async def test_lesson_20_bytes_are_bounded_too() -> None:
    store = MemoryStore(1_000_000, 60.0, max_bytes=100_000, clock=lambda: 0.0)
    for number in range(200):
        await store.put(key(number), b"x" * 1_000, "p", vector(number, 384), {})
        assert store.size_bytes <= 100_000
    kept = [n for n in range(200) if (await store.get(key(n).exact)).body]
    assert kept == list(range(200 - len(kept), 200))
    assert len(kept) > 20


async def test_a_body_larger_than_everything_allowed_is_not_kept() -> None:
    store = MemoryStore(10, 60.0, max_bytes=10_000, clock=lambda: 0.0)
    assert await store.put(key(1), b"x" * 20_000, "p", vector(0), {}) == (False, 0)
    assert store.size_bytes == 0


async def test_lesson_20_nothing_is_left_of_partitions_whose_entries_are_gone() -> None:
    store = MemoryStore(2, 60.0, clock=lambda: 0.0)
    for number in range(50):
        await store.put(key(number), b"x", f"partition {number}", vector(0), {})
    assert len(store._tables) == 2
    await store.remove([key(48).member, key(49).member])
    assert store._tables == {}
    assert store.size_bytes == 0
