"""How a command gets into a guest, and what comes back: the same for both kinds of guest.

Not for waiting, and not for the verbs of a test: see `driver`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class GuestError(Exception):
    """A guest could not be started, or does not answer any more; the message says what to do."""


class CommandTimedOut(GuestError):
    """A command inside a guest did not end in time; it was killed. `output` is what it wrote."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended: its exit status and what it wrote."""

    status: int
    output: bytes
    errors: bytes


class Channel(Protocol):
    """A running guest as the driver sees it."""

    def run(self, script: str, timeout: float | None, data: bytes = b"") -> Finished:
        """Run a bash script as root in the guest with `data` as its standard input.

        Raises CommandTimedOut, and GuestError where the guest is gone.
        """

    def console(self) -> str:
        """What the guest wrote to its console so far: boot messages and journal."""

    def shell(self) -> int:
        """Let a person type commands into the guest; returns when they end it."""
