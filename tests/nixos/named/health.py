"""health-names-the-dead-part: each enabled part is stopped in turn, is named, and is well again.

Lesson 14, for stores, model servers, the paid API, every timer and the coordinator itself. What the
check said before is the measure: a machine may have something to say of itself all the time.
"""

from __future__ import annotations

import json
import shlex

from tests.nixos.coordinator import Coordinator
from tests.nixos.jobs import by_hand
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, HEALTH, SOCKET, wanted_units

STOPPED = (
    ("redis-hybrid-ai.service", "redis"),
    ("qdrant.service", "qdrant"),
    ("lemonade-server.service fake-local.service", "backend.lemonade"),
    ("ollama.service", "backend.ollama"),
    ("fake-remote.service", "backend.remote"),
)
"""Units, and the part that is away without them."""


@named("health-names-the-dead-part", scenarios=("full",), fails=(HEALTH,))
def health_names_the_dead_part(machines: Machines) -> None:
    """Each part that is stopped makes the check exit with another status than 0 and is named."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_part(r"cache|collection\..*|backend\.(lemonade|fake|remote)", {"ready"})
    before = _bad(coordinator)[1]
    timers = [unit for unit in wanted_units(machine) if unit.endswith(".timer")]
    for units, part in (*STOPPED, *((timer, "timers") for timer in timers)):
        machine.succeed(f"systemctl stop {units}")
        try:
            status, bad = _bad(coordinator)
            assert status != 0, f"without {units} the check exits with 0"
            assert part in bad, f"without {units} the check names {sorted(bad)}, not {part}"
        finally:
            machine.succeed(f"systemctl start {units}")
        _wait_until_well(machine, coordinator, set(before))
    # The jobs need the coordinator: none runs while it is away.
    with by_hand(machine):
        machine.succeed(f"systemctl stop {SOCKET} {COORDINATOR}")
        try:
            status, bad = _bad(coordinator)
            assert (status, bad["coordinator"]) == (2, "critical"), (status, bad)
        finally:
            machine.succeed(f"systemctl start {SOCKET} {COORDINATOR}")
    coordinator.wait_until_ready()
    _wait_until_well(machine, coordinator, set(before))


def _bad(coordinator: Coordinator) -> tuple[int, dict[str, str]]:
    """The exit status, and each part that is not well with its level."""
    status, output = coordinator.health()
    document = json.loads(output)
    assert document["exit_status"] == status, output
    return status, {
        part["name"]: part["level"]
        for part in document["parts"]
        if part["level"] not in ("ok", "off")
    }


def _wait_until_well(machine: Machine, coordinator: Coordinator, besides: set[str]) -> None:
    """Until nothing is named but what was before."""
    program = (
        "import json, sys; parts = json.load(sys.stdin)['parts']; "
        "bad = {p['name'] for p in parts if p['level'] not in ('ok', 'off')}; "
        f"sys.exit(not bad <= set({sorted(besides)!r}))"
    )
    command = f"{coordinator.health_command} | python3 -c {shlex.quote(program)}"
    machine.wait_until_succeeds(command, timeout=240)
