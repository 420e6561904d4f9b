"""A tool that goes on inside a machine while the test does something to it.

It runs as a transient unit, so that it has a journal, an end that can be waited for and an exit
status, and its standard output is kept in a file for the test to read. Not for the project's units.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from tests.nixos.machine import TOOLS, Machine
from tests.nixos.units import properties

__all__ = ["FOLDER", "Background"]

FOLDER = "/run/hybrid-ai-named"
"""Where the tools' outputs and the files that they wait for are."""


class Background:
    """A running tool. ``under_way`` and ``until`` are files that it makes, or waits for."""

    def __init__(self, machine: Machine, name: str, tool: str, *arguments: str) -> None:
        self._machine = machine
        self._unit = f"hybrid-ai-named-{name}.service"
        self._output = f"{FOLDER}/{name}.output"
        machine.succeed(f"mkdir -p {FOLDER}; rm -f {self._output}")
        words = shlex.join([f"{TOOLS}/{tool}", *arguments])
        machine.succeed(
            f"systemd-run --quiet --unit={self._unit} --service-type=exec"
            f" --property=StandardOutput=truncate:{self._output} $(command -v python3) {words}"
        )

    def wait_for_output(self, text: str, timeout: int = 60) -> None:
        """Wait until the tool has said so."""
        try:
            self._machine.wait_until_succeeds(
                f"grep --quiet --fixed-strings -- {shlex.quote(text)} {self._output}", timeout
            )
        except Exception as error:
            said = self._machine.execute(f"cat {self._output}")[1]
            raise AssertionError(f"{self._unit} did not say {text!r}, but: {said}") from error

    def stop(self) -> None:
        """End it by SIGTERM."""
        self._machine.succeed(f"systemctl stop {self._unit}")

    def finished(self, timeout: int = 300) -> str:
        """Wait for its own end, which must be a success; what it said."""
        self._machine.wait_until_fails(f"systemctl is-active --quiet {self._unit}", timeout)
        result = properties(self._machine, self._unit, "Result")["Result"]
        assert result == "success", f"{self._unit} ended as '{result}': see the journal"
        return self._machine.succeed(f"cat {self._output}")

    def report(self, timeout: int = 300) -> Any:
        """Its own end, then the last line of its output as JSON."""
        return json.loads(self.finished(timeout).strip().splitlines()[-1])
