"""A circuit breaker: after some failures in a row a backend is left alone for a while.

States and names are those of M. Nygard, "Release It!" (closed, open,
half-open). Written here because the library nixpkgs has (pybreaker 1.4)
reads the wall clock itself, lets any number of calls through while half-open,
and holds a thread lock across an await. For one event loop; not thread-safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """What a breaker does with the next request."""

    CLOSED = "closed"
    """Lets it through."""
    OPEN = "open"
    """Turns it away."""
    HALF_OPEN = "half_open"
    """Lets one through as a trial and turns the others away."""


class Breaker:
    """Opens after ``failures`` in a row, and admits one trial ``reset`` seconds later.

    An ``admit()`` that took the trial must be followed by ``begun``,
    ``succeeded``, ``failed`` or ``abandoned``.
    """

    def __init__(
        self, failures: int, reset: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._reset = reset
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._trial = False

    @property
    def state(self) -> BreakerState:
        if self._opened is None:
            return BreakerState.CLOSED
        if self._trial or self.remaining > 0.0:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    @property
    def remaining(self) -> float:
        """Seconds until a trial is due; 0 where one is, or where the breaker is closed."""
        if self._opened is None:
            return 0.0
        return max(0.0, self._opened + self._reset - self._clock())

    def admit(self) -> bool:
        """Whether a request may go now; takes the one trial of a half-open breaker."""
        if self._opened is None:
            return True
        if self.state is BreakerState.OPEN:
            return False
        self._trial = True
        return True

    def begun(self) -> None:
        """An answer has begun, which is all a trial has to show; it may still fail to end."""
        if self._trial:
            self.succeeded()

    def trial_due(self) -> None:
        """Something else (a probe) saw the backend well: do not wait for the reset."""
        if self._opened is not None:
            self._opened = self._clock() - self._reset

    def succeeded(self) -> None:
        """The backend answered, be it with a refusal of the request: close."""
        self._failures = 0
        self._opened = None
        self._trial = False

    def failed(self) -> None:
        """The backend failed: count, open at the limit, open again after a failed trial."""
        self._failures += 1
        if self._trial or self._failures >= self._limit:
            self._opened = self._clock()
        self._trial = False

    def abandoned(self) -> None:
        """The request ended without saying anything about the backend (it was cancelled)."""
        self._trial = False
