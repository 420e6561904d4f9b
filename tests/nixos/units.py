"""What systemd knows of a machine's units, for the named tests: properties, times, what wants what.

Reads only; starting and stopping are the machine's own verbs.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from tests.nixos.machine import Machine

__all__ = [
    "COORDINATOR",
    "HEALTH",
    "SOCKET",
    "TARGET",
    "has_unit",
    "is_emulated",
    "list_timers",
    "main_pid",
    "monotonic",
    "properties",
    "service_section",
    "wait_for_property",
    "wanted_units",
]

TARGET = "hybrid-ai.target"
COORDINATOR = "hybrid-coordinator.service"
SOCKET = "hybrid-coordinator.socket"
HEALTH = "hybrid-ai-health-check.service"


def properties(machine: Machine, unit: str, *names: str) -> dict[str, str]:
    """A unit's properties as ``systemctl show`` writes them; those set more than once, joined."""
    wanted = ",".join(names)
    text = machine.succeed(f"systemctl show {shlex.quote(unit)} --property={wanted}")
    found: dict[str, str] = dict.fromkeys(names, "")
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator:
            found[name] = f"{found[name]}\n{value}" if found.get(name) else value
    return found


def monotonic(machine: Machine, unit: str, name: str) -> float:
    """A unit's time stamp as seconds of the monotonic clock; 0 for never."""
    return int(properties(machine, unit, name)[name] or 0) / 1e6


def main_pid(machine: Machine, unit: str = COORDINATOR) -> int:
    """The process id of a running service."""
    pid = int(properties(machine, unit, "MainPID")["MainPID"])
    assert pid > 0, f"{unit} does not run"
    return pid


def wanted_units(machine: Machine) -> list[str]:
    """Every unit that the target wants or requires: what is switched on."""
    found = properties(machine, TARGET, "Wants", "Requires")
    units = sorted({*found["Wants"].split(), *found["Requires"].split()})
    return [unit for unit in units if not unit.endswith((".slice", ".mount"))]


def is_emulated(machine: Machine) -> bool:
    """Whether the processor is emulated by software, where everything takes many times as long."""
    return machine.execute("systemd-detect-virt")[1].strip() == "qemu"


def has_unit(machine: Machine, unit: str) -> bool:
    """Whether the target wants this unit."""
    return unit in wanted_units(machine)


def wait_for_property(
    machine: Machine, unit: str, name: str, pattern: str, timeout: int = 120
) -> str:
    """Wait until a unit's property fits a regular expression of ``grep -E``; the property."""
    show = f"systemctl show {shlex.quote(unit)} --property={name} --value"
    return machine.wait_until_succeeds(
        f"{show} | grep --extended-regexp -- {shlex.quote(pattern)}", timeout
    ).strip()


def list_timers(machine: Machine) -> list[dict[str, Any]]:
    """Every timer, as ``systemctl list-timers`` tells it."""
    status, text = machine.systemctl("list-timers --all --output=json")
    assert status == 0, text
    timers: list[dict[str, Any]] = json.loads(text)
    return timers


def service_section(machine: Machine, unit: str) -> list[tuple[str, str]]:
    """The lines of a unit's ``[Service]`` sections in order, drop-ins after the unit itself."""
    text = re.sub(r"\\\n\s*", " ", machine.succeed(f"systemctl cat {shlex.quote(unit)}"))
    found = []
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and line[0] not in "#;":
            key, _, value = line.partition("=")
            found.append((key.strip(), value.strip()))
    return found
