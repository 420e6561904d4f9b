"""The server under the edge: sockets, event loop, limits, and an orderly end.

``build_server`` makes uvicorn's server for an application; ``open_sockets``
takes over what systemd passed on, or listens itself. What a connection may do
is in ``protocol``.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from hybrid_coordinator.api.protocol import ConnectionLimits, EdgeProtocol
from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.settings import Settings

WRITE_TIMEOUT: Final = 120.0
"""Seconds a client may leave its answer unread before the connection is cut."""

KEEP_ALIVE: Final = 75
"""Seconds an idle connection stays; longer than what clients' pools keep, so they close first."""

_FIRST_PASSED_FD: Final = 3  # sd_listen_fds(3)
_BACKLOG: Final = 2048
_NO_SUCH_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class CoordinatorServer(uvicorn.Server):
    """uvicorn's server; ``on_started`` is called once requests are accepted."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and self._on_started is not None:
            self._on_started()


def build_server(
    app: ASGIApp,
    settings: Settings,
    *,
    on_started: Callable[[], None] | None = None,
    write_timeout: float = WRITE_TIMEOUT,
) -> CoordinatorServer:
    """A server for ``app``; run it with ``await server.serve(sockets=open_sockets(settings))``.

    SIGTERM and SIGINT end it: no new connections, open answers get
    ``server.grace_period`` seconds, what is left then is told so and cancelled.
    """
    limits = ConnectionLimits(
        connections=settings.server.max_connections,
        request_timeout=settings.server.body_timeout,
        write_timeout=write_timeout,
    )
    config = uvicorn.Config(
        _quiet_at_the_end(app),
        loop="uvloop",
        http=EdgeProtocol.with_limits(limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(settings.server.grace_period),
    )
    return CoordinatorServer(config, on_started)


def open_sockets(
    settings: Settings, environment: Mapping[str, str] = os.environ, *, pid: int | None = None
) -> list[socket.socket]:
    """The listening sockets: systemd's (``LISTEN_FDS``), else one for each address of ``host``.

    Raises ``SettingsError`` where the address cannot be listened on.
    """
    passed = _passed_fds(environment, os.getpid() if pid is None else pid)
    if passed:
        return [_adopted(fd) for fd in passed]
    return _listen(settings.host, settings.port)


def _passed_fds(environment: Mapping[str, str], pid: int) -> Sequence[int]:
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(pid) or not count.isdigit():
        return ()
    return range(_FIRST_PASSED_FD, _FIRST_PASSED_FD + int(count))


def _adopted(fd: int) -> socket.socket:
    os.set_inheritable(fd, False)
    adopted = socket.socket(fileno=fd)
    adopted.setblocking(False)
    return adopted


def _listen(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except socket.gaierror as error:
        raise SettingsError(f"host '{host}' is no address of this machine: {error}.") from None
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
        # "localhost" with port 0 gets one port for both families.
        chosen = sockets[0].getsockname()[1] if sockets and port == 0 else port
        try:
            sockets.append(_bound(family, (address[0], chosen, *address[2:])))
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS:
                _close(sockets)
                raise _cannot_listen(host, port, error) from None
            failed = error  # A name may have an address of a family that is switched off.
    if not sockets and failed is not None:
        raise _cannot_listen(host, port, failed)
    return sockets


def _cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    return SettingsError(
        f"Cannot listen on {host}, port {port}: {error.strerror}. "
        "Stop what uses it, or set another host or port.",
        field="port",
    )


def _close(sockets: Sequence[socket.socket]) -> None:
    for opened in sockets:
        opened.close()


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _quiet_at_the_end(app: ASGIApp) -> ASGIApp:
    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            # Only the end of the grace period cancels, and the client was told by the edge;
            # uvicorn would log a traceback for each.
            if scope["type"] != "http":
                raise

    return quiet
