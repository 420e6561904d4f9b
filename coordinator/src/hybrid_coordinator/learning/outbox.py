"""Accepted interactions and outcomes, on disk before they are acknowledged, until Qdrant has them.

A SQLite file in the state directory (``outbox_schema``), one thread that commits
for all who wait (``outbox_writer``). It also knows the last interactions that
were delivered, so that an outcome can be accepted while Qdrant is away. A
delivered record stays for some time (``KEPT_SECONDS``): Qdrant's files reach
the disk a little later, and after a loss of power it is delivered again. What
takes the records out is ``delivery``; what is promised is in ``docs/durability.md``.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.errors import OutboxFull, StoreUnavailable
from hybrid_coordinator.learning import outbox_rows as rows
from hybrid_coordinator.learning.outbox_records import (
    DeadRecord,
    Known,
    Record,
    Totals,
    content_digest,
)
from hybrid_coordinator.learning.outbox_schema import free_bytes, no_room, unavailable
from hybrid_coordinator.learning.outbox_writer import OutboxWriter
from hybrid_coordinator.learning.outcomes import check_posted
from hybrid_coordinator.learning.records import (
    OutcomeReceipt,
    OutcomeSource,
    PostedOutcome,
    Tracked,
)
from hybrid_coordinator.learning_settings import OutboxSettings, SignalsSettings
from hybrid_coordinator.telemetry.metrics import Metrics

__all__ = ["DeadRecord", "Known", "Outbox", "Record", "Totals", "content_digest"]

T = TypeVar("T")

KEPT_SECONDS: Final = 60.0
"""How long a delivered record stays: longer than the embedded store takes to flush (5 s), a
Qdrant server by default (5 s), and Linux to write what nobody flushed (30 s and 5 s)."""
_KEPT_SHARE: Final = 4
"""Delivered records take a quarter of the outbox's bounds at most; then the oldest go sooner."""
RESERVE: Final = 16 * 1024 * 1024
"""Bytes of the disk that no new record takes: letting go of delivered ones needs room too."""
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


