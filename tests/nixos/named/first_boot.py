"""first-boot: from a machine without any state to READY and an answer, with nothing done by hand.

All state of the stack is taken away and the target is started, which is all that a first boot does.
"""

from __future__ import annotations

from tests.nixos.coordinator import Coordinator
from tests.nixos.journal import Journal
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, TARGET, properties, wait_for_property, wanted_units


@named("first-boot", scenarios=("minimal",))
def first_boot(machines: Machines) -> None:
    """An empty machine is READY, and answers, after nothing but the start of the target."""
    machine = machines["machine"]
    services = [unit for unit in wanted_units(machine) if unit.endswith(".service")]
    states = _state_directories(machine, services)
    assert "hybrid-ai" in states, states
    machine.succeed(f"systemctl stop {TARGET} {' '.join(wanted_units(machine))}")
    for name in states:
        machine.succeed(f"rm -rf /var/lib/private/{name} /var/lib/{name}")
    journal = Journal(machine)

    machine.succeed(f"systemctl start {TARGET}", timeout=300)
    for unit in services:
        machine.wait_for_unit(unit)
    wait_for_property(machine, COORDINATOR, "StatusText", "^ready: .*lemonade ✓", timeout=180)
    coordinator = Coordinator(machine)
    collections = {n: p for n, p in coordinator.parts().items() if n.startswith("collection.")}
    assert len(collections) == 5, collections
    for name, part in collections.items():
        assert part == {"state": "ready", "detail": "0 points"}, f"{name}: {part}"
    assert coordinator.answered("Is anybody there?").route.startswith("local:lemonade/")

    for unit in services:
        restarts = properties(machine, unit, "NRestarts")["NRestarts"]
        assert restarts == "0", f"{unit} needed {restarts} restarts"
    assert not journal.failed_units(), journal.failed_units()
    _state_is_the_services_alone(machine)


def _state_directories(machine: Machine, services: list[str]) -> list[str]:
    found = [properties(machine, unit, "StateDirectory")["StateDirectory"] for unit in services]
    return sorted({name for names in found for name in names.split()})


def _state_is_the_services_alone(machine: Machine) -> None:
    """Nobody else can look into the state, and everything in it is the one user's (lesson 8)."""
    state = "/var/lib/private/hybrid-ai"
    mode, user = machine.succeed(f"stat --format='%a %u' {state}").split()
    assert mode == "700", f"{state} has mode {mode}"
    assert user != "0", f"{state} is root's"
    others = machine.succeed(f"find {state} ! -uid {user}").split()
    assert not others, f"these belong to somebody else: {others}"
