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
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from hybrid_coordinator.api.protocol import ConnectionLimits, EdgeProtocol, EdgeState
from hybrid_coordinator.errors import ResourceBusy, SettingsError
from hybrid_coordinator.settings import LOOPBACK_HOSTS, ServerSettings, Settings

WRITE_TIMEOUT: Final = 120.0
"""Seconds a client may leave its answer unread before the connection is cut."""

KEEP_ALIVE: Final = 75
"""Seconds an idle connection stays; longer than what clients' pools keep, so they close first."""

_FIRST_PASSED_FD: Final = 3  # sd_listen_fds(3)
_BACKLOG: Final = 2048
_HEALTH: Final = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
_NO_SUCH_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class CoordinatorServer(uvicorn.Server):
    """uvicorn's server.

    Attributes:
        on_started: called once requests are accepted.
        on_stopping: called when the end begins, with the number of answers that are open.
    """

    def __init__(
        self, config: uvicorn.Config, on_started: Callable[[], None] | None = None
    ) -> None:
        super().__init__(config)
        self.server_state: EdgeState = EdgeState()
        self.on_started = on_started
        self.on_stopping: Callable[[int], None] | None = None

    @property
    def is_listening(self) -> bool:
        """Whether every socket accepts connections."""
        return self.started and all(listening.is_serving() for listening in self.servers)

    def apply(self, server: ServerSettings) -> None:
        """Other limits, for connections from now on; another grace period."""
        limits = _limits(server, self._protocol_class.limits.write_timeout)
        self.config.http_protocol_class = EdgeProtocol.with_limits(limits)
        self.config.timeout_graceful_shutdown = math.ceil(server.grace_period)

    async def ask_itself(self, limit: float) -> None:
        """Put ``GET /health`` through protocol and application, on a connection of its own.

        A pair of sockets, and no address: filters, namespaces and a full
        backlog cannot make a sound server look dead. Raises ``OSError`` or
        ``TimeoutError`` where no answer comes.
        """
        own, theirs = socket.socketpair()
        for end in (own, theirs):
            end.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._protocol, theirs)
        except BaseException:
            own.close()
            raise
        reader, writer = await asyncio.open_connection(sock=own)
        try:
            async with asyncio.timeout(limit):
                writer.write(_HEALTH)
                answer = await reader.readline()
        finally:
            writer.close()
        # 503: all connections are in use, which this server said by itself.
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")):
            raise OSError(f"/health was answered with {answer[:40]!r}")

    @property
    def _protocol_class(self) -> type[EdgeProtocol]:
        return cast("type[EdgeProtocol]", self.config.http_protocol_class)

    def _protocol(self) -> EdgeProtocol:
        return self._protocol_class(self.config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.server_state.draining = True
        if self.on_stopping is not None:
            self.on_stopping(self.server_state.open_answers)
        await super().shutdown(sockets=sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and self.on_started is not None:
            self.on_started()


def build_server(
    app: ASGIApp,
    settings: Settings,
    *,
    on_started: Callable[[], None] | None = None,
    write_timeout: float = WRITE_TIMEOUT,
) -> CoordinatorServer:
    """A server for ``app``; run it with ``await server.serve(sockets=open_sockets(settings))``.

    SIGTERM and SIGINT end it: no new connections, what has come in and what
    comes on open ones in the next moment is answered, within
    ``server.grace_period`` seconds; what is left then is told so and cancelled.
    """
    limits = _limits(settings.server, write_timeout)
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


def _limits(server: ServerSettings, write_timeout: float) -> ConnectionLimits:
    return ConnectionLimits(
        connections=server.max_connections,
        request_timeout=server.body_timeout,
        write_timeout=write_timeout,
    )


def open_sockets(
    settings: Settings, environment: Mapping[str, str] = os.environ, *, pid: int | None = None
) -> list[socket.socket]:
    """The listening sockets: systemd's (``LISTEN_FDS``), else one for each address of ``host``.

    Raises ``SettingsError`` where the address cannot be listened on, and where
    systemd passes one that others can reach while no key is needed.
    """
    passed = _passed_fds(environment, os.getpid() if pid is None else pid)
    if not passed:
        return _listen(settings.host, settings.port)
    sockets = [_adopted(fd) for fd in passed]
    try:
        refuse_open_door(settings, sockets)
    except SettingsError:
        _close(sockets)
        raise
    return sockets


def passed_by_systemd(
    environment: Mapping[str, str] = os.environ, *, pid: int | None = None
) -> bool:
    """Whether the sockets are systemd's."""
    return bool(_passed_fds(environment, os.getpid() if pid is None else pid))


def refuse_open_door(settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """Raise ``SettingsError`` where others can reach a socket and no key is needed."""
    reachable = [address_of(one) for one in sockets if not _is_local(one)]
    if reachable and settings.api_keys_file is None:
        raise SettingsError(
            f"The coordinator listens on {reachable[0]}, which other machines can reach: set "
            "api_keys_file, or let it (with systemd: its socket unit) listen on 127.0.0.1.",
            field="api_keys_file",
        )


def address_of(listening: socket.socket) -> str:
    """Where a socket listens, for people: ``127.0.0.1:8092``, ``[::1]:8092``, ``unix:/run/…``."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        text = name if isinstance(name, str) else name.decode(errors="replace")
        return f"unix:{text}" if not text.startswith("\0") else f"unix:@{text[1:]}"
    host, port = name[:2]
    return f"[{host}]:{port}" if listening.family == socket.AF_INET6 else f"{host}:{port}"


def _is_local(listening: socket.socket) -> bool:
    if listening.family == socket.AF_UNIX:
        return True
    host: str = listening.getsockname()[0]
    return host in LOOPBACK_HOSTS or host.startswith(("127.", "::ffff:127."))


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
        kind = ResourceBusy if error.errno == socket.EAI_AGAIN else SettingsError
        raise kind(f"host '{host}' is no address of this machine: {error}.") from None
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
    # At boot an address may be missing for a moment.
    later = error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
    kind = ResourceBusy if later else SettingsError
    return kind(
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
