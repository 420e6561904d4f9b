"""When the extraction queue is worked on: while the service is idle, and when the timer says so.

One entry at a time in a process. While the service is idle (``run``) a request
that comes in ends the work on an entry, which then waits again; the timer's
job (``drain``) works through. Both wait for nothing that can be told to them.
What is done with an entry is in ``extraction``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from hybrid_coordinator.errors import Conflict, EmbeddingError, StoreUnavailable
from hybrid_coordinator.inference import Fleet
from hybrid_coordinator.knowledge import Knowledge
from hybrid_coordinator.knowledge.store import Filter
from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.extraction import NoLocalModel, PatternExtractor, Result
from hybrid_coordinator.learning.patterns import PatternShelf
from hybrid_coordinator.learning.queue import ExtractionQueue
from hybrid_coordinator.learning.records import ExtractionReport, QueuedExtraction
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics

_HISTORY: Final = Collection.INTERACTION_HISTORY

_LEASE_MARGIN: Final = 60.0
"""Seconds that storing may take, beside the answer's time limit."""
_LOST_EVERY: Final = 3_600.0
"""Seconds between two looks for interactions that the queue lost."""
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
"""Seconds, doubled with each failure of a store, which tells nobody when it is back."""

log = logging.getLogger(__name__)


class ExtractionWorker:
    """Works on the queue. ``now``: epoch seconds; ``clock``: monotonic ones."""

    def __init__(
        self,
        queue: ExtractionQueue,
        extractor: PatternExtractor,
        shelf: PatternShelf,
        fleet: Fleet,
        knowledge: Knowledge,
        activity: Activity,
        settings: LearningSettings,
        metrics: Metrics,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._extractor = extractor
        self._shelf = shelf
        self._fleet = fleet
        self._knowledge = knowledge
        self._activity = activity
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._draining = False
        self._looked: float | None = None
        self._lease = settings.extraction.timeout + _LEASE_MARGIN

    async def run(self) -> None:
        """Work on the queue whenever there is nothing else to do; returns where that is off."""
        if not (self._settings.pattern_extraction_enabled and self._settings.extraction.in_service):
            return
        pause = _PAUSE
        while True:
            try:
                await self._find_lost()
                await self._chance()
                # Nobody is told why a model that is ready does not answer: busy, say.
                if not await self._one_while_idle():
                    await self._sleep(_PAUSE)
                pause = _PAUSE
            except (StoreUnavailable, EmbeddingError) as error:
                self._metrics.failures.labels(room="learning", kind=error.code).inc()
                if pause == _PAUSE:
                    log.warning("extraction waits: %s", error.message)
                await self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def drain(self, limit: int | None = None) -> ExtractionReport:
        """Work through what waits, ``limit`` answers at most, whatever else is going on.

        Also brings the learned items' status up to date. Raises ``Conflict``
        where that is being done already, ``StoreUnavailable``, ``EmbeddingError``.
        """
        if self._draining:
            raise Conflict("Patterns are being extracted already: wait for that run to end.")
        self._draining = True
        try:
            async with self._turn:
                done, reason = await self._work(limit)
            retired = await self._shelf.sweep()
        finally:
            self._draining = False
        return ExtractionReport(
            processed=sum(done.values()),
            stored=done["stored"],
            merged=done["merged"],
            nothing=done["nothing"],
            failed=done["rejected"],
            dead=done["dead"],
            waiting=(await self._queue.depth()).waiting,
            retired=retired,
            reason=reason,
        )

    async def _work(self, limit: int | None) -> tuple[Counter[Result], str]:
        """How often each result came, and why it ended before the queue was empty."""
        done: Counter[Result] = Counter()
        if not self._settings.pattern_extraction_enabled:
            return done, "Extraction is switched off (learning.pattern_extraction_enabled)."
        await self._find_lost(now=True)
        while limit is None or done.total() < limit:
            entry = await self._queue.claim(self._lease)
            if entry is None:
                return done, ""
            try:
                done[await self._settled(entry)] += 1
            except NoLocalModel as error:
                return done, error.message
        waiting = (await self._queue.depth()).waiting
        return done, f"The limit of {limit} is reached." if waiting else ""

    async def _chance(self) -> None:
        """Until something waits, a local model is ready, and the service has been idle."""
        await self._queue.wait()
        await self._fleet.wait_for(lambda statuses: bool(self._extractor.candidates(statuses)))
        await self._activity.idle(self._settings.extraction.idle)

    async def _one_while_idle(self) -> bool:
        """Work on one entry until a request comes in; False where a model was ready and is not."""
        async with self._turn:
            if self._activity.active:
                return True
            entry = await self._queue.claim(self._lease)
            if entry is None:
                return True
            working = asyncio.create_task(self._settled(entry), name="extraction")
            busy = asyncio.create_task(self._activity.busy())
            try:
                await asyncio.wait((working, busy), return_when=asyncio.FIRST_COMPLETED)
            finally:
                busy.cancel()
                working.cancel()
                await asyncio.wait((working,))
        if working.cancelled():
            return True
        try:
            working.result()
        except NoLocalModel:
            return False
        return True

    async def _settled(self, entry: QueuedExtraction) -> Result:
        """Work on a claimed entry; however that ends, the entry is not left claimed."""
        try:
            result = await self._extractor.extract(entry)
        except BaseException:
            # If the queue is away as well, the lease runs out.
            with suppress(StoreUnavailable):
                await asyncio.shield(self._queue.release(entry))
            raise
        await self._queue.depth()
        return result

    async def _find_lost(self, *, now: bool = False) -> None:
        """Put in again what says that it waits and is held by no queue."""
        clock = self._clock()
        if not now and self._looked is not None and clock - self._looked < _LOST_EVERY:
            return
        store = await self._knowledge.opened()
        where = Filter(any_of={"extraction": ("queued",)})
        after: str | None = None
        found = 0
        while True:
            page = await store.scroll(_HISTORY, where, after=after)
            for point in page.points:
                score = point.payload.get("value_score")
                found += await self._queue.restore(
                    QueuedExtraction(
                        point.id,
                        str(point.payload.get("caller", "")),
                        float(score) if isinstance(score, int | float) else 0.0,
                        self._now(),
                    )
                )
            after = page.next
            if after is None:
                break
        self._looked = clock
        if found:
            log.info("interactions that had lost their place in the queue: %d", found)
