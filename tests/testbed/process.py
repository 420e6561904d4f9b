"""One server process on a free loopback port: start, wait until ready, stop, kill, restart.

The base of the Redis, Qdrant, Lemonade and Ollama handles. A started process, and whatever it
starts itself, dies with the test run even when the run is killed. Not a supervisor: nothing is
restarted unless a test asks for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.testbed.cache import PartUnavailable, last_lines

_ATTEMPTS = 3  # a port found free may be taken before the server binds it
_POLL_S = 0.02
_STOP_S = 10.0  # lemond's own watchdog thread takes five seconds to end

# The kernel ends a child with the *thread* that started it (PR_SET_PDEATHSIG), so every child is
# started by this one, which lives as long as the interpreter.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="testbed-starter")


def free_port() -> int:
    """A loopback TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Ask `condition` again and again until it holds (True) or the time is over (False).

    For states of other programs, which can only be asked for.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


class LocalServer(ABC):
    """A server process with a temporary folder, a log and one port on 127.0.0.1.

    A subclass says how the process is started and when it is ready. Use it as a context manager,
    or call `start` and `stop`. `port` stays the same over `restart`.
    """

    name: str
    ready_within_s: float = 30.0

    def __init__(self) -> None:
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix=f"testbed-{self.name}-"))
        self.log = self.folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The address clients take."""

    @abstractmethod
    def _argv(self) -> list[str]:
        """The command for `self.port`."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the server answers; False (never an exception) while it does not yet."""

    def _environment(self) -> Mapping[str, str]:
        """Environment variables on top of this process's own."""
        return {}

    def _prepare(self) -> None:  # noqa: B027 - optional hook
        """Write what the server reads at start; called once `self.port` is known."""

    def _ask_to_end(self) -> None:
        """Send the signal that ends the server politely."""
        os.kill(self.pid, signal.SIGTERM)

    def _crash(self) -> None:
        """Send the signal that ends the server and everything it started at once."""
        self._signal_group(signal.SIGKILL)

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the server's process. Raises RuntimeError when it is not running."""
        if self._process is None or not self.running:
            raise RuntimeError(f"{self.name} is not running; call start() first.")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and return once it is ready.

        Raises PartUnavailable, with the end of its log, when it exits or is not ready in time.
        """
        if self.running:
            return self
        keep_port = self.port != 0
        for attempt in range(_ATTEMPTS):
            if not keep_port:
                self.port = free_port()
            self._launch()
            if self._wait_until_ready():
                return self
            if self.running or attempt == _ATTEMPTS - 1:
                break
        state = "was not ready" if self.running else "exited"
        tail = "\n".join(last_lines(self.log))
        self.close()
        raise PartUnavailable(
            f"{self.name} {state} within {self.ready_within_s:.0f} s. Its log ended with:\n{tail}"
        )

    def stop(self) -> None:
        """End the process politely (SIGTERM, SIGKILL after 10 s) and everything it started."""
        if self.running:
            self._ask_to_end()
        self._wait(_STOP_S)
        self.kill()

    def kill(self) -> None:
        """End the process and everything it started at once (SIGKILL), as a crash would."""
        if self.running:
            self._crash()
        self._wait(_STOP_S)
        self._signal_group(signal.SIGKILL)
        self._wait(None)
        # Children of the process end a moment after it.
        wait_until(lambda: not self.listening(), _STOP_S)

    def listening(self) -> bool:
        """Whether anything accepts connections on the port."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def restart(self) -> Self:
        """Stop, if running, and start again on the same port."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): it accepts connections and never answers."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal_group(signal.SIGCONT)

    def close(self) -> None:
        """Kill and delete the temporary folder: nothing in it is worth a polite end."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _launch(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._prepare()
        with self.log.open("ab") as sink:
            self._process = _starter.submit(
                subprocess.Popen,
                ["setpriv", "--pdeathsig", "KILL", "--", *self._argv()],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, **self._environment()},
                start_new_session=True,  # so a signal reaches the children it starts, too
            ).result()

    def _wait_until_ready(self) -> bool:
        wait_until(lambda: not self.running or self._is_ready(), self.ready_within_s)
        return self.running and self._is_ready()

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # the whole group has ended already
                os.killpg(self._process.pid, number)

    def _wait(self, timeout_s: float | None) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # the caller kills it
                self._process.wait(timeout_s)
