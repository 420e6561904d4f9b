"""kill: kill -9 under load, several times; it is back by itself, and all that was promised is
there.

Clients store knowledge, search and ask all the while, and write down what was acknowledged. After
the last kill each acknowledged item is looked up and compared with what was sent.
"""

from __future__ import annotations

import json

from tests.nixos.background import FOLDER, Background
from tests.nixos.coordinator import Coordinator
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import (
    COORDINATOR,
    HEALTH,
    is_emulated,
    main_pid,
    properties,
    wait_for_property,
)

# Both are fewer where the processor is emulated.
KILLS = 3
AT_LEAST = 8
"""Items that are acknowledged between two kills."""
ACKNOWLEDGED = f"{FOLDER}/acknowledged"
UNTIL = f"{FOLDER}/kill.until"

BEFORE = {
    "error_message": "E77: the kiln does not reach its temperature",
    "error_type": "KilnError",
    "solution": "Replace the third heating coil, then calibrate the probe.",
}


@named("kill", scenarios=("minimal", "full"), qemu=True, fails=(COORDINATOR, HEALTH))
def kill(machines: Machines) -> None:
    """After each kill it comes back by itself; no acknowledged item is lost."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_ready()
    stored = coordinator.store("error-solutions", BEFORE)[0]
    key = ["--key-file", coordinator.key_file] if coordinator.key_file else []
    common = ["--address", coordinator.address, "--acknowledged", ACKNOWLEDGED, *key]
    machine.succeed(f"mkdir -p {FOLDER}; rm -f {UNTIL} {ACKNOWLEDGED}")
    emulated = is_emulated(machine)
    kills, at_least = (2, 2) if emulated else (KILLS, AT_LEAST)
    load = ["--writers", "2", "--askers", "1", "--patience", "240"] if emulated else []
    writers = Background(
        machine, "writers", "writers.py", "write", *common, *load, "--until", UNTIL
    )
    for _ in range(kills):
        _wait_for_more(machine, at_least)
        _kill(machine)
    _wait_for_more(machine, at_least)
    machine.succeed(f"touch {UNTIL}")
    report = writers.report()
    machine.log(f"killed {kills} times under load: {json.dumps(report)}")

    cut = {name: count for name, count in report.items() if not name.endswith(": 200")}
    assert any(name.endswith("Cut") for name in cut), f"no kill met a request: {report}"
    refused = {name for name in cut if "Refused" in name}
    assert not refused, f"systemd holds the socket, so nobody may be refused: {report}"
    assert report.get("ask: 200", 0) > 0, f"nobody was answered under load: {report}"

    coordinator.wait_until_ready()
    check = Background(machine, "check", "writers.py", "check", *common)
    found = check.report()
    assert found["acknowledged"] >= (kills + 1) * at_least, found
    assert found["missing"] == 0, f"acknowledged items are lost: {json.dumps(found)}"
    hits = coordinator.search(BEFORE["error_message"], collections=["error-solutions"])
    match = [hit["payload"] for hit in hits if hit["id"] == stored]
    assert match, f"what was stored before the kills is not found: {hits}"
    assert {name: match[0][name] for name in BEFORE} == BEFORE, match
    _stores_are_whole(coordinator, found["acknowledged"])
    coordinator.answered("Do you still answer?", fresh=True, max_tokens=4)
    # A check that ran meanwhile may have found it dead, and failed; now it is well.
    machine.succeed(f"systemctl start {HEALTH}")


def _wait_for_more(machine: Machine, at_least: int) -> None:
    """Wait until some more items were acknowledged."""
    count = machine.succeed(f"wc -l < {ACKNOWLEDGED} 2>/dev/null || echo 0").strip()
    wanted = int(count) + at_least
    machine.wait_until_succeeds(f"test $(wc -l < {ACKNOWLEDGED}) -ge {wanted}", timeout=300)


def _kill(machine: Machine) -> None:
    """Kill its process and wait until systemd has another that is ready."""
    pid = main_pid(machine)
    restarts = int(properties(machine, COORDINATOR, "NRestarts")["NRestarts"])
    machine.succeed(f"kill -KILL {pid}")
    wait_for_property(machine, COORDINATOR, "NRestarts", f"^{restarts + 1}$")
    wait_for_property(machine, COORDINATOR, "SubState", "^running$", timeout=120)
    assert main_pid(machine) != pid


def _stores_are_whole(coordinator: Coordinator, acknowledged: int) -> None:
    parts = coordinator.parts()
    bad = {n: p for n, p in parts.items() if n.startswith("collection.") and p["state"] != "ready"}
    assert not bad, f"after the kills: {bad}"
    points = int(parts["collection.best-practices"]["detail"].split()[0].replace(",", ""))
    assert points >= acknowledged, f"{points} points, but {acknowledged} were acknowledged"
