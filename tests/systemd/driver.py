"""A guest with the verbs of NixOS' test driver: what `tests.nixos.machine.Machine` promises.

Commands are run by bash with `set -euo pipefail`, as NixOS' driver runs them. Waiting asks the
guest again and again until a deadline. Not for starting a guest: see `scenario`.
"""

from __future__ import annotations

import io
import shlex
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.systemd.channel import Channel, CommandTimedOut, Finished, GuestError

_LONGEST_S = 900
_POLL_S = 0.1
_SHOWN = 4000


class CommandFailed(AssertionError):
    """A command in a guest ended otherwise than it had to; the message holds its output."""


class UnitFailed(AssertionError):
    """A unit that was waited for failed, or nothing will start it."""


class WaitedTooLong(AssertionError):
    """What was waited for did not come in time; the message says how it looked last."""


class GuestMachine:
    """One node, reached through a `Channel`."""

    def __init__(self, name: str, channel: Channel) -> None:
        self.name = name
        self._channel = channel

    def execute(
        self, command: str, check_return: bool = True, timeout: int | None = _LONGEST_S
    ) -> tuple[int, str]:
        """Run a command; its status (-1 where `check_return` is not wanted) and its output.

        As in NixOS' driver, a command that takes too long is killed and has the status 124.
        """
        try:
            done = self._run(command, timeout)
        except CommandTimedOut as error:
            return 124, error.output
        return (done.status if check_return else -1), _text(done.output)

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        """Run commands that must all end with 0; their output. Raises CommandFailed."""
        return self._each(commands, timeout, lambda status: status == 0, "failed")

    def fail(self, *commands: str, timeout: int | None = None) -> str:
        """Run commands that must all end with something else than 0. Raises CommandFailed."""
        return self._each(commands, timeout, lambda status: status != 0, "succeeded unexpectedly")

    def wait_until_succeeds(self, command: str, timeout: int = _LONGEST_S) -> str:
        """Repeat a command until it ends with 0; its output then. Raises WaitedTooLong."""
        return self._repeat(command, timeout, lambda status: status == 0)

    def wait_until_fails(self, command: str, timeout: int = _LONGEST_S) -> str:
        """Repeat a command until it ends with something else than 0. Raises WaitedTooLong."""
        return self._repeat(command, timeout, lambda status: status != 0)

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: int = _LONGEST_S) -> None:
        """Wait until a unit is active.

        Raises UnitFailed at once where it failed, or is inactive and nothing is about to start it;
        WaitedTooLong.
        """
        show = f"show --property=ActiveState --value -- {shlex.quote(unit)}"

        def is_active() -> tuple[bool, str]:
            _, jobs = self.systemctl("list-jobs --no-legend --full", user)
            state = self.systemctl(show, user)[1].strip()
            if state == "failed":
                raise UnitFailed(f"{self.name}: {unit} failed.\n{self._about(unit, user)}")
            if state == "inactive" and not jobs.strip():
                raise UnitFailed(
                    f"{self.name}: {unit} is inactive and no job is queued that could start it.\n"
                    f"{self._about(unit, user)}"
                )
            return state == "active", f"it is {state}"

        self._wait(f"the unit {unit} to be active", is_active, timeout)

    def wait_for_open_port(
        self, port: int, addr: str = "localhost", timeout: int = _LONGEST_S
    ) -> None:
        """Wait until a TCP port accepts a connection. Raises WaitedTooLong."""
        self._wait(f"{addr}:{port} to be open", lambda: self._port(addr, port, True), timeout)

    def wait_for_closed_port(
        self, port: int, addr: str = "localhost", timeout: int = _LONGEST_S
    ) -> None:
        """Wait until a TCP port accepts no connection. Raises WaitedTooLong."""
        self._wait(f"{addr}:{port} to be closed", lambda: self._port(addr, port, False), timeout)

    def wait_for_file(self, filename: str, timeout: int = _LONGEST_S) -> None:
        """Wait until a file exists. Raises WaitedTooLong."""
        self.wait_until_succeeds(f"test -e {shlex.quote(filename)}", timeout)

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        """Run `systemctl` with these arguments, for root or for the manager of a user."""
        if user is None:
            return self.execute(f"systemctl {q}")
        inner = f"XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user {q}"
        return self.execute(f"su -s /bin/sh {shlex.quote(user)} -c {shlex.quote(inner)}")

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """`systemctl start`."""
        return self.systemctl(f"start {shlex.quote(jobname)}", user)

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """`systemctl stop`."""
        return self.systemctl(f"stop {shlex.quote(jobname)}", user)

    def get_unit_property(self, unit: str, property: str, user: str | None = None) -> str:
        """One property of a unit, without its name. Raises CommandFailed where there is none."""
        words = f"show --property={shlex.quote(property)} -- {shlex.quote(unit)}"
        status, output = self.systemctl(words, user)
        name, found, value = output.strip().partition("=")
        if status != 0 or not found or name != property:
            raise CommandFailed(
                f"{self.name}: {unit} has no property {property}; systemctl said: {output}"
            )
        return value

    def copy_from_host(self, source: str, target: str) -> None:
        """Copy a file or a folder of this machine to the path `target` in the guest."""
        packed = io.BytesIO()
        path = Path(target)
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(source, arcname=path.name, filter=_owned_by_root)
        folder = shlex.quote(str(path.parent))
        self._must(f"mkdir -p {folder}; tar -x -C {folder}", packed.getvalue())

    def copy_from_machine(self, source: str, target_dir: str = "") -> None:
        """Copy a file or a folder of the guest into the folder `target_dir` of this machine."""
        path = Path(source)
        folder, name = shlex.quote(str(path.parent)), shlex.quote(path.name)
        packed = self._must(f"tar -c -C {folder} -- {name}")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(target_dir or ".", filter="data")

    def log(self, msg: str) -> None:
        """Write a line to the test's log."""
        print(f"[{self.name}] {msg}", file=sys.stderr, flush=True)

    def state(self) -> str:
        """What a person looks at first after a failure: failed units, the journal's end."""
        script = (
            "systemctl --failed --no-pager --full --no-legend || true; echo; "
            "journalctl --no-pager --quiet --lines=200 --output=short-precise"
        )
        try:
            seen = _text(self._run(script, 30).output)
        except GuestError as error:
            seen = f"{error}\n{self._channel.console()[-20 * _SHOWN :]}"
        return f"--- {self.name}: failed units, then the journal's last 200 lines\n{seen}"

    def shell(self) -> int:
        """Let a person type commands into the guest."""
        return self._channel.shell()

    def _run(self, command: str, timeout: float | None, data: bytes = b"") -> Finished:
        return self._channel.run(f"set -euo pipefail\n{command}", timeout, data)

    def _must(self, command: str, data: bytes = b"") -> bytes:
        done = self._run(command, _LONGEST_S, data)
        if done.status != 0:
            raise CommandFailed(self._told(command, done, "failed"))
        return done.output

    def _each(
        self,
        commands: tuple[str, ...],
        timeout: int | None,
        wanted: Callable[[int], bool],
        verdict: str,
    ) -> str:
        output = ""
        for command in commands:
            done = self._run(command, timeout or _LONGEST_S)
            if not wanted(done.status):
                raise CommandFailed(self._told(command, done, verdict))
            output += _text(done.output)
        return output

    def _repeat(self, command: str, timeout: int, wanted: Callable[[int], bool]) -> str:
        last = Finished(0, b"", b"")

        def ended_as_wanted() -> tuple[bool, str]:
            nonlocal last
            last = self._run(command, timeout)
            return wanted(last.status), self._told(command, last, "did not come out as waited for")

        self._wait(f"'{command}'", ended_as_wanted, timeout)
        return _text(last.output)

    def _wait(self, what: str, ask: Callable[[], tuple[bool, str]], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            came, seen = ask()
            if came:
                return
            if time.monotonic() >= deadline:
                raise WaitedTooLong(
                    f"{self.name}: waited {timeout:.0f} s for {what} in vain: {seen}"
                )
            time.sleep(_POLL_S)

    def _port(self, addr: str, port: int, wanted: bool) -> tuple[bool, str]:
        connect = f"exec 3<>/dev/tcp/{addr}/{port}"
        status, _ = self.execute(f"timeout 5 bash -c {shlex.quote(connect)} 2>/dev/null")
        return (status == 0) == wanted, "it is open" if status == 0 else "it is closed"

    def _about(self, unit: str, user: str | None) -> str:
        return self.systemctl(f"status --no-pager --full --lines=40 -- {shlex.quote(unit)}", user)[
            1
        ]

    def _told(self, command: str, done: Finished, verdict: str) -> str:
        told = f"{self.name}: the command '{command}' {verdict} (status {done.status})"
        for title, content in (("output", done.output), ("errors", done.errors)):
            if text := _text(content).strip():
                told += f"\n{title}: {text[-_SHOWN:]}"
        return told


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
