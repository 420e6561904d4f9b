"""What every place for cached answers must do: one suite, run by each store's test module."""

from __future__ import annotations

import asyncio

import pytest

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.settings import Collection
from tests.unit.cache.cache_parts import Harness, key, vector

P1, P2 = "1" * 32, "2" * 32


class StoreContract:
    """Subclass it with a fixture ``harness``."""

    async def test_a_body_comes_back_under_its_own_key_only(self, harness: Harness) -> None:
        store = harness.store()
        put = await store.put(key(1), b"one", P1, None, {})
        assert put == (True, 1)
        assert (await store.get(key(1).exact)).body == b"one"
        assert (await store.get(key(2).exact)).body is None

    async def test_a_second_body_replaces_the_first_and_its_vector(self, harness: Harness) -> None:
        store = harness.store()
        await store.put(key(1), b"old", P1, vector(0), {})
        assert await store.put(key(1), b"new", P2, vector(90), {}) == (True, 1)
        assert (await store.get(key(1).exact)).body == b"new"
        assert not (await store.nearest(P1, vector(0), 5)).neighbours
        assert [n.body for n in (await store.nearest(P2, vector(90), 5)).neighbours] == [b"new"]

    async def test_bodies_are_kept_byte_for_byte(self, harness: Harness) -> None:
        store = harness.store()
        body = bytes(range(256)) * 3
        await store.put(key(1), body, P1, None, {})
        assert (await store.get(key(1).exact)).body == body

    async def test_an_entry_is_gone_from_both_tiers_after_its_time(self, harness: Harness) -> None:
        store = harness.store(ttl=60)
        await store.put(key(1), b"one", P1, vector(0), {})
        await harness.age(59)
        assert (await store.get(key(1).exact)).body == b"one"
        await harness.age(2)
        assert (await store.get(key(1).exact)).body is None
        assert not (await store.nearest(P1, vector(0), 5)).neighbours

    async def test_expired_entries_make_room_and_are_not_counted(self, harness: Harness) -> None:
        store = harness.store(ttl=60)
        for number in range(5):
            await store.put(key(number), b"old", P1, vector(number), {})
        await harness.age(61)
        assert await store.put(key(9), b"new", P1, vector(0), {}) == (True, 1)
        assert [n.body for n in (await store.nearest(P1, vector(0), 9)).neighbours] == [b"new"]

    async def test_the_oldest_leaves_both_tiers_beyond_the_limit(self, harness: Harness) -> None:
        store = harness.store(max_entries=3)
        for number in range(5):
            put = await store.put(key(number), b"%d" % number, P1, vector(number * 10), {})
            await harness.age(0.01)
        assert put.entries == 3
        bodies = [(await store.get(key(number).exact)).body for number in range(5)]
        assert bodies == [None, None, b"2", b"3", b"4"]
        near = await store.nearest(P1, vector(0), 9)
        assert [n.body for n in near.neighbours] == [b"2", b"3", b"4"]

    async def test_an_entry_put_again_is_the_newest(self, harness: Harness) -> None:
        store = harness.store(max_entries=2)
        for number in (1, 2, 1, 3):
            await store.put(key(number), b"%d" % number, P1, None, {})
            await harness.age(0.01)
        assert (await store.get(key(1).exact)).body == b"1"
        assert (await store.get(key(2).exact)).body is None

    async def test_many_at_once_stay_within_the_limit(self, harness: Harness) -> None:
        store = harness.store(max_entries=10)
        await asyncio.gather(
            *(store.put(key(n), b"x", P1, vector(n), {}) for n in range(60)),
            *(store.get(key(n).exact) for n in range(60)),
            *(store.nearest(P1, vector(n), 3) for n in range(20)),
        )
        held = [n for n in range(60) if (await store.get(key(n).exact)).body]
        assert len(held) == 10
        assert len(await store.find(None, None)) == 10
        assert len((await store.nearest(P1, vector(0), 60)).neighbours) == 10

    async def test_neighbours_come_nearest_first_with_their_cosine(self, harness: Harness) -> None:
        store = harness.store()
        for number, degrees in enumerate((80, 0, 30, 170)):
            await store.put(key(number), b"%d" % degrees, P1, vector(degrees), {})
        near = (await store.nearest(P1, vector(10), 3)).neighbours
        assert [n.body for n in near] == [b"0", b"30", b"80"]
        assert [n.similarity for n in near] == pytest.approx([0.9848, 0.9397, 0.3420], abs=0.01)

    async def test_a_vectors_length_does_not_matter(self, harness: Harness) -> None:
        store = harness.store()
        await store.put(key(1), b"one", P1, vector(0) * 7, {})
        near = (await store.nearest(P1, vector(60) * 0.1, 1)).neighbours
        assert near[0].similarity == pytest.approx(0.5, abs=0.01)

    async def test_partitions_do_not_see_each_other(self, harness: Harness) -> None:
        store = harness.store()
        await store.put(key(1), b"one", P1, vector(0), {})
        assert not (await store.nearest(P2, vector(0), 5)).neighbours

    async def test_entries_without_a_vector_are_near_to_nothing(self, harness: Harness) -> None:
        store = harness.store()
        await store.put(key(1), b"one", P1, None, {})
        assert not (await store.nearest(P1, vector(0), 5)).neighbours

    async def test_a_vector_of_another_size_is_refused(self, harness: Harness) -> None:
        store = harness.store()
        await store.put(key(1), b"one", P1, vector(0, 8), {})
        with pytest.raises(StoreUnavailable):
            await store.nearest(P1, vector(0, 16), 5)
        with pytest.raises(StoreUnavailable):
            await store.put(key(2), b"two", P1, vector(0, 16), {})

    async def test_versions_begin_at_zero_and_never_repeat(self, harness: Harness) -> None:
        store = harness.store()
        seen = [(await store.versions())[Collection.BEST_PRACTICES]]
        for _ in range(3):
            await store.bump(Collection.BEST_PRACTICES)
            seen.append((await store.get(key(1).exact)).versions[Collection.BEST_PRACTICES])
        assert seen[0] == 0
        assert seen == sorted(set(seen))
        assert (await store.versions())[Collection.CODEBASE_CONTEXT] == 0

    async def test_every_reading_carries_the_versions(self, harness: Harness) -> None:
        store = harness.store()
        await store.bump(Collection.SKILLS_PATTERNS)
        versions = await store.versions()
        assert set(versions) == set(Collection)
        assert (await store.get(key(1).exact)).versions == versions
        assert (await store.nearest(P1, vector(0), 2)).versions == versions

    async def test_lesson_19_nothing_is_put_once_the_versions_have_moved_on(
        self, harness: Harness
    ) -> None:
        store = harness.store()
        before = await store.versions()
        await store.bump(Collection.ERROR_SOLUTIONS)
        assert not (await store.put(key(1), b"stale", P1, vector(0), before)).stored
        assert (await store.get(key(1).exact)).body is None
        assert not (await store.nearest(P1, vector(0), 2)).neighbours
        assert (await store.put(key(1), b"fresh", P1, None, await store.versions())).stored

    async def test_removed_entries_are_gone_from_both_tiers(self, harness: Harness) -> None:
        store = harness.store()
        for number in (1, 2):
            await store.put(key(number), b"%d" % number, P1, vector(0), {})
        assert await store.remove([key(1).member, key(7).member]) == 1
        assert await store.remove([key(1).member]) == 0
        assert (await store.get(key(1).exact)).body is None
        assert [n.body for n in (await store.nearest(P1, vector(0), 5)).neighbours] == [b"2"]

    async def test_entries_are_found_by_caller_and_by_question(self, harness: Harness) -> None:
        store = harness.store()
        keys = [
            key(n, caller=caller, question=question)
            for n, (caller, question) in enumerate((c, q) for c in "ab" for q in "xyz")
        ]
        for one in keys:
            await store.put(one, b"body", P1, None, {})
        a, x = keys[0].caller, keys[0].question
        assert set(await store.find(None, None)) == {k.member for k in keys}
        assert set(await store.find(a, None)) == {k.member for k in keys[:3]}
        assert set(await store.find(None, x)) == {keys[0].member, keys[3].member}
        assert await store.find(a, x) == [keys[0].member]

    async def test_lesson_20_links_are_kept_up_to_a_limit(self, harness: Harness) -> None:
        store = harness.store(max_entries=3)
        for number in range(5):
            await store.link({f"i{number}": key(number).member})
        linked = [await store.linked(f"i{number}") for number in range(5)]
        assert linked == [None, None, *(key(number).member for number in (2, 3, 4))]

    async def test_a_store_that_serves_says_so(self, harness: Harness) -> None:
        ready = await harness.store().ready()
        assert ready.ok
        assert ready.detail
