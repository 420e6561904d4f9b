"""A real Redis server: 8 (Debian trixie, with vector sets) or 7 (bookworm, without).

No persistence: `restart` comes back empty. Not for Redis's own features beyond Debian's build
(no FT.*, JSON.* or BF.* in either).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Literal

from tests.testbed import roots
from tests.testbed.process import LocalServer

Version = Literal["8", "7"]


class RedisServer(LocalServer):
    """A redis-server process; `url` is what clients take (`redis://127.0.0.1:<port>/0`)."""

    ready_within_s = 10.0

    def __init__(self, version: Version = "8", options: Sequence[str] = ()) -> None:
        self.version = version
        self.name = f"redis{version}"
        self._options = list(options)
        self._root = roots.trixie() if version == "8" else roots.bookworm_redis()
        super().__init__()

    @property
    def url(self) -> str:
        """The server's address as redis-py takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _argv(self) -> list[str]:
        return [
            *roots.loader_argv(self._root, "usr/bin/redis-server"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            *self._options,
        ]

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def redis_server(version: Version = "8", options: Sequence[str] = ()) -> RedisServer:
    """A started Redis of that major version; use it in a `with`, or call `close()` yourself.

    `options` are further redis-server arguments, e.g. ("--maxmemory", "50mb").
    """
    return RedisServer(version, options).start()
