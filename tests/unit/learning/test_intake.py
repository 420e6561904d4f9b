"""The gateway's own interactions on their way to the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hybrid_coordinator.errors import OutboxFull
from hybrid_coordinator.learning.entries import RawInteraction
from hybrid_coordinator.learning.intake import Intake, Observed
from hybrid_coordinator.telemetry.metrics import Metrics


def observed(number: int) -> Observed:
    return Observed(RawInteraction(f"id-{number}", "ann", "q", "r", float(number)))


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


class Disk:
    """Remembers what it is given; may refuse, and may wait for ``open``."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def keep(self, batch: Sequence[Observed]) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.batches.append(len(batch))
        self.ids += [one.whole.id for one in batch]


async def running(intake: Intake, disk: Disk) -> asyncio.Task[None]:
    task = asyncio.create_task(intake.run(disk.keep))
    await asyncio.sleep(0)
    return task


async def test_interactions_are_kept_in_order_and_together() -> None:
    intake, disk = Intake(Metrics()), Disk()
    for number in range(100):
        intake.put(observed(number))
    task = await running(intake, disk)
    async with asyncio.timeout(5):
        await intake.settled()
    task.cancel()
    assert disk.ids == [f"id-{n}" for n in range(100)]
    assert len(disk.batches) < 10


async def test_an_id_that_was_given_out_is_waited_for_until_it_is_kept() -> None:
    intake, disk = Intake(Metrics()), Disk()
    disk.open.clear()
    task = await running(intake, disk)
    intake.expect("id-1")
    waiting = asyncio.create_task(intake.arrival("id-1", 5.0))
    intake.put(observed(1))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    disk.open.set()
    async with asyncio.timeout(2):
        await waiting
    assert disk.ids == ["id-1"]
    task.cancel()


async def test_nobody_waits_for_an_answer_that_failed_or_an_id_nobody_gave() -> None:
    intake = Intake(Metrics())
    intake.expect("id-1")
    waiting = asyncio.create_task(intake.arrival("id-1", 60.0))
    await asyncio.sleep(0)
    intake.cancel("id-1")
    async with asyncio.timeout(1):
        await waiting
        await intake.arrival("never", 60.0)


async def test_waiting_has_an_end() -> None:
    intake = Intake(Metrics())
    intake.expect("id-1")
    async with asyncio.timeout(1):
        await intake.arrival("id-1", 0.01)


async def test_what_the_outbox_refuses_is_counted_and_the_next_is_kept() -> None:
    metrics = Metrics()
    intake, disk = Intake(metrics), Disk()
    disk.error = OutboxFull("full")
    task = await running(intake, disk)
    intake.put(observed(1))
    await intake.settled()
    disk.error = None
    intake.put(observed(2))
    await intake.settled()
    task.cancel()
    assert disk.ids == ["id-2"]
    assert value(metrics, "hybrid_interactions_lost_total", cause="outbox_full") == 1


async def test_a_fault_of_ours_ends_nothing_and_is_counted() -> None:
    metrics = Metrics()
    intake, disk = Intake(metrics), Disk()
    disk.error = RuntimeError("a fault")
    task = await running(intake, disk)
    intake.put(observed(1))
    await intake.settled()
    assert not task.done()
    task.cancel()
    assert value(metrics, "hybrid_failures_total", room="learning", kind="RuntimeError") == 1


async def test_the_queue_is_bounded_and_what_is_beyond_it_is_counted() -> None:
    metrics = Metrics()
    intake = Intake(metrics)
    for number in range(3_000):
        intake.put(observed(number))
    lost = value(metrics, "hybrid_interactions_lost_total", cause="queue_full")
    assert lost == 3_000 - 2_048
