"""Signs of life for systemd's watchdog, given only while the process is found sound.

The check asks the server's own protocol and application for ``/health``, and
sees that the threads everything depends on still run. A loop that stands still
gives no sign at all. What is done about it is systemd's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from hybrid_coordinator.api import CoordinatorServer
from hybrid_coordinator.app import Rooms

log = logging.getLogger(__name__)


class Unsound(Exception):
    """The process cannot do its work and will not recover; the text says what is wrong."""


async def check(server: CoordinatorServer, rooms: Rooms, limit: float) -> None:
    """See that the process can answer, within ``limit`` seconds.

    Raises:
        Unsound: a part has ended that nothing starts again.
        OSError: the server gave no answer to itself.
        TimeoutError: not in time.
    """
    if not server.is_listening and not server.server_state.draining:
        raise Unsound("the server no longer listens")
    if not rooms.telemetry.alive:
        raise Unsound("the thread that writes telemetry has ended")
    if not rooms.stores.embedder.alive:
        raise Unsound("the thread that embeds texts has ended")
    await server.ask_itself(limit)


class Watchdog:
    """Calls ``check`` every ``interval`` seconds, and ``feed`` where it passes.

    ``failed`` is called for every check that fails; ``changed`` with the
    problem where one begins, and with None where it ends.
    """

    def __init__(
        self,
        check: Callable[[float], Awaitable[None]],
        *,
        feed: Callable[[], None],
        interval: float,
        failed: Callable[[], None],
        changed: Callable[[str | None], None],
    ) -> None:
        self._check = check
        self._feed = feed
        self._interval = interval
        self._failed = failed
        self._changed = changed
        self._problem: str | None = None

    async def run(self) -> None:
        """Check and feed until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(self._interval)

    async def once(self) -> None:
        """One check."""
        try:
            await self._check(self._interval)
        except TimeoutError:
            self._note(f"no answer to the self-check within {self._interval:g} s")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the check found
            self._note(str(error) or type(error).__name__)
        else:
            self._note(None)
            self._feed()

    def _note(self, problem: str | None) -> None:
        if problem is not None:
            self._failed()
        before, self._problem = self._problem, problem
        if problem == before:
            return
        if problem is None:
            log.info("the self-check passes again")
        else:
            log.error("the self-check failed, the watchdog is not fed: %s", problem)
        self._changed(problem)
