"""outbox-survives-kill: what was acknowledged of interactions and outcomes outlives kill -9.

Clients track interactions and post outcomes while the service is killed, and write down what was
acknowledged; each of it is there afterwards, as it was sent. Where Qdrant is a server of its own,
the same once more while that is away: accepted, kept over a kill, delivered once it is back.
"""

from __future__ import annotations

import json
from typing import Any

from tests.nixos.background import FOLDER, Background
from tests.nixos.coordinator import Coordinator
from tests.nixos.jobs import by_hand
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import (
    COORDINATOR,
    has_unit,
    is_emulated,
    properties,
    wait_for_property,
)

AT_LEAST = 16
"""Interactions and outcomes that are acknowledged before the kill, and after it again."""
ACKNOWLEDGED = f"{FOLDER}/tracked"
UNTIL = f"{FOLDER}/track.until"
QDRANT = "qdrant.service"

MEANWHILE: dict[str, Any] = {
    "query": "Which bell is rung for the night watch?",
    "response": "The small one, twice, after the gate is closed.",
    "model_used": "somebody-else",
    "tokens_used": 42,
}


@named("outbox-survives-kill", scenarios=("minimal", "full"), qemu=True, fails=(COORDINATOR,))
def outbox_survives_kill(machines: Machines) -> None:
    """No acknowledged interaction or outcome is lost by a kill, with Qdrant or without."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_ready()
    with by_hand(machine):
        _killed_under_load(machine, coordinator)
        if has_unit(machine, QDRANT):
            _killed_while_qdrant_is_away(machine, coordinator)


def _killed_under_load(machine: Machine, coordinator: Coordinator) -> None:
    key = ["--key-file", coordinator.key_file] if coordinator.key_file else []
    common = ["--address", coordinator.address, "--acknowledged", ACKNOWLEDGED, *key]
    emulated = is_emulated(machine)
    at_least, patience, clients, kills = (4, 240, 2, 1) if emulated else (AT_LEAST, 60, 8, 3)
    load = ["--clients", str(clients), "--patience", str(patience)]
    machine.succeed(f"mkdir -p {FOLDER}; rm -f {UNTIL} {ACKNOWLEDGED}")
    tracking = Background(
        machine, "track", "trackers.py", "write", *common, *load, "--until", UNTIL
    )
    for _ in range(kills):
        _wait_for_more(machine, at_least)
        _kill(machine)
    _wait_for_more(machine, at_least)
    machine.succeed(f"touch {UNTIL}")
    report = tracking.report()
    machine.log(f"killed while interactions were tracked: {json.dumps(report)}")
    assert any(name.endswith("Cut") for name in report), f"the kill met no request: {report}"
    strange = {name for name in report if not name.endswith((": 200", "Cut"))}
    assert not strange, f"something was refused: {report}"

    coordinator.wait_until_ready()
    found = Background(machine, "tracked", "trackers.py", "check", *common).report()
    assert found["interactions"] + found["outcomes"] >= 2 * at_least, found
    assert found["outcomes"] > 0, found
    assert found["wrong"] == 0, f"acknowledged, and not there or not as sent: {json.dumps(found)}"


def _killed_while_qdrant_is_away(machine: Machine, coordinator: Coordinator) -> None:
    machine.succeed(f"systemctl stop {QDRANT}")
    try:
        tracked = coordinator.track(**MEANWHILE)
        coordinator.turned_out(tracked, outcome="failure", user_feedback=-1)
        _kill(machine)
        coordinator.wait_until_ready()
        found = coordinator.interaction(tracked)
        wanted = {**MEANWHILE, "outcome": "failure", "user_feedback": -1}
        assert {name: found.get(name) for name in wanted} == wanted, found
    finally:
        machine.succeed(f"systemctl start {QDRANT}")
    coordinator.wait_until_part(r"collection\..*", {"ready"})
    coordinator.wait_until_delivered(tracked)
    hits = coordinator.search(MEANWHILE["query"], collections=["interaction-history"])
    told = [hit["payload"]["outcome"] for hit in hits if hit["id"] == tracked]
    assert told == ["failure"], f"delivered, but Qdrant has not it once with its outcome: {hits}"


def _wait_for_more(machine: Machine, at_least: int) -> None:
    """Wait until some more records were acknowledged."""
    count = machine.succeed(f"wc -l < {ACKNOWLEDGED} 2>/dev/null || echo 0").strip()
    wanted = int(count) + at_least
    machine.wait_until_succeeds(f"test $(wc -l < {ACKNOWLEDGED}) -ge {wanted}", timeout=300)


def _kill(machine: Machine) -> None:
    """Kill everything of the service at once and wait until systemd has another that is ready."""
    restarts = int(properties(machine, COORDINATOR, "NRestarts")["NRestarts"])
    machine.succeed(f"systemctl kill --signal=KILL {COORDINATOR}")
    wait_for_property(machine, COORDINATOR, "NRestarts", f"^{restarts + 1}$")
    wait_for_property(machine, COORDINATOR, "SubState", "^running$", timeout=120)
