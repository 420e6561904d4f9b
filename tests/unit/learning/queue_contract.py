"""What every extraction queue must do: one suite, run by each queue's test module."""

from __future__ import annotations

import asyncio
from typing import Protocol

from hybrid_coordinator.learning.queue import ExtractionQueue
from hybrid_coordinator.learning.records import QueuedExtraction
from hybrid_coordinator.telemetry.metrics import Metrics

LEASE = 60.0


def entry(number: int, *, caller: str = "c1", score: float = 0.8) -> QueuedExtraction:
    return QueuedExtraction(
        f"00000000-0000-4000-8000-{number:012d}", caller, score, 1000.0 + number
    )


class Harness(Protocol):
    """Makes queues that share one place, and lets leases run out."""

    metrics: Metrics

    async def queue(
        self, *, max_waiting: int = 100, max_dead: int = 100, max_seen: int = 100
    ) -> ExtractionQueue: ...

    async def lapse(self, claimed: QueuedExtraction) -> None: ...

    def gauge(self, state: str) -> float: ...


def shown(metrics: Metrics, state: str) -> float:
    name = "hybrid_extraction_queue_entries"
    value = metrics.registry.get_sample_value(name, {"state": state})
    assert value is not None
    return value


async def claimed(queue: ExtractionQueue) -> QueuedExtraction:
    found = await queue.claim(LEASE)
    assert found is not None
    return found


