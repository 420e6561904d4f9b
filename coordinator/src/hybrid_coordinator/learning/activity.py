"""Whether the coordinator is busy with requests, so that learning can keep out of their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Activity:
    """Counts the requests under way; everything here belongs to one event loop.

    ``clock`` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._active = 0
        self._since = clock()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._busy = asyncio.Event()

    @property
    def active(self) -> int:
        """Requests under way."""
        return self._active

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request is under way inside."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        """A request has begun."""
        self._active += 1
        self._quiet.clear()
        self._busy.set()

    def end(self) -> None:
        """A request has ended."""
        self._active -= 1
        if self._active == 0:
            self._since = self._clock()
            self._busy.clear()
            self._quiet.set()

    async def idle(self, seconds: float) -> None:
        """Wait until there has been no request for so long."""
        while True:
            await self._quiet.wait()
            left = seconds - (self._clock() - self._since)
            if left <= 0:
                return
            try:
                # A request in between begins the time anew.
                async with asyncio.timeout(left):
                    await self._busy.wait()
            except TimeoutError:
                continue

    async def busy(self) -> None:
        """Wait until a request is under way."""
        await self._busy.wait()
