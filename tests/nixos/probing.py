"""Runs the sandbox probe inside a service's own sandbox, and beside it outside of any.

The service's unit is copied under another name with every line of its ``[Service]`` section but
those that say what is run and when: same user, mounts, filters, limits. Entering the namespaces of
the running service would leave its system call and IP filters outside. What the probe may and may
not be able to do is the test's matter.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from tests.nixos.background import FOLDER
from tests.nixos.machine import TOOLS, Machine
from tests.nixos.units import properties, service_section

__all__ = ["Findings", "as_nobody", "copy_of", "inside", "sandbox_of"]

_ITS_OWN = re.compile(
    r"Exec[A-Z]\w*|Type|NotifyAccess|Watchdog\w*|Restart\w*|Sockets|Timeout\w*|RemainAfterExit"
    r"|SuccessExitStatus|PIDFile|BusName|KillMode|KillSignal|GuessMainPID|RuntimeMaxSec"
    r"|RuntimeDirectoryPreserve|SyslogIdentifier|StandardOutput|StandardError"
)
"""The lines that say what a service runs and when; all others say in what sandbox."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the probe reported."""

    status: dict[str, str]
    writable: list[str]
    attempts: dict[str, dict[str, Any]]

    def possible(self, name: str) -> bool:
        """Whether an attempt came off; a probe that broke is nobody's answer."""
        found = self.attempts[name]
        assert found["possible"] is not None, f"the probe broke at '{name}': {found['detail']}"
        return bool(found["possible"])

    def detail(self, name: str) -> str:
        """What came of an attempt."""
        return str(self.attempts[name]["detail"])


def sandbox_of(machine: Machine, unit: str) -> tuple[str, ...]:
    """The lines of a unit that say in what sandbox its service runs, and as whom."""
    section = service_section(machine, unit)
    kept = [f"{k}={v}" for k, v in section if not _ITS_OWN.fullmatch(k)]
    if "User" not in dict(section):
        # A dynamic user is called after its unit; under another name the state would change hands.
        kept.append(f"User={unit.removesuffix('.service')}")
    return tuple(kept)


def copy_of(machine: Machine, unit: str, copy: str, command: str, *lines: str) -> None:
    """Install the unit ``copy`` with the sandbox of ``unit`` and another command."""
    kept = sandbox_of(machine, unit)
    text = "\n".join(
        [
            "[Unit]",
            f"Description=The sandbox of {unit}, probed from inside",
            "[Service]",
            *kept,
            # The folder below /run is the real service's, which goes on using it.
            "RuntimeDirectoryPreserve=yes",
            "Type=oneshot",
            f"ExecStart={command}",
            *lines,
        ]
    )
    machine.succeed(
        f"cat > /run/systemd/system/{copy} <<'UNIT'\n{text}\nUNIT", "systemctl daemon-reload"
    )


def inside(machine: Machine, unit: str, arguments: list[str]) -> Findings:
    """The probe's findings from inside the sandbox of ``unit``."""
    copy = f"hybrid-ai-probe-{unit}"
    shown = properties(machine, unit, "StateDirectory", "DynamicUser")
    state = shown["StateDirectory"].split()[0]
    folder = f"/var/lib/private/{state}" if shown["DynamicUser"] == "yes" else f"/var/lib/{state}"
    report = f"{folder}/sandbox-probe.json"
    owner = machine.succeed(f"stat --format=%u {folder}")
    python = machine.succeed("readlink --canonicalize $(command -v python3)").strip()
    command = shlex.join([python, f"{TOOLS}/sandbox.py", *arguments])
    copy_of(machine, unit, copy, command)
    try:
        machine.succeed(f"rm -f {report}", f"systemctl start {copy}", timeout=300)
        taken = machine.succeed(f"stat --format=%u {folder} {report}").split()
        assert taken == [owner.strip()] * 2, f"the probe of {unit} ran as {taken}, not {owner}"
        return _findings(machine.succeed(f"cat {report}"))
    finally:
        machine.succeed(
            f"rm -f /run/systemd/system/{copy} {report} {folder}/hybrid-ai-sandbox-probe",
            "systemctl daemon-reload",
        )


def as_nobody(machine: Machine, arguments: list[str]) -> Findings:
    """The findings of the same probe as an ordinary user outside of any sandbox."""
    report = f"{FOLDER}/nobody/probe.json"
    words = shlex.join([f"{TOOLS}/sandbox.py", f"--report={report}", *arguments])
    machine.succeed(
        f"install -d -m 0777 {FOLDER}/nobody",
        f"cd / && setpriv --reuid=65534 --regid=65534 --clear-groups"
        f" $(readlink --canonicalize $(command -v python3)) {words}",
    )
    found = _findings(machine.succeed(f"cat {report}"))
    folders = [a.removeprefix("--write=") for a in arguments if a.startswith("--write=")]
    left = " ".join(f"{folder.rstrip('/')}/hybrid-ai-sandbox-probe" for folder in folders)
    machine.succeed(f"rm -rf {FOLDER}/nobody {left}")
    return found


def _findings(text: str) -> Findings:
    report = json.loads(text)
    return Findings(report["status"], report["writable"], report["attempts"])
