"""Takes records out of the outbox, oldest first, and hands them to where they belong.

Order per interaction is kept whatever fails: an outage stops everything until
it is over, a record that is itself at fault holds up its interaction only, and
is set aside after some tries. A record stops waiting after the sink has it, so
a kill in between hands it over again: sinks are idempotent. What is done with a
record is the sink's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from hybrid_coordinator.errors import (
    CollectionMismatch,
    EmbeddingError,
    HybridError,
    StoreUnavailable,
)
from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.outbox import Outbox, Record
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import Tracked
from hybrid_coordinator.learning_settings import OutboxSettings
from hybrid_coordinator.telemetry.metrics import Metrics

BATCH: Final = 32
"""Records taken together."""
BUSY_BATCH: Final = 8
"""The same while requests are under way, so that each step is short."""
TRIES: Final = 3
"""Tries after which a record that is itself at fault is set aside."""
FIRST_PAUSE: Final = 0.5
"""Seconds; the longest pause is ``learning.outbox.max_backoff``."""
_LET_GO_SECONDS: Final = 10.0
"""How often an idle outbox is looked through for delivered records whose time has come."""

_OUTAGES: Final = (StoreUnavailable, EmbeddingError, CollectionMismatch, OSError)
"""What is nobody's record's fault. Timeouts are among them: ``TimeoutError`` is an ``OSError``."""

log = logging.getLogger(__name__)

Pause = Callable[[asyncio.Event, float], Awaitable[None]]


class Sink(Protocol):
    """Where records go. Both methods may be called again with what they had before."""

    async def store(self, interactions: Sequence[Tracked]) -> None:
        """Keep interactions."""

    async def settle(self, interaction_id: str, caller: str, state: OutcomeState) -> None:
        """Keep how an interaction turned out, and do what follows from it."""


async def until(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, so many seconds at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Deliverer:
    """Delivers while ``run`` runs. Of several that share an outbox one works at a time.

    ``clock`` gives monotonic seconds, ``pause`` waits for an event with a limit,
    ``uniform`` is ``random.uniform``.
    """

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        settings: OutboxSettings,
        metrics: Metrics,
        activity: Activity,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Pause = until,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._settings = settings
        self._metrics = metrics
        self._activity = activity
        self._clock = clock
        self._pause = pause
        self._uniform = uniform
        self._turn = outbox.delivering
        self._woken = asyncio.Event()
        self._outages = 0
        self._held: dict[str, float] = {}

    @property
    def failing(self) -> bool:
        """Whether the last try to deliver met an outage."""
        return self._outages > 0

    def wake(self) -> None:
        """Try again now: what was away may be back."""
        self._woken.set()
        self._held.clear()
        self._outbox.arrived.set()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nothing is under way to the sink inside; for whoever removes what may be on its way."""
        async with self._turn:
            yield

    async def run(self) -> None:
        """Deliver what is pending and what comes; until cancelled.

        What was set aside before is tried once more: a new version, or new
        settings, may know what to do with it.
        """
        await self._revive()
        while True:
            await self._work()
            seconds = await self._round()
            if self._activity.active:
                await self._give_way(seconds)

    async def flush(self, timeout: float) -> None:
        """Deliver until nothing is pending, requests or not.

        Raises:
            StoreUnavailable: something is left after ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while self._outbox.depth:
                    await self._round()
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._outbox.depth} records could not be delivered in {timeout:g} s: "
                "see why Qdrant does not take them (/ready)",
                retry_after=self._settings.max_backoff,
            ) from None

    async def _work(self) -> None:
        """Wait for something to deliver; what was delivered is dropped when its time comes."""
        while self._outbox.totals.delivered:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LET_GO_SECONDS):
                    await self._outbox.wait()
                    return
            try:
                await self._outbox.let_go()
            except StoreUnavailable as error:
                log.info("delivered records stay a little longer", extra={"why": error.message})
        await self._outbox.wait()

    async def _round(self) -> float:
        """One batch, and the pause that has to be made before there can be another.

        Returns how long the batch took, in seconds.
        """
        self._outbox.arrived.clear()
        self._woken.clear()
        async with self._turn:
            began = self._clock()
            try:
                worked = await self._batch()
                outage = None
            except _OUTAGES as error:
                worked, outage = False, error
            seconds = self._clock() - began
        if outage is not None:
            await self._wait_out(outage)
            return seconds
        if worked and self._outages:
            log.info("records are delivered again")
            self._outages = 0
        if not worked and self._held:
            # What is left waits for its next try; what arrives need not.
            soonest = min(self._held.values()) - self._clock()
            await self._pause(self._outbox.arrived, max(0.0, soonest))
        return seconds

    async def _batch(self) -> bool:
        """Deliver the oldest records that may be; whether there were any.

        Raises:
            StoreUnavailable, EmbeddingError, CollectionMismatch, OSError: nothing can be now.
        """
        now = self._clock()
        self._held = {id_: until for id_, until in self._held.items() if until > now}
        limit = BUSY_BATCH if self._activity.active else BATCH
        records = await self._outbox.pending(limit, self._held)
        # An interaction comes before its outcomes, so a batch's interactions can go first.
        await self._store([record for record in records if record.kind == "interaction"])
        await self._settle([record for record in records if record.kind == "outcome"])
        return bool(records)

    async def _store(self, records: Sequence[Record]) -> None:
        if not records:
            return
        try:
            await self._sink.store([record.tracked() for record in records])
        except Exception as error:  # noqa: BLE001 - told apart below and in _failed
            if len(records) > 1 and (isinstance(error, EmbeddingError) or not _outage(error)):
                await self._store_each(records)
            else:
                await self._failed(records[0], error)
        else:
            await self._let_go(records)

    async def _store_each(self, records: Sequence[Record]) -> None:
        """Find out which of several is at fault."""
        stored: list[Record] = []
        not_embedded: list[tuple[Record, EmbeddingError]] = []
        try:
            for record in records:
                try:
                    await self._sink.store([record.tracked()])
                    stored.append(record)
                except EmbeddingError as error:
                    not_embedded.append((record, error))
                except Exception as error:  # noqa: BLE001 - told apart in _failed
                    await self._failed(record, error)
        finally:
            await self._let_go(stored)
        for record, failure in not_embedded:
            if not stored:
                raise failure
            # The embedder works: it is this text that it cannot embed.
            await self._fault(record, failure)

    async def _settle(self, records: Sequence[Record]) -> None:
        settled: list[Record] = []
        try:
            for record in records:
                if record.interaction_id in self._held:
                    continue
                try:
                    await self._sink.settle(record.interaction_id, record.caller, record.state())
                    settled.append(record)
                except Exception as error:  # noqa: BLE001 - told apart in _failed
                    await self._failed(record, error)
        finally:
            await self._let_go(settled)

    async def _let_go(self, records: Sequence[Record]) -> None:
        if not records:
            return
        await self._outbox.delivered(records)
        for record in records:
            self._metrics.learning.deliveries.labels(kind=record.kind, result="ok").inc()

    async def _failed(self, record: Record, error: Exception) -> None:
        """Raise what is an outage; what is not is the record's own fault."""
        if _outage(error):
            self._metrics.learning.deliveries.labels(kind=record.kind, result="retried").inc()
            raise error
        await self._fault(record, error)

    async def _fault(self, record: Record, error: Exception) -> None:
        """Hold up the record's interaction, or set the record aside after too many tries."""
        why = _why(error)
        self._metrics.failures.labels(room="learning", kind=type(error).__name__).inc()
        tries = await self._outbox.failed(record.seq)
        told = {"interaction_id": record.interaction_id, "kind": record.kind, "why": why}
        if tries < TRIES:
            self._held[record.interaction_id] = self._clock() + self._backoff(tries)
            self._metrics.learning.deliveries.labels(kind=record.kind, result="retried").inc()
            log.info("a record could not be delivered and is tried again", extra=told)
            return
        await self._outbox.dead(record.seq, why)
        self._metrics.learning.deliveries.labels(kind=record.kind, result="dead").inc()
        log.error("a record was set aside: it cannot be delivered", extra=told)

    async def _wait_out(self, error: Exception) -> None:
        self._outages += 1
        if self._outages == 1:
            log.warning(
                "records wait: they cannot be delivered at present", extra={"why": _why(error)}
            )
        await self._pause(self._woken, self._backoff(self._outages))

    def _backoff(self, failures: int) -> float:
        """Seconds before the next try.

        Exponential with equal jitter: M. Brooker, "Exponential Backoff And
        Jitter" (AWS Architecture Blog, 2015).
        """
        bound = min(self._settings.max_backoff, FIRST_PAUSE * 2.0 ** min(failures - 1, 32))
        return self._uniform(bound / 2, bound)

    async def _give_way(self, seconds: float) -> None:
        """Leave the machine to requests: as long as the last batch took, or until all is quiet."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._activity.idle(0.0)

    async def _revive(self) -> None:
        try:
            revived = await self._outbox.revive()
        except StoreUnavailable as error:
            log.warning("records set aside are left so", extra={"why": error.message})
            return
        if revived:
            log.info("records set aside are tried once more", extra={"interactions": revived})


def _outage(error: Exception) -> bool:
    return isinstance(error, _OUTAGES)


def _why(error: Exception) -> str:
    """What went wrong, without content: an error of ours says none, others may."""
    if isinstance(error, HybridError):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
