"""Single flight: of equal questions asked at the same time, one asks and the others wait.

The first to enter leads; the others are woken by its answer, take over one by one where it left
without any, and go on alone after a time limit. Per process: two coordinators may both ask. The
key says what equal means, and as it holds the caller, callers never share. Not a cache: an answer
outlives its flight by about a second only, for those who looked into the store just before it
was written there.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

from hybrid_coordinator.cache.entry import CacheEntry


class Turn(Enum):
    """How a request goes on that has no answer from another."""

    LEAD = "lead"
    ALONE = "alone"


_Outcome = CacheEntry | Turn


@dataclass
class _Group:
    """One flight: its outcome once known, and who waits, in order of arrival."""

    outcome: _Outcome | None = None
    waiters: dict[asyncio.Future[_Outcome], None] = field(default_factory=dict)

    def settle(self, outcome: _Outcome) -> None:
        """Let everybody go on with ``outcome``; only the first counts."""
        if self.outcome is None:
            self.outcome = outcome
            for waiter in self.waiters:
                if not waiter.done():
                    waiter.set_result(outcome)


class Flight:
    """One request's part in a flight.

    ``entry`` is the leader's answer, to be replayed; None means: ask the backend.
    """

    def __init__(self, entry: CacheEntry | None = None, group: _Group | None = None) -> None:
        self.entry = entry
        self._group = group

    @property
    def leads(self) -> bool:
        """Whether others may be waiting for this one's answer."""
        return self._group is not None

    def publish(self, entry: CacheEntry) -> None:
        """Give the answer to all who wait; without effect unless this one leads."""
        if self._group is not None:
            self._group.settle(entry)

    def disband(self) -> None:
        """Let all who wait go on alone: there is an answer, but it cannot be shared."""
        if self._group is not None:
            self._group.settle(Turn.ALONE)


class Flights:
    """The flights of one process; at most ``limit`` at once and ``limit`` waiting for each.

    Beyond that a request goes alone. ``linger`` is for how many seconds an answer is still
    given to late ones, ``on_wait`` is called for each request that waits.
    """

    def __init__(
        self,
        *,
        limit: int = 4096,
        linger: float = 1.0,
        lingering: int = 64,
        clock: Callable[[], float] = time.monotonic,
        on_wait: Callable[[], object] = lambda: None,
    ) -> None:
        self._limit = limit
        self._linger = linger
        self._lingering = lingering
        self._clock = clock
        self._on_wait = on_wait
        self._groups: dict[Hashable, _Group] = {}
        self._recent: OrderedDict[Hashable, tuple[float, CacheEntry]] = OrderedDict()

    @asynccontextmanager
    async def enter(self, key: Hashable | None, timeout: float) -> AsyncIterator[Flight]:
        """Lead the flight of ``key``, or wait up to ``timeout`` seconds for its answer.

        Without a key the request goes alone. A leader that leaves the block without having
        published or disbanded, by an error or by cancellation too, hands over to the next.
        """
        if key is None:
            yield Flight()
            return
        late = self._late(key)
        if late is not None:
            yield Flight(entry=late)
            return
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= self._limit:
                yield Flight()
                return
            group = self._groups[key] = _Group()
            outcome: _Outcome = Turn.LEAD
        else:
            outcome = await self._wait(key, group, timeout)
        if outcome is Turn.ALONE:
            yield Flight()
        elif isinstance(outcome, CacheEntry):
            yield Flight(entry=outcome)
        else:
            try:
                yield Flight(group=group)
            finally:
                self._leave(key, group)

    def forget(self) -> None:
        """Give no finished flight's answer any more: one of them was called wrong."""
        self._recent.clear()

    def __len__(self) -> int:
        return len(self._groups)

    def _late(self, key: Hashable) -> CacheEntry | None:
        recent = self._recent.get(key)
        if recent is None or recent[0] <= self._clock():
            return None
        return recent[1]

    async def _wait(self, key: Hashable, group: _Group, timeout: float) -> _Outcome:
        if group.outcome is not None:
            return group.outcome
        if len(group.waiters) >= self._limit:
            return Turn.ALONE
        self._on_wait()
        waiter: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        group.waiters[waiter] = None
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError:
            outcome = _result(waiter)
            return Turn.ALONE if outcome is None else outcome
        except asyncio.CancelledError:
            if _result(waiter) is Turn.LEAD:  # its turn came as it went away
                self._leave(key, group)
            raise
        finally:
            group.waiters.pop(waiter, None)

    def _leave(self, key: Hashable, group: _Group) -> None:
        """End the flight, or hand it to the first who still waits."""
        if group.outcome is None:
            for waiter in group.waiters:
                if not waiter.done():
                    waiter.set_result(Turn.LEAD)
                    return
        del self._groups[key]
        if isinstance(group.outcome, CacheEntry):
            self._recent[key] = (self._clock() + self._linger, group.outcome)
            self._recent.move_to_end(key)
            while len(self._recent) > self._lingering:
                self._recent.popitem(last=False)


def _result(waiter: asyncio.Future[_Outcome]) -> _Outcome | None:
    """What a waiter was given, None while it was not."""
    return waiter.result() if waiter.done() and not waiter.cancelled() else None
