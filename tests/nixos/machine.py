"""What a named test may ask of a machine: the verbs of NixOS' own test driver, as a protocol.

Two things have this shape: the machines of NixOS' driver (nixosTest, nspawn containers) and those
of ``tests/systemd`` (the rendered units in a Debian guest). A named test knows only this file, so
the same script runs on both. This file is not for starting or stopping a machine: who does that is
a driver's own affair.

Every command is run by bash as root with ``set -euo pipefail``, as NixOS' driver does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["TOOLS", "Machine", "Machines"]

TOOLS = "/etc/hybrid-ai-tests"
"""Where the programs of ``tests/nixos/tools`` are found inside a machine."""


class Machine(Protocol):
    """One node of a scenario. A command that does not end in time, or not as it was asked to,
    raises."""

    @property
    def name(self) -> str:
        """The node's name in its scenario: ``machine``, or ``first``, ``second``, ``stores``."""

    def execute(
        self, command: str, check_return: bool = True, timeout: int | None = 900
    ) -> tuple[int, str]:
        """Run a command; its exit status and what it wrote to standard output. It may fail."""

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        """Run commands that must all end with 0; what they wrote, joined."""

    def fail(self, *commands: str, timeout: int | None = None) -> str:
        """Run commands that must all end with something else than 0; what they wrote, joined."""

    def wait_until_succeeds(self, command: str, timeout: int = 900) -> str:
        """Repeat a command once a second until it ends with 0; what it wrote then."""

    def wait_until_fails(self, command: str, timeout: int = 900) -> str:
        """Repeat a command once a second until it ends with something else than 0; what it wrote
        then."""

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: int = 900) -> None:
        """Wait until a unit is active. A unit that failed, or that nothing will start, raises at
        once."""

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: int = 900) -> None:
        """Wait until a TCP port accepts a connection."""

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: int = 900) -> None:
        """Wait until a TCP port accepts none."""

    def wait_for_file(self, filename: str, timeout: int = 900) -> None:
        """Wait until a file exists."""

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        """Run ``systemctl`` with these arguments; its exit status and what it wrote."""

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """``systemctl start``."""

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """``systemctl stop``."""

    def get_unit_property(self, unit: str, property: str, user: str | None = None) -> str:
        """One property of a unit, as ``systemctl show`` writes it, without the name."""

    def copy_from_host(self, source: str, target: str) -> None:
        """Copy a file or a folder of the host to this path inside."""

    def log(self, msg: str) -> None:
        """Write a line to the test's log."""


Machines = Mapping[str, Machine]
"""A scenario's nodes by name. A scenario of one node calls it ``machine``."""
