"""dashboard-data-written: the job writes the dashboard's files, with or without a coordinator.

The numbers in them are those that the coordinator itself tells, and what was asked before is in
them. How they are counted is the unit tests' matter.
"""

from __future__ import annotations

import json
from typing import Any

from tests.nixos.coordinator import OPERATOR_KEY, Coordinator
from tests.nixos.jobs import DASHBOARD, by_hand, run
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, SOCKET, properties, wait_for_property

TIMER = DASHBOARD.replace(".service", ".timer")
FOLDER = "/var/lib/private/hybrid-ai/dashboard"
FILES = {
    "hybrid-coordinator.json",
    "learning-metrics.json",
    "rag-collections.json",
    "token-savings.json",
}
COUNTED = ("total_queries", "local_routing", "remote_routing", "cached", "tokens_saved")


@named("dashboard-data-written", scenarios=("minimal", "full"))
def dashboard_data_written(machines: Machines) -> None:
    """Two answers are in the files; without a coordinator they are too, and it is down."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_ready()
    assert properties(machine, TIMER, "Unit")["Unit"] == DASHBOARD
    # While its job runs, "running": then there is no next time yet.
    wait_for_property(machine, TIMER, "SubState", "^waiting$")
    with by_hand(machine):
        run(machine, DASHBOARD)
        before = _files(machine)["token-savings.json"]["total_queries"]
        for _ in range(2):
            coordinator.answered("What does the dashboard show of the harbour?")
        run(machine, DASHBOARD)
        written = _files(machine)
        savings = written["token-savings.json"]
        assert savings["total_queries"] == before + 2, savings
        told = _told(coordinator)
        assert {name: savings[name] for name in COUNTED} == {
            name: told["savings"][name] for name in COUNTED
        }
        service = written["hybrid-coordinator.json"]["service"]
        assert service["state"] in ("ready", "degraded"), service
        assert service["parts"].keys() == coordinator.parts().keys(), service
        collections = written["rag-collections.json"]["collections"]
        assert all(one["points"] is not None for one in collections), collections
        _without_a_coordinator(machine, savings)
    coordinator.wait_until_ready()


def _without_a_coordinator(machine: Machine, before: dict[str, Any]) -> None:
    # Its socket would start it again when the job asks.
    machine.succeed(f"systemctl stop {SOCKET} {COORDINATOR}")
    try:
        said = run(machine, DASHBOARD)
        assert "the service is down" in said, said
        written = _files(machine)
        service = written["hybrid-coordinator.json"]["service"]
        assert service["state"] == "down", service
        savings = written["token-savings.json"]
        assert {name: savings[name] for name in COUNTED} == {name: before[name] for name in COUNTED}
        assert all(
            one["points"] is None for one in written["rag-collections.json"]["collections"]
        ), "a number of a store that nobody asked"
    finally:
        machine.succeed(f"systemctl start {SOCKET} {COORDINATOR}")


def _files(machine: Machine) -> dict[str, Any]:
    """The files by name; they are the service's, and not for everybody to read."""
    listed = machine.succeed(f"cd {FOLDER} && stat --format='%n %U %a' *").split("\n")
    owner = machine.succeed(f"stat --format=%U {FOLDER}/..").strip()
    found = {}
    for line in filter(None, listed):
        name, user, mode = line.split()
        assert (user, mode) == (owner, "640"), line
        found[name] = json.loads(machine.succeed(f"cat {FOLDER}/{name}"))
        assert found[name]["version"] == 1, name
    assert found.keys() == FILES, found.keys()
    return found


def _told(coordinator: Coordinator) -> dict[str, Any]:
    key_file = OPERATOR_KEY if coordinator.key_file else None
    reply = coordinator.request("GET", "/v1/dashboard?range=30d", key_file=key_file)
    assert reply.status == 200, f"the figures: {reply.status}: {reply.text}"
    found: dict[str, Any] = reply.json
    return found
