"""Keeps the rolling store up with telemetry while the service runs, and answers for figures.

One look each interval, in a thread; a request is never waited for nor made to
wait. Whoever asks for figures has what was recorded until then counted first.
Figures go out as they are to the endpoint, to its stream, and to Prometheus. A
store that fails is logged once and counted, and tried again at the next look.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.reporting.assembly import Live, dashboard_data, no_data
from hybrid_coordinator.reporting.figures import DashboardData, Range
from hybrid_coordinator.reporting.samples import samples
from hybrid_coordinator.reporting.savings import Pricing
from hybrid_coordinator.reporting.store import ReportingStore
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.telemetry import Metrics, TelemetryWriter

_FLUSH: Final = 2.0
"""Seconds that recorded events may take to be in the files before figures go without them."""
_FRESH: Final = 1.0
"""Seconds for which what the parts said holds for the next who asks."""
_TOLD: Final = 30.0
"""Seconds between two times that Prometheus is told where nobody asks for figures."""
_PATIENCE: Final = 1.0
"""Seconds that figures wait for what is still to be counted; they say so where that is not all."""
_PAUSE: Final = 0.1
_RESTART: Final = 5.0

_NOT_RECORDED: Final = (
    "telemetry.enable is false: nothing is recorded that figures could be made of"
)
_BEHIND: Final = "what was recorded before is still being counted"

log = logging.getLogger(__name__)


class Reporter:
    """Figures under one set of settings. ``start`` it, ``stop`` it; ``figures`` works before too.

    ``live`` asks every part how it is and does not raise. ``now`` gives epoch
    seconds, ``clock`` monotonic ones.
    """

    def __init__(
        self,
        settings: Settings,
        store: ReportingStore,
        telemetry: TelemetryWriter,
        metrics: Metrics,
        live: Callable[[], Awaitable[Live]],
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = settings.reporting.interval
        self._recording = settings.telemetry.enable
        self._pricing = Pricing.of(settings)
        self._store = store
        self._telemetry = telemetry
        self._metrics = metrics
        self._ask = live
        self._now = now
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._counting = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._heard: tuple[float, Live] | None = None
        self._trouble = ""
        self._behind = False
        self._told: dict[Range, DashboardData] = {}
        self._tell_again = -math.inf

    def start(self) -> None:
        """Begin to count what is recorded."""
        self._task = asyncio.create_task(self._keep_up(), name="figures")

    async def stop(self) -> None:
        """End every stream, count what is left, and end."""
        self.end_streams()
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        # What is left then is counted at the next start.
        await self._count(_PATIENCE)

    def end_streams(self) -> None:
        """Let every stream end now: the service ends, or other settings are in force."""
        self._ending.set()

    async def figures(self, span: Range) -> DashboardData:
        """The figures of the last ``span`` until now. Works with every store down, and says so."""
        await self._count(_PATIENCE)
        data = await self._made(span)
        self._metrics.reporting.set(samples(self._told))
        return data

    async def _made(self, span: Range) -> DashboardData:
        """The figures from what is counted already."""
        live = await self._live()
        if not self._recording:
            return no_data(span, live, self._pricing, self._now(), _NOT_RECORDED)
        data = await asyncio.to_thread(
            dashboard_data,
            self._store,
            span,
            live,
            self._pricing,
            self._now(),
            trouble=self._trouble or (_BEHIND if self._behind else ""),
        )
        self._told[span] = data
        return data

    async def stream(self, span: Range) -> AsyncIterator[DashboardData]:
        """Figures at once and at each interval, until ``end_streams``."""
        while True:
            yield await self.figures(span)
            try:
                async with asyncio.timeout(self._interval):
                    await self._ending.wait()
            except TimeoutError:
                continue
            return

    async def _keep_up(self) -> None:
        while True:
            try:
                await self._look()
            except Exception as error:
                # A fault of ours ends no figures for good.
                self._metrics.failures.labels(room="reporting", kind=type(error).__name__).inc()
                log.exception("figures could not be made; they are tried again")
                await asyncio.sleep(_RESTART)
            await asyncio.sleep(self._interval)

    async def _look(self) -> None:
        await self._count()
        if self._clock() < self._tell_again:
            return
        self._tell_again = self._clock() + _TOLD
        for span in Range:
            await self._made(span)
        self._metrics.reporting.set(samples(self._told))
        try:
            await asyncio.to_thread(
                self._store.note_levels, self._now(), (await self._live()).levels()
            )
        except StoreUnavailable as error:
            self._failed(error)

    async def _count(self, longest: float = math.inf) -> None:
        """Count what was recorded before this call, as far as ``longest`` seconds suffice."""
        await asyncio.to_thread(self._telemetry.flush, _FLUSH)
        end = self._clock() + longest
        more = True
        try:
            while more and self._clock() < end:
                more = await self._count_some()
        except StoreUnavailable as error:
            self._failed(error)
            return
        self._behind = more
        self._works()

    async def _count_some(self) -> bool:
        async with self._counting:
            began = self._clock()
            more = await asyncio.to_thread(self._store.catch_up, self._now())
            took = self._clock() - began
        if more:
            # As long again for everything else: a first start may have a lot to count.
            await asyncio.sleep(min(_PAUSE, took))
        return more

    async def _live(self) -> Live:
        async with self._asking:
            if self._heard is None or self._clock() - self._heard[0] > _FRESH:
                self._heard = (self._clock(), await self._ask())
            return self._heard[1]

    def _failed(self, error: StoreUnavailable) -> None:
        self._metrics.failures.labels(room="reporting", kind=error.code).inc()
        if not self._trouble:
            log.error("figures are not counted at present: %s", error.message)
        self._trouble = error.message

    def _works(self) -> None:
        if self._trouble:
            log.warning("figures are counted again")
        self._trouble = ""
