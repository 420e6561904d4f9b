"""The running coordinator looked at as a whole: the health report, and settings against use.

Both look much further than ``/ready``, so equal questions at the same time
share one look, and reading events happens in a thread. What is judged, and
how, is in ``health`` and ``analysis``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from hybrid_coordinator.analysis.report import Analysis
from hybrid_coordinator.analysis.rules import findings
from hybrid_coordinator.analysis.use import Live, count
from hybrid_coordinator.gateway import PartState, PartStatus, Readiness
from hybrid_coordinator.health.check import check_health
from hybrid_coordinator.health.coordinator_view import PartView, View
from hybrid_coordinator.health.last_state import LastState
from hybrid_coordinator.health_report import Report
from hybrid_coordinator.knowledge import Knowledge
from hybrid_coordinator.learning.outbox_records import Totals
from hybrid_coordinator.learning.service import Learning
from hybrid_coordinator.live import within
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.telemetry import EventReader, Metrics

_NEWEST: Final = 64 * 1024 * 1024
"""Bytes of events that an analysis reads, the newest: some hundred thousand requests."""
_NEARLY: Final = 0.8
"""Share of the outbox's bounds from which on it is nearly full."""
_T = TypeVar("_T")


class _Together(Generic[_T]):
    """One piece of work at a time; whoever asks meanwhile gets the same answer."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> None:
        self._work = work
        self._running: asyncio.Task[_T] | None = None

    async def __call__(self) -> _T:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._work())
        # Who gives up does not end it for the others.
        return await asyncio.shield(self._running)


class SystemView:
    """Looks at the rooms of one coordinator. ``readiness`` is its own word on its parts."""

    def __init__(
        self,
        settings: Settings,
        readiness: Callable[[], Awaitable[Readiness]],
        knowledge: Knowledge,
        learning: Learning,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._readiness = readiness
        self._knowledge = knowledge
        self._learning = learning
        self._metrics = metrics
        self._clock = clock
        self.health: Callable[[], Awaitable[Report]] = _Together(self._health)
        self.analysis: Callable[[], Awaitable[Analysis]] = _Together(self._analysis)

    async def _health(self) -> Report:
        last = await asyncio.to_thread(LastState.read, self._settings.state_directory)
        return await check_health(self._settings, last=last, look=self._look, clock=self._clock)

    async def _look(self) -> View:
        found = await self._readiness()
        parts = {
            name: PartView(state=part.state, detail=part.detail)
            for name, part in found.parts.items()
        }
        return View(self._settings.local_url, alive=True, ready=found.ready, parts=parts)

    async def _analysis(self) -> Analysis:
        folder = self._settings.state_directory / "telemetry"
        live = await self._live()
        return await asyncio.to_thread(self._compare, folder, live)

    def _compare(self, folder: Path, live: Live) -> Analysis:
        reader = EventReader(folder, newest_bytes=_NEWEST)
        files = len(reader.files())
        use = count(reader, replace(live, event_files=files))
        return Analysis(
            generated_at=self._clock(),
            since=use.since,
            until=use.until,
            events=use.events,
            unreadable=reader.skipped,
            findings=findings(self._settings, use),
        )

    async def _live(self) -> Live:
        totals = self._learning.outbox_totals
        stored = await within(self._knowledge.status(), self._metrics, "analysis")
        queue = await within(self._learning.queue_waiting(), self._metrics, "analysis")
        value = self._metrics.registry.get_sample_value
        entries = value("hybrid_cache_entries")
        lost = sum(
            sample.value
            for family in self._metrics.telemetry_lost.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        )
        return Live(
            cache_entries=None if entries is None else int(entries),
            points={
                name.value: state.points or 0
                for name, state in (stored or {}).items()
                if state.problem is None
            },
            outbox_records=None if totals is None else totals.records,
            outbox_bytes=None if totals is None else totals.bytes,
            queue_waiting=queue,
            lost=int(lost),
        )


def outbox_part(settings: Settings, totals: Totals | None, now: float) -> PartStatus:
    """How the outbox is: how much waits, and for how long; ``now`` in epoch seconds."""
    if not settings.learning.enable:
        return PartStatus(PartState.OFF, "learning.enable is false")
    if totals is None:
        return PartStatus(PartState.DEGRADED, "the outbox cannot be written: see the log")
    bounds = settings.learning.outbox
    troubles = []
    if totals.dead:
        troubles.append(f"{totals.dead} records were set aside, since the store refuses them")
    if totals.records >= _NEARLY * bounds.max_records or totals.bytes >= _NEARLY * bounds.max_bytes:
        troubles.append(f"nearly full: {totals.records} records, {totals.bytes} bytes wait")
    age = 0.0 if totals.oldest is None else max(0.0, now - totals.oldest)
    if age > settings.health.max_outbox_age:
        troubles.append(f"{totals.records} records wait, the oldest for {age:.0f} s")
    if troubles:
        return PartStatus(PartState.DEGRADED, "; ".join(troubles))
    if not totals.records:
        return PartStatus(PartState.READY, "nothing waits")
    return PartStatus(PartState.READY, f"{totals.records} records wait, the oldest for {age:.0f} s")
