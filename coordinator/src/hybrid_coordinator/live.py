"""What the figures say of this moment: parts, open requests, queues, and what is stored.

Asks every part within one limit and does not raise: a part that is away is
None, and ``readiness`` names it. What was recorded is counted elsewhere
(``reporting``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.gateway import PartState, Readiness
from hybrid_coordinator.knowledge import Knowledge
from hybrid_coordinator.knowledge.store import Filter
from hybrid_coordinator.learning.pattern_items import COLLECTION_OF
from hybrid_coordinator.learning.rooms import LearningRooms
from hybrid_coordinator.reporting.assembly import Live
from hybrid_coordinator.reporting.figures import (
    PartFigures,
    PatternFigures,
    QueueFigures,
    ServiceFigures,
)
from hybrid_coordinator.telemetry import Metrics

_LIMIT: Final = 3.0
"""Seconds that a part may take to say how it is."""

_T = TypeVar("_T")


class LiveView:
    """Asks the rooms of the running service."""

    def __init__(
        self,
        readiness: Callable[[], Awaitable[Readiness]],
        knowledge: Knowledge,
        learning: LearningRooms,
        metrics: Metrics,
    ) -> None:
        self._readiness = readiness
        self._knowledge = knowledge
        self._learning = learning
        self._metrics = metrics

    async def ask(self) -> Live:
        """How everything is now."""
        readiness, stored, queue, patterns = await asyncio.gather(
            within(self._readiness(), self._metrics, "reporting"),
            within(self._knowledge.status(), self._metrics, "reporting"),
            within(self._learning.queue.depth(), self._metrics, "reporting"),
            within(self._patterns(), self._metrics, "reporting"),
        )
        outbox = self._learning.outbox
        service = ServiceFigures(
            state=_state(readiness),
            parts={
                name: PartFigures(state=part.state.value, detail=part.detail)
                for name, part in (readiness.parts if readiness else {}).items()
            },
            active_interactions=self._learning.activity.active,
            extraction_queue=QueueFigures(waiting=queue.waiting, dead=queue.dead)
            if queue
            else QueueFigures(),
            outbox_depth=outbox.depth if outbox.usable else None,
        )
        return Live(
            service=service,
            points={name.value: report.points for name, report in (stored or {}).items()},
            usable=frozenset(
                name.value for name, report in (stored or {}).items() if report.problem is None
            ),
            patterns=patterns or PatternFigures(),
        )

    async def _patterns(self) -> PatternFigures:
        """The learned items of every collection by their status."""
        store = await self._knowledge.opened()

        async def count(status: str) -> int:
            where = Filter(any_of={"status": (status,), "learned": (True,)})
            return sum([await store.count(name, where) for name in COLLECTION_OF.values()])

        return PatternFigures(
            candidate=await count("candidate"),
            trusted=await count("trusted"),
            retired=await count("retired"),
        )


async def within(asked: Awaitable[_T], metrics: Metrics, room: str) -> _T | None:
    """A part's answer, or None where there is none in time; that is counted as ``room``'s."""
    try:
        async with asyncio.timeout(_LIMIT):
            return await asked
    except TimeoutError:
        metrics.failures.labels(room=room, kind="part_timeout").inc()
    except HybridError as error:
        metrics.failures.labels(room=room, kind=error.code).inc()
    return None


def _state(readiness: Readiness | None) -> Literal["ready", "degraded", "down"]:
    if readiness is None or not readiness.ready:
        return "down"
    fine = (PartState.READY, PartState.OFF)
    well = all(part.state in fine for part in readiness.parts.values())
    return "ready" if well else "degraded"
