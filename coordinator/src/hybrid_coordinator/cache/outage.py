"""Whether a server is away: fail at once while it is, try again once a second, log each change.

Without it every request would wait for a time-out of its own. Not a retry: an operation that
failed has failed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from hybrid_coordinator.errors import StoreUnavailable

_log = logging.getLogger(__name__)


class Outage:
    """The state of one server as its failures and successes show it.

    Args:
        server: what messages call it.
        pause: seconds between two tries while it is away.
        clock: seconds, monotonic.
    """

    def __init__(
        self, server: str, *, pause: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._pause = pause
        self._clock = clock
        self._since: float | None = None
        self._next_try = 0.0
        self._refused: set[str] = set()

    @property
    def away(self) -> bool:
        """Whether the last operation could not reach the server."""
        return self._since is not None

    def admit(self) -> None:
        """Pass, or raise StoreUnavailable at once; while away one operation a pause may try."""
        if self._since is None:
            return
        now = self._clock()
        if now < self._next_try:
            raise StoreUnavailable(
                f"{self._server} is away and is tried again in {self._next_try - now:.1f} s.",
                retry_after=self._next_try - now,
            )
        self._next_try = now + self._pause

    def failed(self, error: BaseException) -> StoreUnavailable:
        """Note that the server could not be reached; returns the error to raise."""
        now = self._clock()
        self._next_try = now + self._pause
        reason = str(error) or type(error).__name__
        if self._since is None:
            self._since = now
            _log.warning(
                "%s is away (%s): requests are answered without the cache until it is back.",
                self._server,
                reason,
                extra={"event": "cache_away"},
            )
        return StoreUnavailable(
            f"{self._server} cannot be reached ({reason}): start it or check redis.url.",
            retry_after=self._pause,
        )

    def refused(self, operation: str, error: Exception) -> StoreUnavailable:
        """Note that the server answered and said no; returns the error to raise."""
        if operation not in self._refused:
            self._refused.add(operation)
            _log.warning(
                "%s refuses '%s' (%s): check its memory limit, its permissions and its version.",
                self._server,
                operation,
                error,
                extra={"event": "cache_refused", "operation": operation},
            )
        return StoreUnavailable(f"{self._server} refused '{operation}': {error}")

    def succeeded(self, operation: str) -> None:
        """Note that an operation went through."""
        if self._since is not None:
            _log.info(
                "%s is back after %.1f s.",
                self._server,
                self._clock() - self._since,
                extra={"event": "cache_back"},
            )
            self._since = None
        if operation in self._refused:
            self._refused.discard(operation)
            _log.info(
                "%s accepts '%s' again.",
                self._server,
                operation,
                extra={"event": "cache_accepted", "operation": operation},
            )
