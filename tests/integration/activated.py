"""Runs the coordinator as systemd does: sockets passed on, a notification socket, signals.

The sockets stay with the test as they stay with systemd, so a second process
can take them over. For tests of the protocol between the two; what a real
systemd makes of it is tested on one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BECOME = """
import fcntl, os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
spare = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
for number, fd in enumerate(spare):
    os.dup2(fd, 3 + number)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(fds))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Heard:
    """What systemd would hear: the datagrams of one notification socket, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.messages: list[dict[str, str]] = []

    def close(self) -> None:
        self._socket.close()

    def until(
        self, found: Callable[[dict[str, str]], bool], *, after: int = 0, timeout: float = 60
    ) -> dict[str, str]:
        """The first message from number ``after`` on that is as wanted; waits for it."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self.messages[after:]:
                if found(message):
                    return message
            after = len(self.messages)
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"not heard in time; heard: {self.messages}") from None
            lines = (line.partition("=") for line in data.decode().split("\n"))
            self.messages.append({name: value for name, _, value in lines})

    def drain(self) -> int:
        """Take in what has been sent already; the number of messages so far."""
        self._socket.settimeout(0)
        try:
            while True:
                self.until(lambda _: False, after=len(self.messages), timeout=0)
        except AssertionError:
            return len(self.messages)

    def ready(self, *, after: int = 0) -> str:
        """Wait for READY=1; its status line."""
        return self.until(lambda m: "READY" in m, after=after)["STATUS"]

    def status(self, text: str, *, after: int = 0) -> str:
        """Wait for a status line that contains ``text``."""
        return self.until(lambda m: text in m.get("STATUS", ""), after=after)["STATUS"]


class Activated:
    """One process of the coordinator, started for ``sockets``."""

    def __init__(
        self,
        state: Path,
        sockets: Sequence[socket.socket],
        heard: Heard,
        *,
        watchdog: float | None = None,
        **settings: Any,
    ) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.config = state / "settings.json"
        self.settings = {"state_directory": str(state), **settings}
        self.write(self.settings)
        self.log_file = state / f"stderr-{time.monotonic_ns()}"
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "NOTIFY_SOCKET": str(heard.path),
        }
        if watchdog is not None:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        fds = [one.fileno() for one in sockets]
        command = [sys.executable, "-m", "hybrid_coordinator", "serve", "--config"]
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BECOME, ",".join(map(str, fds)), *command, self.config],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )

    def write(self, settings: dict[str, Any]) -> None:
        """Write the settings file."""
        self.config.write_text(json.dumps(settings))

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self.log_file.read_text()

    def banner(self) -> str:
        """What it said at the start."""
        assert self.process.stdout is not None
        return "".join(self.process.stdout.readline() for _ in range(5))

    def hangup(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self, timeout: float = 60) -> int:
        """Wait for its end; the exit status."""
        status = self.process.wait(timeout)
        self._close()
        return status

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def listening(
    host: str = "127.0.0.1", family: socket.AddressFamily = socket.AF_INET
) -> Iterator[socket.socket]:
    """A socket as a socket unit has it."""
    with socket.create_server((host, 0), family=family, backlog=2048) as server:
        yield server


@contextmanager
def hearing(folder: Path) -> Iterator[Heard]:
    """A notification socket."""
    heard = Heard(folder / "notify")
    try:
        yield heard
    finally:
        heard.close()


class Line:
    """One HTTP connection, spoken by hand: light enough for hundreds, and it hides no retry."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.last = False

    @classmethod
    async def to(cls, address: tuple[str, int]) -> Line:
        return cls(*await asyncio.open_connection(*address))

    def ask(self, question: str, *, stream: bool = False) -> None:
        messages = [{"role": "user", "content": question}]
        body = json.dumps({"model": "auto", "stream": stream, "messages": messages}).encode()
        self.writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )

    async def answer(self) -> tuple[int, bytes]:
        """The next answer, to its end; raises where it is cut."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        head = raw.lower()
        self.last = b"connection: close" in head
        status = int(raw.split(b" ")[1])
        if b"transfer-encoding: chunked" not in head:
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            return status, await self.reader.readexactly(length)
        body = b""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            body += (await self.reader.readexactly(size + 2))[:-2]
            if size == 0:
                return status, body

    def close(self) -> None:
        self.writer.close()
