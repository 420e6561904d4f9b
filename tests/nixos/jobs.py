"""The stack's jobs under a test's hand: their timers held back, a run started and waited for.

What a job must have done is the tests' matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.nixos.journal import Journal
from tests.nixos.machine import Machine
from tests.nixos.units import properties, wanted_units

__all__ = ["DASHBOARD", "EXTRACTION", "by_hand", "run"]

DASHBOARD = "hybrid-ai-dashboard-data.service"
EXTRACTION = "hybrid-ai-pattern-extraction.service"


@contextmanager
def by_hand(machine: Machine) -> Iterator[None]:
    """No job runs but those that the test starts; afterwards the timers fire again."""
    timers = [unit for unit in wanted_units(machine) if unit.endswith(".timer")]
    machine.succeed(f"systemctl stop {' '.join(timers)}")
    try:
        for timer in timers:
            job = properties(machine, timer, "Unit")["Unit"]
            machine.wait_until_fails(
                f"systemctl show {job} --property=ActiveState | grep activating"
            )
        yield
    finally:
        machine.succeed(f"systemctl start {' '.join(timers)}")


def run(machine: Machine, job: str) -> str:
    """Start a job, which must end well; what it said."""
    journal = Journal(machine)
    machine.succeed(f"systemctl start {job}", timeout=600)
    ended = properties(machine, job, "Result", "ExecMainStatus")
    said = journal.text(job)
    assert ended["Result"] == "success", f"{job} ended with {ended}: {said}"
    return said