class QueueContract:
    """Subclass it with a fixture ``harness``."""

    async def test_entries_come_back_whole_and_in_their_order(self, harness: Harness) -> None:
        queue = await harness.queue()
        for number in (1, 2, 3):
            assert await queue.add(entry(number))
        assert await queue.waiting(2) == [entry(1), entry(2)]
        assert [await queue.claim(LEASE) for _ in range(4)] == [entry(1), entry(2), entry(3), None]
        assert await queue.waiting(9) == []

    async def test_an_interaction_is_put_in_once_whatever_became_of_it(
        self, harness: Harness
    ) -> None:
        """Lesson 24: every re-post of an outcome started another extraction."""
        queue = await harness.queue()
        assert await queue.add(entry(1))
        assert not await queue.add(entry(1, score=0.9))
        taken = await claimed(queue)
        assert not await queue.add(entry(1))
        await queue.done(taken)
        assert not await queue.add(entry(1))
        assert await queue.claim(LEASE) is None
        await queue.add(entry(2))
        assert await queue.failed(await claimed(queue), "no JSON", 1)
        assert not await queue.add(entry(2))
        assert await queue.claim(LEASE) is None

    async def test_two_instances_never_hold_the_same_entry(self, harness: Harness) -> None:
        first, second = await harness.queue(), await harness.queue()
        for number in range(10):
            await first.add(entry(number))
        got = await asyncio.gather(*(q.claim(LEASE) for q in (first, second) for _ in range(6)))
        ids = [one.interaction_id for one in got if one is not None]
        assert len(ids) == 10
        assert len(set(ids)) == 10

    async def test_an_entry_whose_lease_ran_out_is_another_ones(self, harness: Harness) -> None:
        first, second = await harness.queue(), await harness.queue()
        await first.add(entry(1))
        lost = await claimed(first)
        assert await second.claim(LEASE) is None
        await harness.lapse(lost)
        assert await claimed(second) == entry(1)
        # The first was only slow: what it still says has no effect.
        await first.release(lost)
        assert not await first.failed(lost, "late", 1)
        await first.done(lost)
        assert await first.claim(LEASE) is None
        assert (await second.depth()).claimed == 1
        await second.done(entry(1))
        assert (await second.depth()).claimed == 0

    async def test_a_released_entry_waits_again_and_has_not_been_tried(
        self, harness: Harness
    ) -> None:
        queue = await harness.queue()
        await queue.add(entry(1))
        await queue.release(await claimed(queue))
        assert await claimed(queue) == entry(1)

    async def test_a_failed_entry_lets_others_first_and_dies_after_its_tries(
        self, harness: Harness
    ) -> None:
        queue = await harness.queue()
        await queue.add(entry(1))
        await queue.add(entry(2))
        assert not await queue.failed(await claimed(queue), "prose", 2)
        assert await claimed(queue) == entry(2)
        again = await claimed(queue)
        assert (again.interaction_id, again.tries) == (entry(1).interaction_id, 1)
        assert again.reason == "prose"
        assert await queue.failed(again, "half JSON", 2)
        assert await queue.claim(LEASE) is None
        (letter,) = await queue.dead(9)
        assert (letter.interaction_id, letter.tries) == (entry(1).interaction_id, 2)
        assert letter.reason == "half JSON"

    async def test_dead_letters_are_listed_newest_first_and_replayed_fresh(
        self, harness: Harness
    ) -> None:
        queue = await harness.queue()
        for number in (1, 2, 3):
            await queue.add(entry(number))
            await queue.failed(await claimed(queue), "prose", 1)
        assert [one.interaction_id for one in await queue.dead(2)] == [
            entry(3).interaction_id,
            entry(2).interaction_id,
        ]
        assert await queue.dead(0) == []
        unknown = entry(9).interaction_id
        assert await queue.replay([entry(2).interaction_id, unknown]) == [entry(2).interaction_id]
        assert await claimed(queue) == entry(2)
        assert sorted(await queue.replay(None)) == [
            entry(1).interaction_id,
            entry(3).interaction_id,
        ]
        assert await queue.replay(None) == []
        assert await queue.dead(9) == []
        assert len(await queue.waiting(9)) == 2

    async def test_an_interaction_is_removed_in_whatever_state(self, harness: Harness) -> None:
        queue = await harness.queue()
        for number in (1, 2, 3, 4):
            await queue.add(entry(number))
        await queue.done(await claimed(queue))
        await queue.failed(await claimed(queue), "prose", 1)
        held = await claimed(queue)
        for number in (1, 2, 3, 4):
            assert await queue.remove(entry(number).interaction_id) == 1
            assert await queue.remove(entry(number).interaction_id) == 0
        await queue.done(held)
        view = await queue.depth()
        assert (view.waiting, view.claimed, view.dead, view.oldest) == (0, 0, 0, None)

    async def test_an_interaction_that_is_held_nowhere_is_restored(self, harness: Harness) -> None:
        queue = await harness.queue()
        assert await queue.restore(entry(1))
        assert not await queue.restore(entry(1))
        assert not await queue.add(entry(1))
        taken = await claimed(queue)
        assert not await queue.restore(entry(1))
        await queue.done(taken)
        assert await queue.restore(entry(1))
        await queue.failed(await claimed(queue), "prose", 1)
        assert not await queue.restore(entry(1))

    async def test_it_counts_what_there_is_and_shows_it(self, harness: Harness) -> None:
        queue = await harness.queue()
        for number in (1, 2, 3, 4):
            await queue.add(entry(number))
        assert harness.gauge("waiting") == 4
        await claimed(queue)
        await queue.failed(await claimed(queue), "prose", 1)
        view = await queue.depth()
        assert (view.waiting, view.claimed, view.dead, view.oldest) == (2, 1, 1, 1003.0)
        states = ("waiting", "claimed", "dead")
        assert [harness.gauge(state) for state in states] == [2, 1, 1]

    async def test_it_is_bounded(self, harness: Harness) -> None:
        """Lesson 20."""
        queue = await harness.queue(max_waiting=3, max_dead=2)
        assert [await queue.add(entry(n)) for n in range(5)] == [True, True, True, False, False]
        while (taken := await queue.claim(LEASE)) is not None:
            await queue.failed(taken, "prose", 1)
        assert [one.interaction_id[-1] for one in await queue.dead(9)] == ["2", "1"]
        # What did not fit was not noted as seen: it comes in later.
        assert await queue.add(entry(4))

    async def test_a_wait_ends_with_an_entry(self, harness: Harness) -> None:
        queue = await harness.queue()
        async with asyncio.timeout(10):
            waiting = asyncio.create_task(queue.wait())
            await asyncio.sleep(0)
            assert not waiting.done()
            await queue.add(entry(1))
            await waiting
            await queue.wait()
            taken = await claimed(queue)
            waiting = asyncio.create_task(queue.wait())
            await asyncio.sleep(0)
            await queue.release(taken)
            await waiting

    async def test_what_was_put_in_outlives_the_instance(self, harness: Harness) -> None:
        queue = await harness.queue()
        await queue.add(entry(1))
        await queue.add(entry(2))
        await queue.failed(await claimed(queue), "prose", 1)
        await queue.aclose()
        other = await harness.queue()
        assert await other.waiting(9) == [entry(2)]
        assert len(await other.dead(9)) == 1
        assert not await other.add(entry(1))
