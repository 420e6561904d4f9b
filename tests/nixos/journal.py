"""What a machine's journal says since a moment: units that failed, tracebacks, plain text.

For the check after each test and for tests that look for a sentence. Not for following a log while
it is written.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from typing import Any

from tests.nixos.machine import Machine

__all__ = ["Journal"]

_UNIT_FAILED = "be02cf6855d2428ba40df7e9d022f03d"
"""systemd's message that a unit could not be started (SD_MESSAGE_UNIT_FAILED)."""
_UNIT_RESULT = "d9b373ed55a64feb8242e02dbe79a49c"
"""systemd's message that a unit ended with a bad result (SD_MESSAGE_UNIT_FAILURE_RESULT)."""
_TRACEBACK = "Traceback (most recent call last)"


class Journal:
    """The journal of a machine from now on, or from its boot."""

    def __init__(self, machine: Machine, *, since_boot: bool = False) -> None:
        self._machine = machine
        self._since = "--boot" if since_boot else f"--after-cursor={_cursor(machine)}"

    def entries(self, *matches: str) -> list[dict[str, Any]]:
        """The entries that fit ``journalctl``'s matches (``_SYSTEMD_UNIT=…``, ``+`` for or)."""
        found = self._read("--output=json", *matches)
        return [json.loads(line) for line in found.splitlines()]

    def text(self, unit: str | None = None) -> str:
        """The messages alone, of everything or of one unit with what systemd says about it."""
        return self._read("--output=cat", *((f"--unit={unit}",) if unit else ()))

    def everything(self) -> str:
        """Every field of every entry, as text."""
        return self._read("--output=export")

    def failed_units(self) -> dict[str, str]:
        """The units that failed, each with what systemd said about it last."""
        entries = self.entries(f"MESSAGE_ID={_UNIT_FAILED}", "+", f"MESSAGE_ID={_UNIT_RESULT}")
        return {str(entry.get("UNIT", "?")): str(entry.get("MESSAGE", "")) for entry in entries}

    def problems(self, expected: Collection[str] = ()) -> list[str]:
        """What no test may leave behind: failed units that are not ``expected``, and tracebacks."""
        found = [
            f"{unit}: {text}" for unit, text in self.failed_units().items() if unit not in expected
        ]
        status, listed = self._machine.systemctl(
            "list-units --state=failed --plain --no-legend --full"
        )
        if status != 0:
            found.append(f"systemctl cannot list the failed units: {listed}")
        names = [line.split()[0] for line in listed.splitlines() if line.strip()]
        found += [f"{name}: is in the state 'failed'" for name in names]
        everything = self.everything()
        if (at := everything.find(_TRACEBACK)) >= 0:
            found.append(f"a traceback was logged: {everything[max(0, at - 500) : at + 3000]}")
        return found

    def _read(self, *arguments: str) -> str:
        words = ["journalctl", "--quiet", "--all", "--no-pager", self._since, *arguments]
        return self._machine.succeed(f"journalctl --sync; {shlex.join(words)}")


def _cursor(machine: Machine) -> str:
    """The place in the journal where it ends now."""
    entry = machine.succeed("journalctl --sync; journalctl --quiet --lines=1 --output=export")
    for line in entry.splitlines():
        if line.startswith("__CURSOR="):
            return line.removeprefix("__CURSOR=")
    raise AssertionError(
        f"the journal of '{machine.name}' is empty, so nothing could be seen in it"
    )
