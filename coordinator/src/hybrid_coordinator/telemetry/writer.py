"""Writes telemetry events as JSON lines, off the request's path.

``record`` appends an event to a bounded buffer and returns; one thread writes
whole lines with a single ``write`` each batch, a tenth of a second after the
first event came, and rotates by size. A line torn by
kill -9 is closed with a newline at the next start, so it costs one event and
never glues itself to the following one. Not for reading: see ``reader``.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.settings import TelemetrySettings
from hybrid_coordinator.telemetry.erasure import erase_events
from hybrid_coordinator.telemetry.events import Event
from hybrid_coordinator.telemetry.metrics import Metrics

CURRENT = "events.jsonl"
_BATCH = 256
_GATHER_SECONDS = 0.1
_ERASE_SECONDS = 600.0
"""Longest time to wait for the files to be rewritten; it takes about a second."""

log = logging.getLogger(__name__)


class _Line(NamedTuple):
    kind: str
    text: str


def rotated(directory: Path, number: int) -> Path:
    """The file that was current ``number`` rotations ago."""
    return directory / f"events.{number}.jsonl"


def event_files(directory: Path) -> list[Path]:
    """The event files there are, oldest first."""
    numbered = (path for path in directory.glob("events.*.jsonl") if path.suffixes[0][1:].isdigit())
    old = sorted(numbered, key=lambda path: -int(path.suffixes[0][1:]))
    current = directory / CURRENT
    return [*old, current] if current.exists() else old


class TelemetryWriter:
    """One writer a directory. Events beyond the queue are dropped and counted, never waited for."""

    def __init__(self, directory: Path, settings: TelemetrySettings, metrics: Metrics) -> None:
        self._directory = directory
        self._settings = settings
        self._metrics = metrics
        # Appending is atomic, so no request ever waits for the writing thread.
        self._waiting: deque[_Line | Callable[[], None]] = deque()
        self._erasures: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._file: int | None = None
        self._size = 0
        self._failing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the writing thread; does nothing where telemetry is switched off."""
        if self._settings.enable and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the writing thread runs, or none is wanted."""
        return self._thread is None or self._thread.is_alive()

    def record(self, event: Event) -> None:
        """Queue one event; never blocks and never raises."""
        if self._thread is None:
            return
        if len(self._waiting) >= self._settings.queue_size:
            self._metrics.telemetry_lost.labels(cause="queue_full").inc()
            return
        # Rendered here: a thread that computes for milliseconds would hold up every request.
        self._waiting.append(_Line(event.type, event.model_dump_json(exclude_none=True)))
        if not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything recorded before this call is written."""
        if self._thread is None:
            return True
        done = threading.Event()
        self._waiting.append(done.set)
        self._hurry.set()
        self._wake.set()
        return done.wait(timeout)

    def erase(self, ids: Collection[str]) -> int:
        """Remove every event of these interactions from the files; how many there were.

        Blocking: call it in a thread. What was recorded before is written
        first, so that nothing of theirs comes after; what is recorded
        meanwhile waits, and is written between two files. Raises
        ``StoreUnavailable`` where a file cannot be rewritten.
        """
        wanted = frozenset(ids)
        removed: Future[int] = Future()

        def erase_now() -> None:
            try:
                removed.set_result(self._erase(wanted))
            except OSError as error:
                removed.set_exception(
                    StoreUnavailable(
                        f"Telemetry could not be rewritten ({error.strerror or error}): check the "
                        f"disk of '{self._directory}'."
                    )
                )

        if self._thread is None:
            erase_now()
        else:
            self._waiting.append(lambda: self._erasures.append(erase_now))
            self._hurry.set()
            self._wake.set()
        try:
            return removed.result(_ERASE_SECONDS)
        except TimeoutError as error:
            raise StoreUnavailable("Telemetry is not being written: see the log.") from error

    def close(self) -> None:
        """Write what is waiting and end the thread."""
        if self._thread is None:
            return
        self._closing = True
        self._hurry.set()
        self._wake.set()
        self._thread.join()
        self._thread = None
        self._settle()  # what came while the thread was ending
        self._close_file()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            # Others come with the first: one write for all of them.
            self._hurry.wait(_GATHER_SECONDS)
            self._wake.clear()
            self._hurry.clear()
            # Only now: what was set before the clearing is seen here, what is set after it wakes.
            closing = self._closing
            self._settle()
            if closing:
                break
        self._close_file()

    def _settle(self) -> None:
        self._drain()
        # One after the other: an erasure that began inside another would move its files.
        while self._erasures:
            self._erasures.popleft()()

    def _close_file(self) -> None:
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None

    def _drain(self) -> None:
        batch: list[_Line] = []
        while self._waiting:
            item = self._waiting.popleft()
            if callable(item):
                self._write(batch)
                batch = []
                item()
                continue
            batch.append(item)
            if len(batch) >= _BATCH:
                self._write(batch)
                batch = []
        self._write(batch)

    def _write(self, batch: Sequence[_Line]) -> None:
        if not batch:
            return
        block = "".join(f"{line.text}\n" for line in batch).encode()
        try:
            self._open()
            if self._size and self._size + len(block) > self._settings.max_file_bytes:
                self._rotate()
            self._append(block)
        except OSError as error:
            self._metrics.telemetry_lost.labels(cause="write_failed").inc(len(batch))
            if not self._failing:
                self._failing = True
                log.error("telemetry cannot be written, events are lost: %s", error)
            self._abandon()
            return
        if self._failing:
            self._failing = False
            log.info("telemetry is written again")
        for kind, count in Counter(line.kind for line in batch).items():
            self._metrics.telemetry_events.labels(type=kind).inc(count)

    def _erase(self, ids: frozenset[str]) -> int:
        removed = 0
        # By what they are, not by name: between two of them the files may move on by one.
        for file in [path.stat().st_ino for path in event_files(self._directory)]:
            self._abandon()
            for path in event_files(self._directory):
                if path.stat().st_ino == file:
                    removed += erase_events(path, ids)
            self._drain()
        return removed

    def _append(self, block: bytes) -> None:
        assert self._file is not None  # noqa: S101 — _open ran just before
        rest = memoryview(block)
        while rest:
            written = os.write(self._file, rest)
            self._size += written
            rest = rest[written:]

    def _open(self) -> None:
        if self._file is not None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._directory / CURRENT, flags, 0o640)
        self._size = os.fstat(self._file).st_size
        if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
            self._append(b"\n")

    def _abandon(self) -> None:
        """Close after a failed write; opening again repairs a torn line."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _rotate(self) -> None:
        self._abandon()
        keep = self._settings.max_files - 1
        rotated(self._directory, keep).unlink(missing_ok=True)
        for number in range(keep - 1, 0, -1):
            older = rotated(self._directory, number)
            if older.exists():
                older.replace(rotated(self._directory, number + 1))
        current = self._directory / CURRENT
        if keep:
            current.replace(rotated(self._directory, 1))
        else:
            current.unlink()
        self._open()
