"""Settings and keys read again while requests are served.

Everything that can fail is done before anything is changed, so a wrong file
leaves the service as it was. When a reload is asked for, and who is told of
it, is decided in ``run``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybrid_coordinator.api import (
    CoordinatorServer,
    KeyRing,
    Sessions,
    build_app,
    refuse_open_door,
)
from hybrid_coordinator.app import Application
from hybrid_coordinator.configuration import NIX_PATH, read_secret
from hybrid_coordinator.inference import Fleet
from hybrid_coordinator.operator_key import operator_key
from hybrid_coordinator.service.options import applicable, differences
from hybrid_coordinator.service.switchboard import Switchboard
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.telemetry.logs import set_level

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload changed, and what of the new settings waits for a restart."""

    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def keys_of(settings: Settings) -> KeyRing:
    """The API keys as they are in their file now.

    Raises:
        SettingsError: it cannot be read, or a line is no key.
    """
    if settings.api_keys_file is None:
        return KeyRing()
    keys = read_secret(settings.api_keys_file, option="api_keys_file")
    return KeyRing(keys, operator=operator_key(settings.state_directory))


class Reloader:
    """Owns the current application, and those before it until their last request has ended."""

    def __init__(
        self,
        load: Callable[[], Settings],
        application: Application,
        switchboard: Switchboard,
        server: CoordinatorServer,
        sockets: Sequence[socket.socket],
        sessions: Sessions,
    ) -> None:
        self.application = application
        self._load = load
        self._switchboard = switchboard
        self._server = server
        self._sockets = sockets
        self._sessions = sessions
        self._leaving: dict[asyncio.Task[None], Fleet] = {}

    async def reload(self) -> Reloaded:
        """Read everything again and put it in force.

        Raises:
            HybridError: why it cannot be; all is as it was.
        """
        before = self.application
        wanted = await asyncio.to_thread(self._load)
        settings = applicable(before.settings, wanted)
        refuse_open_door(settings, self._sockets)
        keys = await asyncio.to_thread(keys_of, settings)
        application = await before.under(settings)
        edge = build_app(application.coordinator, settings, keys, sessions=self._sessions)
        # Nothing below can fail.
        done = self._switchboard.switch(edge)
        self.application = application
        self._server.apply(settings.server)
        set_level(settings.log_level)
        before.fleet.hand_over(application.fleet)
        await before.stop()
        application.start()
        leaving = asyncio.create_task(_close_after(done, before.fleet), name="old backends")
        self._leaving[leaving] = before.fleet
        leaving.add_done_callback(self._leaving.pop)
        waiting = tuple(differences(settings, wanted))
        for option in waiting:
            log.warning(
                "%s.%s was changed: it takes effect when the service is restarted",
                NIX_PATH,
                option,
            )
        return Reloaded(tuple(differences(before.settings, settings)), waiting)

    async def aclose(self) -> None:
        """End what goes on in order and close every backend, also of requests that did not end."""
        await self.application.stop()
        leaving = dict(self._leaving)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        for fleet in (*leaving.values(), self.application.fleet):
            await fleet.aclose()


async def _close_after(done: asyncio.Event, fleet: Fleet) -> None:
    await done.wait()
    await fleet.aclose()
