"""The one thread that works with the outbox's file, and commits for all who wait together.

Whatever is waiting when the thread is free goes into one transaction with one
fsync; nobody hears of success before COMMIT has returned. What the work does is
in ``outbox_rows``.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from hybrid_coordinator.errors import OutboxFull, StoreUnavailable
from hybrid_coordinator.learning.outbox_schema import opened, unavailable

T = TypeVar("T")
M = TypeVar("M")

MAX_TOGETHER: Final = 256
"""Pieces of work in one transaction at most."""
MAX_WAITING: Final = 4_096
"""Pieces of work that may wait for the thread; more are refused."""
IDLE: Final = 2.0
"""Seconds of nothing to do after which the log is read back into the file and emptied."""
_RETRY_AFTER: Final = 1.0


@dataclass(eq=False, slots=True)
class _Work:
    run: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]
    handed: float = field(default_factory=time.perf_counter)
    result: Any = None
    error: BaseException | None = None


class OutboxWriter(Generic[M]):
    """Runs functions on the file's connection, each whole or not at all.

    ``measure`` reads what the owner wants to know at the end of each
    transaction; ``measured`` is given it on the loop once that is on disk, and
    before those who wait are told.
    ``seconds``: the time one piece of work took from being handed over until it
    was on disk.
    """

    def __init__(
        self,
        path: Path,
        *,
        measure: Callable[[sqlite3.Connection], M],
        measured: Callable[[M], None],
        seconds: Callable[[float], None],
    ) -> None:
        self._path = path
        self._measure = measure
        self._measured = measured
        self._seconds = seconds
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    async def start(self) -> None:
        """Open the file and start the thread.

        Raises:
            StoreUnavailable: the file cannot be used; the sentence names it.
        """
        self._loop = asyncio.get_running_loop()
        db = await asyncio.to_thread(opened, self._path)
        self._measured(self._measure(db))
        self._thread = threading.Thread(target=self._run, args=(db,), name="outbox", daemon=True)
        self._thread.start()

    async def aclose(self) -> None:
        """Finish what is waiting and close the file."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._waiting.put(None)
        await asyncio.to_thread(thread.join)

    async def do(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in a transaction and return once that is on disk.

        An error that the function raises undoes what it did and nothing else.

        Raises:
            StoreUnavailable: the file could not be written (a full disk, say), or is closed.
            OutboxFull: too much is waiting for the disk.
        """
        if not self.alive or self._loop is None:
            raise StoreUnavailable(f"the outbox ({self._path}) is not open", retry_after=5.0)
        if self._waiting.qsize() >= MAX_WAITING:
            raise OutboxFull(
                "the disk of the outbox does not keep up: send it again later",
                retry_after=_RETRY_AFTER,
            )
        work = _Work(run, self._loop.create_future())
        self._waiting.put(work)
        result: T = await work.done
        return result

    def _run(self, db: sqlite3.Connection) -> None:
        try:
            while (first := self._next(db)) is not None:
                batch, last = self._gathered(first)
                self._perform(db, batch)
                if last:
                    break
        finally:
            db.close()
            self._refuse_rest()

    def _next(self, db: sqlite3.Connection) -> _Work | None:
        """The next piece of work, None at the end; a pause before it is used for the log."""
        try:
            return self._waiting.get(timeout=IDLE)
        except queue.Empty:
            _empty_log(db)
            return self._waiting.get()

    def _gathered(self, first: _Work) -> tuple[list[_Work], bool]:
        """What waits with the first, and whether the end came after it."""
        batch = [first]
        while len(batch) < MAX_TOGETHER:
            try:
                work = self._waiting.get_nowait()
            except queue.Empty:
                break
            if work is None:
                return batch, True
            batch.append(work)
        return batch, False

    def _perform(self, db: sqlite3.Connection, batch: Sequence[_Work]) -> None:
        measure = self._together(db, batch)
        if measure is None and len(batch) > 1:
            # One that does not fit on the disk is no reason to refuse those that do.
            for work in batch:
                measure = self._together(db, [work]) or measure
        finished = time.perf_counter()
        for work in batch:
            self._seconds(finished - work.handed)
        self._tell(batch, measure)

    def _tell(self, batch: Sequence[_Work], measure: M | None) -> None:
        assert self._loop is not None  # noqa: S101 - start() set it before the thread began
        # RuntimeError: the loop is closed, and nobody is left who could be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._told, batch, measure)

    def _told(self, batch: Sequence[_Work], measure: M | None) -> None:
        if measure is not None:
            self._measured(measure)
        for work in batch:
            if work.done.done():
                continue  # who asked has left; what was asked for is done all the same
            if work.error is None:
                work.done.set_result(work.result)
            else:
                work.done.set_exception(work.error)

    def _refuse_rest(self) -> None:
        """Nobody waits for a thread that has ended."""
        rest: list[_Work] = []
        while not self._waiting.empty():
            work = self._waiting.get()
            if work is not None:
                work.error = StoreUnavailable(f"the outbox ({self._path}) is closed")
                rest.append(work)
        self._tell(rest, None)

    def _together(self, db: sqlite3.Connection, batch: Sequence[_Work]) -> M | None:
        """One transaction; None, and nothing done, where the file could not be written."""
        try:
            db.execute("BEGIN IMMEDIATE")
            for work in batch:
                _attempt(db, work)
            measure = self._measure(db)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            _undo(db)
            for work in batch:
                work.result, work.error = None, unavailable(self._path, error)
            return None
        return measure


def _attempt(db: sqlite3.Connection, work: _Work) -> None:
    """Run one piece of work so that its own error leaves the others' alone.

    Raises:
        sqlite3.Error: the file's error, which is everybody's.
    """
    work.result = work.error = None
    db.execute("SAVEPOINT work")
    try:
        work.result = work.run(db)
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the one who asked
        db.execute("ROLLBACK TO work")
        work.error = error
    db.execute("RELEASE work")


def _undo(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")
    _empty_log(db)


def _empty_log(db: sqlite3.Connection) -> None:
    """Put what is in the log into the file: there is room on the disk again, and no trace left.

    Where that fails the log is only longer; the next transaction says what is wrong.
    """
    with contextlib.suppress(sqlite3.Error):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