def boot_id() -> str:
    """A name for this start of the machine; one of its own each time where Linux's is not there."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return str(uuid.uuid4())


class Outbox:
    """One file, one process. Every method that changes something returns once that is on disk.

    Any of them raises ``StoreUnavailable`` where the file cannot be written or
    read; nothing of what was asked for is then kept, and the next call may
    succeed. ``now`` gives epoch seconds, ``clock`` monotonic ones, ``boot`` a
    name for this start of the machine, ``free`` the bytes left on a folder's disk.
    """

    def __init__(
        self,
        path: Path,
        settings: OutboxSettings,
        metrics: Metrics,
        *,
        signals: SignalsSettings | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        boot: Callable[[], str] = boot_id,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._path = path
        self._settings = settings
        self._signals = signals or SignalsSettings()
        self._metrics = metrics
        self._now = now
        self._clock = clock
        self._boot = boot
        self._free = free
        self._kept: deque[tuple[float, int, int]] = deque()
        self._kept_bytes = 0
        self._keeping = asyncio.Lock()
        self._totals = Totals()
        self._filled = asyncio.Event()
        self._failing = False
        self.arrived = asyncio.Event()
        """Set when a record came in; whoever waits for the next one clears it."""
        self.delivering = asyncio.Lock()
        """Held by whoever is delivering, so that two cannot mix up the order."""
        self._writer = OutboxWriter(
            path,
            measure=rows.totals,
            measured=self._measured,
            seconds=metrics.learning.outbox_commit_seconds.observe,
        )

    async def start(self) -> None:
        """Open the file and start the thread.

        Raises:
            StoreUnavailable: it is in use, damaged, or of a newer version; the sentence names it.
        """
        await self._writer.start()
        boot = await asyncio.to_thread(self._boot)
        self._keep(await self._do(partial(rows.resume, boot=boot)))

    async def aclose(self) -> None:
        """Finish what is being written and close the file."""
        await self._writer.aclose()

    @property
    def depth(self) -> int:
        """Records that wait."""
        return self._totals.records

    @property
    def size_bytes(self) -> int:
        """Size of the records that wait."""
        return self._totals.bytes

    @property
    def oldest(self) -> float | None:
        """When the oldest waiting record was accepted, in epoch seconds; None for none."""
        return self._totals.oldest

    @property
    def totals(self) -> Totals:
        """All that is counted, as of the last transaction."""
        return self._totals

    @property
    def usable(self) -> bool:
        """Whether the file is open."""
        return self._writer.alive

    async def wait(self) -> None:
        """Wait until something is pending."""
        await self._filled.wait()

    async def accept_interaction(self, tracked: Tracked) -> bool:
        """Keep an interaction; False where the same one was kept before.

        Raises:
            Conflict: the id belongs to an interaction with other content.
            NotFound: the id was forgotten.
            OutboxFull: come back later.
        """
        known = Known.of(tracked)
        body = tracked.item.model_dump_json().encode()
        return await self._accept(
            lambda db: rows.add_interaction(db, known, body, self._settings, self._now())
        )

    async def accept_outcome(
        self, interaction_id: str, caller: Caller, posted: PostedOutcome
    ) -> OutcomeReceipt:
        """Keep a posted outcome.

        Raises:
            Unprocessable: it cannot mean anything.
            NotFound: the interaction is not known here, or is somebody else's.
            Conflict: something else was said before.
            OutboxFull: come back later.
        """
        check_posted(posted, self._signals)
        return await self._accept(
            lambda db: rows.add_outcome(
                db, interaction_id, caller, posted, self._signals, self._settings, self._now()
            )
        )

    async def accept_signal(
        self, interaction_id: str, source: OutcomeSource, weight: float
    ) -> bool:
        """Keep an implicit sign: ``weight`` is positive for a success, negative for a failure.

        False where it changes nothing or the interaction is not known.

        Raises:
            OutboxFull: it is not kept.
        """
        if weight == 0:
            return False
        return await self._accept(
            lambda db: rows.add_signal(
                db, interaction_id, source, weight, self._settings, self._now()
            )
        )

    async def adopt(self, known: Known) -> None:
        """Know an interaction that Qdrant has; one that is known or forgotten stays as it is."""
        await self._do(partial(rows.adopt, known=known, limits=self._settings))

    async def known(self, interaction_id: str) -> Known | None:
        """What is known of an interaction, if anything is."""
        return await self._do(partial(rows.find, interaction_id=interaction_id))

    async def pending(self, limit: int, without: Collection[str] = ()) -> list[Record]:
        """Waiting records, oldest first, but those of the interactions in ``without``."""
        return await self._do(partial(rows.waiting, limit=limit, without=without))

    async def pending_of(self, interaction_id: str) -> list[Record]:
        """Waiting records of one interaction, oldest first."""
        return await self._do(partial(rows.waiting_of, interaction_id=interaction_id))

    async def newest(self, limit: int, caller: str | None) -> list[Record]:
        """Waiting interactions, the last accepted first; of one caller, or with None of all."""
        return await self._do(partial(rows.newest_waiting, limit=limit, caller=caller))

    async def delivered(self, records: Sequence[Record]) -> None:
        """Qdrant has these: they wait no longer, and stay for some time."""
        sizes = [(record.seq, len(record.body)) for record in records]
        async with self._keeping:
            due = self._due(len(sizes), sum(size for _, size in sizes))

            def mark(db: sqlite3.Connection) -> None:
                rows.mark_delivered(db, [seq for seq, _ in sizes])
                rows.remove(db, due, self._settings)

            await self._do(mark)
            self._dropped(len(due))
            self._keep(sizes)

    async def let_go(self) -> None:
        """Drop delivered records that have stayed for long enough."""
        async with self._keeping:
            if due := self._due(0, 0):
                await self.done(due)
                self._dropped(len(due))

    async def done(self, seqs: Sequence[int]) -> None:
        """Drop records at once."""
        await self._do(partial(rows.remove, seqs=seqs, limits=self._settings))

    async def failed(self, seq: int) -> int:
        """Count a try that failed by what the record is; how many there were, 0 if it is gone."""
        return await self._do(partial(rows.add_attempt, seq=seq))

    async def dead(self, seq: int, why: str) -> None:
        """Set a record aside; it is kept, and takes up room, until it is revived or forgotten."""
        await self._do(lambda db: rows.bury(db, seq, why, self._now()))

    async def dead_records(self, limit: int) -> list[DeadRecord]:
        """Records set aside, oldest first."""
        return await self._do(partial(rows.buried, limit=limit))

    async def revive(self) -> int:
        """Let everything that was set aside wait again; of how many interactions that was."""
        return await self._do(lambda db: rows.revive(db, self._now()))

    async def forget(self, interaction_id: str) -> int:
        """Remove an interaction, refuse it from now on; how many rows there were."""
        return await self._do(lambda db: rows.forget(db, interaction_id, self._now()))

    async def forgotten(self, interaction_id: str) -> bool:
        """Whether an interaction was forgotten."""
        return await self._do(partial(rows.was_forgotten, interaction_id=interaction_id))

    async def prune(self, before: float) -> int:
        """Stop knowing delivered interactions whose timestamp is before that; how many.

        By number they are bounded without it.
        """
        pruned = 0
        while (count := await self._do(partial(rows.prune, before=before))) > 0:
            pruned += count
        return pruned

    def _keep(self, sizes: Sequence[tuple[int, int]]) -> None:
        now = self._clock()
        self._kept.extend((now, seq, size) for seq, size in sizes)
        self._kept_bytes += sum(size for _, size in sizes)

    def _due(self, records: int, size: int) -> list[int]:
        """The oldest kept ones that go now, so that so many more can be kept."""
        before = self._clock() - KEPT_SECONDS
        left = len(self._kept) + records
        left_bytes = self._kept_bytes + size
        due: list[int] = []
        for kept_at, seq, kept_size in self._kept:
            fits = (
                left <= self._settings.max_records // _KEPT_SHARE
                and left_bytes <= self._settings.max_bytes // _KEPT_SHARE
            )
            if kept_at > before and fits:
                break
            due.append(seq)
            left, left_bytes = left - 1, left_bytes - kept_size
        return due

    def _dropped(self, count: int) -> None:
        for _ in range(count):
            self._kept_bytes -= self._kept.popleft()[2]

    async def _accept(self, run: Callable[[sqlite3.Connection], T]) -> T:
        def run_with_room(db: sqlite3.Connection) -> T:
            try:
                free = self._free(self._path.parent)
            except OSError as error:
                raise unavailable(self._path, error) from error
            if free < RESERVE:
                raise no_room(self._path)
            return run(db)

        try:
            return await self._do(run_with_room)
        except OutboxFull:
            self._metrics.learning.outbox_refused.inc()
            raise

    async def _do(self, run: Callable[[sqlite3.Connection], T]) -> T:
        try:
            result = await self._writer.do(run)
        except StoreUnavailable as error:
            self._metrics.failures.labels(room="learning", kind="outbox").inc()
            if not self._failing:
                log.error("the outbox refuses: %s", error.message)
            self._failing = True
            raise
        self._failing = False
        return result

    def _measured(self, totals: Totals) -> None:
        if totals.last != self._totals.last:
            self.arrived.set()
        if totals.records:
            self._filled.set()
        else:
            self._filled.clear()
        self._totals = totals
        learning = self._metrics.learning
        learning.outbox_records.set(totals.records)
        learning.outbox_bytes.set(totals.bytes)
        learning.outbox_oldest_seconds.set(totals.oldest or 0.0)
