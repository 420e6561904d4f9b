"""The part of ``sandbox`` about limits: what takes too much memory, or too many tasks, is stopped.

Real where the machine's kernel gives its units these controllers: in a virtual machine. In a
container of this project's guest they are silently without effect, which is then said in the log.
"""

from __future__ import annotations

import re

from tests.nixos.machine import TOOLS, Machine
from tests.nixos.probing import copy_of
from tests.nixos.units import properties

EATER = "hybrid-ai-eat.service"
TASKS = 2000
"""Threads that are tried: more than any unit of the stack may have."""


def limits_hold(machine: Machine, unit: str) -> None:
    """A copy of the unit that eats memory is killed alone, one that starts threads is refused."""
    shown = properties(machine, unit, "MemoryMax", "MemoryHigh", "TasksMax")
    assert shown["MemoryMax"].isdigit(), f"{unit} has no limit of memory: {shown}"
    assert shown["TasksMax"].isdigit(), f"{unit} has no limit of tasks: {shown}"
    assert int(shown["TasksMax"]) < TASKS, f"{unit} may have {shown['TasksMax']} tasks"
    controllers = machine.succeed("cat /sys/fs/cgroup/cgroup.controllers").split()
    if not {"memory", "pids"} <= set(controllers):
        machine.succeed("systemd-detect-virt --container")
        machine.log(f"{unit}: no memory and pids controllers in this container; QEMU tries limits")
        return
    _memory_is_limited(machine, unit, int(shown["MemoryMax"]))
    _tasks_are_limited(machine, unit, int(shown["TasksMax"]))


def _memory_is_limited(machine: Machine, unit: str, limit: int) -> None:
    group = properties(machine, unit, "ControlGroup")["ControlGroup"]
    if group:
        held = machine.succeed(f"cat /sys/fs/cgroup{group}/memory.max").strip()
        assert held == str(limit), f"the kernel holds {unit} to {held} bytes, not {limit}"
    total = (
        int(machine.succeed("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")) * 1024
    )
    lines = ["MemorySwapMax=0", "MemoryHigh=infinity"]
    if limit > total * 0.7:
        # The machine is smaller than the limit: a lower one shows that limits are enforced here.
        limit = total // 4
        lines.append(f"MemoryMax={limit}")
        machine.log(f"{unit}: tried with a limit of {limit} bytes, this machine has {total}")
    said = _eat(machine, unit, f"memory {limit * 2}", *lines)
    assert said["Result"] == "oom-kill", f"{limit * 2} bytes were taken under {limit}: {said}"
    taken = int(re.findall(r"(\d+) bytes taken", said["journal"])[-1])
    assert limit * 0.5 < taken < limit, f"{taken} bytes were taken under a limit of {limit}"


def _tasks_are_limited(machine: Machine, unit: str, limit: int) -> None:
    said = _eat(machine, unit, f"tasks {TASKS}")
    found = re.search(r"(\d+) threads, then:", said["journal"])
    assert found, f"{TASKS} threads could be started: {said}"
    assert int(found[1]) <= limit, f"{found[1]} threads under a limit of {limit}"


def _eat(machine: Machine, unit: str, what: str, *lines: str) -> dict[str, str]:
    """Run the eater in a copy of the unit; how it ended, and what it said."""
    python = machine.succeed("readlink --canonicalize $(command -v python3)").strip()
    copy_of(machine, unit, EATER, f"{python} {TOOLS}/eat.py {what}", *lines)
    try:
        machine.execute(f"systemctl start {EATER}", timeout=600)
        said = properties(machine, EATER, "Result", "ExecMainStatus", "InvocationID")
        matched = f"_SYSTEMD_INVOCATION_ID={said['InvocationID']}"
        said["journal"] = machine.succeed(
            f"journalctl --sync; journalctl --quiet --output=cat {matched}"
        )
        return said
    finally:
        machine.execute(f"systemctl reset-failed {EATER}")
        machine.succeed(f"rm -f /run/systemd/system/{EATER}", "systemctl daemon-reload")
