"""boots: everything that is switched on is active, and nothing in the journal failed.

Looks at each machine as it booted, before any other test touches it.
"""

from __future__ import annotations

from tests.nixos.journal import Journal
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import TARGET, properties, wanted_units

SCENARIOS = ("minimal", "full", "remote-stores", "two-coordinators", "upgrade")
EVERYWHERE = {"hybrid-coordinator.socket", "hybrid-coordinator.service"}


@named("boots", scenarios=SCENARIOS, qemu=True)
def boots(machines: Machines) -> None:
    """Every enabled unit is active and no unit failed since the machine's boot."""
    for machine in machines.values():
        if machine.execute(f"systemctl cat {TARGET}", check_return=True)[0] == 0:
            _stack_is_up(machine)
        problems = Journal(machine, since_boot=True).problems()
        assert not problems, f"since its boot, '{machine.name}' has:\n" + "\n".join(problems)
        # "degraded" is a machine on which some unit failed, whoever's.
        state = machine.wait_until_succeeds(
            "systemctl is-system-running | grep --extended-regexp 'running|degraded'"
        )
        assert state.strip() == "running", f"'{machine.name}' is {state.strip()}"


def _stack_is_up(machine: Machine) -> None:
    machine.wait_for_unit(TARGET)
    units = wanted_units(machine)
    missing = EVERYWHERE - set(units)
    assert not missing, f"{TARGET} does not want {sorted(missing)}; it wants {units}"
    for unit in units:
        if unit.endswith(".timer"):
            machine.wait_for_unit(unit)
            continue
        kind = properties(machine, unit, "Type", "LoadState", "RemainAfterExit")
        assert kind["LoadState"] == "loaded", f"{unit} is {kind['LoadState']}"
        if kind["Type"] == "oneshot" and kind["RemainAfterExit"] == "no":
            # It was started with the target and has ended: what counts is how.
            machine.wait_until_fails(f"systemctl is-active --quiet {unit}")
            result = properties(machine, unit, "Result")["Result"]
            assert result == "success", f"{unit} ended as '{result}'"
        else:
            machine.wait_for_unit(unit)
    started = [unit for unit in units if unit.endswith((".service", ".socket"))]
    for unit in started:
        restarts = properties(machine, unit, "NRestarts")["NRestarts"]
        assert restarts in ("", "0"), f"{unit} was restarted {restarts} times while booting"
