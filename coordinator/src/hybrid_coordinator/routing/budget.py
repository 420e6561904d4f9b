"""What was spent on this UTC day, remembered across restarts.

One small file, replaced atomically by a thread of its own so that no request
waits for a disk. What an answer costs is computed elsewhere; here it is only
added up.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from hybrid_coordinator.telemetry.metrics import Metrics

_DAY_SECONDS = 86_400.0

log = logging.getLogger(__name__)


def seconds_to_midnight(now: float) -> float:
    """Seconds from ``now`` (epoch) until the next UTC day begins."""
    return _DAY_SECONDS - now % _DAY_SECONDS


class SpendLedger:
    """The day's spending in US dollars.

    The file holds one day, so it never grows. After a crash it is behind by
    what was being written at that moment at most. A file that cannot be read
    or written is counted and logged once; the sum then lives in memory only.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        now: Callable[[], float] = time.time,
        metrics: Metrics | None = None,
    ) -> None:
        self._path = path
        self._now = now
        self._metrics = metrics
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._writer: ThreadPoolExecutor | None = None
        self._write_waiting = False
        self._complained = False
        self._day = self._today()
        self._spent = self._read(path) if path is not None else 0.0

    def add(self, usd: float) -> None:
        """Book ``usd``, the price of one answer. Does not block.

        Raises:
            ValueError: ``usd`` is negative or not finite.
        """
        if not math.isfinite(usd) or usd < 0.0:
            raise ValueError(f"a price of {usd} USD cannot be booked: it must be 0 or more")
        with self._lock:
            self._turn_day()
            self._spent += usd
            if self._path is None or usd == 0.0 or self._write_waiting:
                return
            self._write_waiting = True
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, thread_name_prefix="spend-ledger")
            self._writer.submit(self._write, self._path)

    def today(self) -> float:
        """US dollars spent since midnight UTC."""
        with self._lock:
            self._turn_day()
            return self._spent

    def close(self) -> None:
        """Wait until everything booked is in the file."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.shutdown(wait=True)

    def _today(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).date().isoformat()

    def _turn_day(self) -> None:
        day = self._today()
        if day != self._day:
            self._day, self._spent = day, 0.0

    def _read(self, path: Path) -> float:
        try:
            stored = json.loads(path.read_text("utf-8"))
            day, spent = str(stored["day"]), float(stored["spent_usd"])
        except FileNotFoundError:
            return 0.0
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._complain("read", error)
            return 0.0
        if day != self._day or not math.isfinite(spent) or spent < 0.0:
            return 0.0
        return spent

    def _write(self, path: Path) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with self._writing:
            with self._lock:
                self._write_waiting = False
                text = json.dumps({"day": self._day, "spent_usd": self._spent})
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_text(text, "utf-8")
                temporary.replace(path)
            except OSError as error:
                self._complain("written", error)

    def _complain(self, verb: str, error: Exception) -> None:
        if self._metrics is not None:
            self._metrics.failures.labels(room="routing", kind="spend_ledger").inc()
        if not self._complained:
            self._complained = True
            log.warning(
                "the spend ledger could not be %s; the daily budget counts from 0 after a restart",
                verb,
                extra={"path": str(self._path), "error": repr(error)},
            )
