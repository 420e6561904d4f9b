"""What systemd is told about this process: sd_notify's datagrams, and what it asks for in turn.

Written here since the ``sdnotify`` package encodes as Latin-1 and drops what
does not fit, a status with a check mark for one. Where there is no
``NOTIFY_SOCKET`` nothing is sent. When to say what is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

SEND_TIMEOUT: Final = 1.0
"""Seconds that systemd may leave its socket unread; it is told again at the next occasion."""

EXTENSION: Final = 30.0
"""Seconds asked for at a time while a start goes on; asked for anew three times as often."""

LONGEST_START: Final = 900.0
"""Seconds after which no more time is asked for: by then something hangs."""

log = logging.getLogger(__name__)


class Notifier:
    """Sends to systemd. A message that cannot be sent is counted, and logged once."""

    def __init__(self, address: str | None, failed: Callable[[], None] = lambda: None) -> None:
        self._address = _socket_address(address)
        self._failed = failed
        self._failing = False

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to tell."""
        return self._address is not None

    def starting(self, what: str) -> None:
        """What the start waits for."""
        self.status(f"starting: {what}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(_status(text))

    def ready(self, text: str) -> None:
        """Started, or reloaded."""
        self._send("READY=1", _status(text))

    def reloading(self) -> None:
        """A reload begins; systemd tells by the clock that it came after its signal."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", _status("reloading"))

    def stopping(self, text: str, seconds: float) -> None:
        """The end begins and may take so long."""
        self._send("STOPPING=1", _status(text), _extension(seconds))

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    @contextlib.asynccontextmanager
    async def more_time(self, longest: float = LONGEST_START) -> AsyncIterator[None]:
        """Ask for more time again and again, as long as the loop runs and the block goes on."""
        asking = asyncio.create_task(self._ask_for_time(longest), name="ask systemd for time")
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _ask_for_time(self, longest: float) -> None:
        started = time.monotonic()
        while self.is_heard and time.monotonic() - started < longest:
            self._send(_extension(EXTENSION))
            await asyncio.sleep(EXTENSION / 3)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.settimeout(SEND_TIMEOUT)
                sending.connect(self._address)
                sending.sendall("\n".join(lines).encode())
        except OSError as error:
            self._failed()
            if not self._failing:
                log.warning("systemd cannot be told how this service is: %s", error)
            self._failing = True
        else:
            self._failing = False


def watchdog_interval(
    environment: Mapping[str, str] = os.environ, pid: int | None = None
) -> float | None:
    """Seconds between two signs of life: a third of what systemd allows; None where it wants none.

    ``WATCHDOG_PID`` names whom it means; another process's child is not asked.
    """
    allowed = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID")
    if meant is not None and meant != str(os.getpid() if pid is None else pid):
        return None
    if not allowed.isdigit() or int(allowed) == 0:
        return None
    return int(allowed) / 3_000_000


def _socket_address(address: str | None) -> str | None:
    if not address:
        return None
    if address.startswith("@"):
        return "\0" + address[1:]
    if address.startswith("/"):
        return address
    log.warning("NOTIFY_SOCKET is '%s', which is no UNIX socket: systemd is told nothing", address)
    return None


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())


def _extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"
