"""timers: each timer fires by itself and its job succeeds; a job that fails calls OnFailure.

Nothing is started by hand until every timer has fired: what is waited for is its own time.
"""

from __future__ import annotations

from tests.nixos.coordinator import Coordinator
from tests.nixos.journal import Journal
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import (
    COORDINATOR,
    HEALTH,
    list_timers,
    monotonic,
    properties,
    wanted_units,
)

JOBS = ("dashboard-data", "health-check", "pattern-extraction")
TRIGGERED = "LastTriggerUSecMonotonic"
ENDED = "ExecMainExitTimestampMonotonic"
BACKENDS = (
    "fake-local.service",
    "fake-remote.service",
    "lemonade-server.service",
    "ollama.service",
)


@named("timers", scenarios=("full",), fails=(HEALTH,))
def timers(machines: Machines) -> None:
    """Every timer fires, every job succeeds, and a failed job starts the hook."""
    machine = machines["machine"]
    Coordinator(machine).wait_until_ready()
    ours = [unit for unit in wanted_units(machine) if unit.endswith(".timer")]
    assert set(ours) == {f"hybrid-ai-{job}.timer" for job in JOBS}
    listed = {timer["unit"]: timer for timer in list_timers(machine)}
    for timer in ours:
        assert timer in listed, f"{timer} is not in systemctl list-timers: {sorted(listed)}"
    _fire_and_succeed(machine, ours)
    _a_failed_job_calls_for_help(machine)


def _fire_and_succeed(machine: Machine, timers: list[str]) -> None:
    """Each fires once more than it had when all were first looked at: they wait side by side."""
    before = [
        (
            timer,
            job,
            properties(machine, timer, TRIGGERED)[TRIGGERED],
            monotonic(machine, job, ENDED),
        )
        for timer in timers
        for job in properties(machine, timer, "Unit").values()
    ]
    for timer, job, fired, ended in before:
        # As long as its interval is, and a little more: it was started some time ago.
        _wait_for_another(machine, timer, TRIGGERED, fired)
        _wait_for_another(machine, job, ENDED, str(int(ended * 1e6)))
        result = properties(machine, job, "Result", "ExecMainStatus")
        assert result["Result"] == "success", f"{job}: {result}"
        again = properties(machine, timer, "NextElapseUSecMonotonic", "NextElapseUSecRealtime")
        assert any(again.values()), f"{timer} will not fire again"


def _wait_for_another(machine: Machine, unit: str, name: str, before: str) -> None:
    show = f"systemctl show {unit} --property={name} --value"
    machine.wait_until_succeeds(f'test "$({show})" != "{before}"', timeout=100)


def _a_failed_job_calls_for_help(machine: Machine) -> None:
    """With every backend away the health check is critical, so its unit fails."""
    hooks = properties(machine, HEALTH, "OnFailure")["OnFailure"].split()
    assert hooks, f"{HEALTH} has no OnFailure"
    assert properties(machine, COORDINATOR, "OnFailure")["OnFailure"], "the service has none"
    started = {hook: monotonic(machine, hook, "InactiveEnterTimestampMonotonic") for hook in hooks}
    journal = Journal(machine)
    backends = " ".join(BACKENDS)
    machine.succeed(f"systemctl stop {backends}")
    try:
        machine.fail(f"systemctl start {HEALTH}")
        ended = properties(machine, HEALTH, "Result", "ExecMainStatus")
        assert ended == {"Result": "exit-code", "ExecMainStatus": "2"}, ended
        said = journal.text(HEALTH)
        for name in ("backend.lemonade", "backend.ollama", "backend.remote"):
            assert name in said, f"the health check does not name {name}: {said}"
        for hook in hooks:
            machine.wait_until_succeeds(
                f"test $(systemctl show {hook} --property=InactiveEnterTimestampMonotonic --value)"
                f" -gt {int(started[hook] * 1e6)}",
                timeout=30,
            )
            assert not journal.failed_units().get(hook), f"{hook} itself failed"
            said = journal.text(hook)
            assert f"failed: {HEALTH}" in said, f"{hook} was not told which unit failed"
    finally:
        machine.succeed(f"systemctl start {backends}", f"systemctl reset-failed {HEALTH}")
    Coordinator(machine).wait_until_ready()
    Coordinator(machine).wait_until_part(r"backend\.(lemonade|remote)", {"ready"}, timeout=180)
