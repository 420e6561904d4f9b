"""What the tests of delivering share: a sink that fails on demand, and pauses that take no time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.delivery import Deliverer
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import Tracked
from hybrid_coordinator.learning_settings import OutboxSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.outbox_parts import Clock

Fault = Callable[[str], Exception | None]


def no_fault(_: str) -> None:
    return None


class Sink:
    """Writes down what it is given, or fails as it is told to: ``fault`` is asked by id."""

    def __init__(self) -> None:
        self.had: list[tuple[str, str]] = []
        self.batches: list[int] = []
        self.store_fault: Fault = no_fault
        self.settle_fault: Fault = no_fault
        self.before: Callable[[], Awaitable[None]] | None = None

    async def store(self, interactions: Sequence[Tracked]) -> None:
        if self.before is not None:
            await self.before()
        for each in interactions:
            if (error := self.store_fault(each.id)) is not None:
                raise error
        self.batches.append(len(interactions))
        self.had += [(each.id, "interaction") for each in interactions]

    async def settle(self, interaction_id: str, caller: str, state: OutcomeState) -> None:
        if (error := self.settle_fault(interaction_id)) is not None:
            raise error
        self.had.append((interaction_id, state.effective().outcome.value))

    def of(self, interaction_id: str) -> list[str]:
        return [what for id_, what in self.had if id_ == interaction_id]


class Pauses:
    """Instead of waiting the clock is set forward; gives others a turn."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.made: list[float] = []

    async def __call__(self, event: asyncio.Event, seconds: float) -> None:
        self.made.append(seconds)
        self.clock.now += seconds
        await asyncio.sleep(0)


def deliverer(
    box: Outbox,
    sink: Sink,
    metrics: Metrics | None = None,
    *,
    clock: Clock | None = None,
    activity: Activity | None = None,
) -> tuple[Deliverer, Pauses]:
    clock = clock or Clock()
    pauses = Pauses(clock)
    made = Deliverer(
        box,
        sink,
        OutboxSettings(),
        metrics or Metrics(),
        activity or Activity(),
        clock=clock,
        pause=pauses,
        uniform=lambda low, high: high,
    )
    return made, pauses


@contextlib.asynccontextmanager
async def running(what: Deliverer) -> AsyncIterator[None]:
    task = asyncio.create_task(what.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def empty(box: Outbox) -> None:
    async with asyncio.timeout(20):
        while box.depth:
            await asyncio.sleep(0.001)
