"""The one line that ``systemctl status`` shows, and when it is written anew.

``describe`` makes it of backends and collections; ``StatusLine`` sends it
where it differs from the last, at most once a second. Not for readiness: that
is ``/ready`` with every part's detail.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from hybrid_coordinator.app import Application
from hybrid_coordinator.inference import BackendStatus
from hybrid_coordinator.knowledge import CollectionReport
from hybrid_coordinator.settings import Collection

LOOK_AGAIN: Final = 15.0
"""Seconds after which points are counted again: other coordinators may store, too."""

AT_MOST_EVERY: Final = 1.0

log = logging.getLogger(__name__)


def describe(
    backends: Iterable[BackendStatus], report: Mapping[Collection, CollectionReport]
) -> str:
    """``lemonade ✓ ollama – remote ✓, 5 collections, 12,304 points``; ✓ usable, – not."""
    statuses = list(backends)
    parts = [" ".join(f"{s.name} {'✓' if s.usable else '–'}" for s in statuses)]
    if not any(status.usable for status in statuses):
        parts.append("no backend can answer")
    sound = [state for state in report.values() if state.problem is None]
    if len(sound) == len(report):
        parts.append(f"{len(report)} collections")
    else:
        parts.append(f"{len(sound)} of {len(report)} collections")
    parts.append(f"{sum(state.points or 0 for state in sound):,} points")
    return ", ".join(parts)


class StatusLine:
    """Keeps the line true. ``send`` gets it; ``application`` gives the current one."""

    def __init__(
        self,
        send: Callable[[str], None],
        application: Callable[[], Application],
        failed: Callable[[], None],
    ) -> None:
        self._send = send
        self._application = application
        self._failed = failed
        self._notes: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._failing = False
        self.last = "ready"

    def note(self, kind: str, text: str | None) -> None:
        """Put a remark behind the line, or take it away."""
        if text is None:
            self._notes.pop(kind, None)
        else:
            self._notes[kind] = text
        self._changed.set()

    async def compose(self) -> str:
        """The line as it is now."""
        application = self._application()
        report = await application.knowledge.status()
        line = f"ready: {describe(application.fleet.statuses(), report)}"
        return "; ".join([line, *self._notes.values()])

    async def now(self) -> str:
        """The line as it is now; where it cannot be made, as it was."""
        try:
            self.last = await self.compose()
        except Exception:
            # No request waits for this line; the service goes on without a new one.
            self._failed()
            if not self._failing:
                log.exception("the status line could not be made")
            self._failing = True
        else:
            self._failing = False
        return self.last

    async def run(self) -> None:
        """Send the line whenever it changes, until cancelled."""
        while True:
            self._changed.clear()
            before = self.last
            if await self.now() != before:
                self._send(self.last)
            seen = _marks(self._application())
            await asyncio.sleep(AT_MOST_EVERY)
            await self._change(seen)

    async def _change(self, seen: tuple[tuple[str, bool], ...]) -> None:
        application = self._application()
        waiting = [
            asyncio.create_task(self._changed.wait()),
            asyncio.create_task(application.fleet.wait_for(lambda _: _marks(application) != seen)),
        ]
        try:
            await asyncio.wait(waiting, timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


def _marks(application: Application) -> tuple[tuple[str, bool], ...]:
    return tuple((status.name, status.usable) for status in application.fleet.statuses())
