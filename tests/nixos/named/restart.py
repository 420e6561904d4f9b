"""restart-without-drop: a restart under load refuses nobody and cuts nobody.

systemd holds the socket, so a client that connects while no process is there waits in its queue;
the old process finishes its answers before it ends. 32 clients stream slowly and 100 connect again
and again, from before the restart until after it.
"""

from __future__ import annotations

import json
from typing import Any

from tests.nixos.background import FOLDER, Background
from tests.nixos.coordinator import Coordinator
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, main_pid

STREAMS = 32
CLIENTS = 100
PIECES = 40
PAUSE = 0.4


class Crowd:
    """The clients, on their way."""

    def __init__(
        self, machine: Machine, coordinator: Coordinator, name: str, caller: str | None = None
    ) -> None:
        self._machine = machine
        self._until = f"{FOLDER}/{name}.until"
        under_way = f"{FOLDER}/{name}.under-way"
        machine.succeed(f"mkdir -p {FOLDER}; rm -f {self._until} {under_way}")
        model = coordinator.backends["remote"]["models"][0]["name"]
        key = ["--key-file", coordinator.key_file] if coordinator.key_file else []
        key += ["--caller", caller] if caller else []
        self._tool = Background(
            machine,
            name,
            "streams.py",
            *("--address", coordinator.address, "--model", model, *key),
            *("--streams", str(STREAMS), "--clients", str(CLIENTS)),
            *("--pieces", str(PIECES), "--pause", str(PAUSE)),
            *("--under-way", under_way, "--until", self._until),
        )
        machine.wait_for_file(under_way, timeout=120)

    def report(self) -> dict[str, Any]:
        """Tell the clients to end; what happened to them."""
        self._machine.succeed(f"touch {self._until}")
        report: dict[str, Any] = self._tool.report()
        return report


def all_served(report: dict[str, Any]) -> None:
    """None was refused, none cut, none wrong, none turned down."""
    counts = dict(report["counts"])
    whole, after = counts.pop("stream whole", 0), counts.pop("client answered after", 0)
    answered = counts.pop("client answered", 0)
    assert not counts, f"some were not served: {json.dumps(report)}"
    assert whole == STREAMS, f"{whole} of {STREAMS} streams were whole"
    assert after == CLIENTS, f"{after} of {CLIENTS} clients were answered afterwards"
    assert answered >= 2 * CLIENTS, f"{answered} requests are too few to have met the restart"


@named("restart-without-drop", scenarios=("full",))
def restart_without_drop(machines: Machines) -> None:
    """While it restarts, no stream is cut and no connection refused."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_part(r"backend\.remote", {"ready"})
    before = main_pid(machine)
    crowd = Crowd(machine, coordinator, "restart")
    machine.succeed(f"systemctl restart {COORDINATOR}", timeout=180)
    report = crowd.report()
    assert main_pid(machine) != before, "it was not restarted"
    machine.log(f"restarted under load: {json.dumps(report['counts'])}")
    all_served(report)
