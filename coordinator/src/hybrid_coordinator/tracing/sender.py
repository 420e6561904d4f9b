"""A bounded queue and one thread that empties it in batches, so that no request waits for a send.

What does not fit, or is not taken, is dropped and counted; the first of a row
is logged. It knows nothing of what it sends.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from hybrid_coordinator.telemetry import Metrics

MAX_BATCH = 512
"""Spans in one delivery."""
LINGER = 0.5
"""Seconds the first span waits for company."""

Item = TypeVar("Item")

log = logging.getLogger(__name__)


class Sender(Generic[Item]):
    """``start()`` it before use, ``close()`` it at the end.

    ``deliver`` blocks and says whether the items were taken; it may raise.
    ``interrupt`` makes a ``deliver`` under way give up.
    """

    def __init__(
        self,
        deliver: Callable[[Sequence[Item]], bool],
        interrupt: Callable[[], None],
        *,
        capacity: int,
        metrics: Metrics,
        linger: float = LINGER,
    ) -> None:
        self._deliver = deliver
        self._interrupt = interrupt
        self._capacity = capacity
        self._metrics = metrics
        self._linger = linger
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._complained = False
        self._full = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over one item; returns at once."""
        with self._changed:
            fits = len(self._waiting) < self._capacity and not self._closing.is_set()
            if fits:
                self._waiting.append(item)
                self._changed.notify()
        if fits:
            self._full = False
            return
        closing = self._closing.is_set()
        self._dropped("closed" if closing else "queue_full", 1)
        if not self._full and not closing:
            self._full = True
            log.warning("spans are dropped: %d wait already to be sent", self._capacity)

    def close(self, patience: float) -> None:
        """Send what waits, for ``patience`` seconds at most; what is left is dropped."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join(patience)
        self._interrupt()
        self._thread.join(1.0)
        with self._changed:
            left = len(self._waiting)
            self._waiting.clear()
        self._dropped("closed", left)

    def _run(self) -> None:
        while batch := self._next():
            try:
                taken = self._deliver(batch)
            except Exception as error:  # noqa: BLE001 - counted and logged; the next is sent all the same
                self._complain(f"{type(error).__name__}: {error}")
                taken = False
            else:
                if not taken:
                    self._complain("see the collector's own log")
            if taken:
                self._complained = False
                self._metrics.spans_sent.inc(len(batch))
            else:
                self._dropped("export_failed", len(batch))

    def _next(self) -> list[Item]:
        """The next batch, once there is one; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
        self._closing.wait(self._linger)
        with self._changed:
            return [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            log.warning("the collector of traces did not take spans: %s", why)

    def _dropped(self, cause: str, count: int) -> None:
        self._metrics.spans_dropped.labels(cause=cause).inc(count)
