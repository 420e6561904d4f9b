"""The gateway's own interactions: taken without making anybody wait, kept in order.

An answered request is handed over after its last byte and put on disk a moment
later. Whoever posts an outcome in between is made to wait for that, so that
an id that was just given out is never unknown. What cannot be kept, since the
queue or the outbox is full, is counted and logged: no answer is held back for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.knowledge.store import Vector
from hybrid_coordinator.learning.entries import RawInteraction
from hybrid_coordinator.telemetry.metrics import Metrics

_WAITING: Final = 2_048
"""Interactions that wait to be put on disk at most."""
_TOGETHER: Final = 32
"""Interactions that are put on disk together."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """An answered request.

    ``rejected``: the local answers turned down on the way to it. ``key``: equal
    for equal requests, empty where there is none. ``vector``: the question's
    embedding where it was needed.
    """

    whole: RawInteraction
    rejected: tuple[RawInteraction, ...] = ()
    key: str = ""
    vector: Vector | None = None


Keep = Callable[[Sequence[Observed]], Awaitable[None]]


class Intake:
    """What is on its way to the disk; belongs to one event loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._queue: asyncio.Queue[Observed] = asyncio.Queue(_WAITING)
        self._expected: dict[str, asyncio.Event] = {}
        self._full = False

    def expect(self, interaction_id: str) -> None:
        """An answer with this id is about to be given."""
        self._expected.setdefault(interaction_id, asyncio.Event())

    def cancel(self, interaction_id: str) -> None:
        """There will be nothing to keep under this id."""
        event = self._expected.pop(interaction_id, None)
        if event is not None:
            event.set()

    def put(self, observed: Observed) -> None:
        """Hand over an answered request; returns at once."""
        try:
            self._queue.put_nowait(observed)
            self._full = False
        except asyncio.QueueFull:
            self.lost("queue_full", 1)
            self.cancel(observed.whole.id)

    def lost(self, cause: str, count: int) -> None:
        """Count interactions that are not kept; the first of a row is logged."""
        self._metrics.learning.lost.labels(cause=cause).inc(count)
        if not self._full:
            log.warning("interactions are not being kept (%s); answers go on", cause)
        self._full = True

    async def arrival(self, interaction_id: str, limit: float) -> None:
        """Wait until an id that was given out is kept or given up on, ``limit`` seconds at most."""
        event = self._expected.get(interaction_id)
        if event is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await event.wait()

    async def run(self, keep: Keep) -> None:
        """Hand what comes to ``keep``, in order, several at a time; until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < _TOGETHER and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._keep(batch, keep)

    async def settled(self) -> None:
        """Wait until everything handed over so far is kept or given up on."""
        await self._queue.join()

    async def _keep(self, batch: Sequence[Observed], keep: Keep) -> None:
        try:
            await keep(batch)
        except HybridError as error:
            self.lost(error.code, len(batch))
        except Exception as error:
            # Whatever it was: the next interactions are to be kept all the same.
            self._metrics.failures.labels(room="learning", kind=type(error).__name__).inc()
            log.exception("interactions could not be kept")
        finally:
            for observed in batch:
                self.cancel(observed.whole.id)
                self._queue.task_done()
