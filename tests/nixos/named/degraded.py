"""degraded: with Redis, then Qdrant, then Lemonade gone, it answers, says so, and recovers.

One after the other they are stopped and stay so. Each time a question is answered, ``/ready`` and
the health check name the part (lesson 14); when all are back, nothing else is done to it.
"""

from __future__ import annotations

import re

from tests.nixos.coordinator import Coordinator
from tests.nixos.journal import Journal
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, HEALTH, main_pid, properties

SUMMARY = re.compile(
    r"(ok: all \d+ parts are well|warning: \d+ of \d+ parts not well (?P<bad>\(.*\)))"
)
STOPPED = (
    ("redis-hybrid-ai.service", r"cache", {"degraded"}, "redis"),
    ("qdrant.service", r"collection\..*", {"degraded"}, "qdrant"),
    (
        "lemonade-server.service fake-local.service",
        r"backend\.(lemonade|fake)",
        {"down"},
        "backend.lemonade",
    ),
)
"""Units, their part in ``/ready`` with the state it then has, and its name in the health check."""

PRACTICE = {
    "title": "Close the shutters before a storm",
    "category": "degraded",
    "description": "Wind from the west lifts shutters that are not bolted.",
}


@named("degraded", scenarios=("full",))
def degraded(machines: Machines) -> None:
    """Without its stores and its local model it answers, names what is missing, and recovers."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_part(r"cache|collection\..*|backend\.(lemonade|fake|remote)", {"ready"})
    pid = main_pid(machine)
    stored = coordinator.store("best-practices", PRACTICE)
    question = "What happens to shutters in a storm?"
    before = _health(machine)
    missing: set[str] = set()
    for number, (units, part, states, name) in enumerate(STOPPED):
        machine.succeed(f"systemctl stop {units}")
        reply = coordinator.answered(f"Who answers when {number + 1} parts are away?", fresh=True)
        machine.log(f"without {units}: answered by {reply.route}")
        coordinator.wait_until_part(part, states)
        missing.add(name)
        named_too = _health(machine)
        assert missing <= named_too, f"the health check names {named_too}, not all of {missing}"
    reply = coordinator.answered("And who answers now?", fresh=True)
    assert reply.route.startswith("remote:remote/"), f"answered by {reply.route}"
    assert coordinator.request("GET", "/ready").status == 200

    for units, *_ in STOPPED:
        machine.succeed(f"systemctl start {units}")
    coordinator.wait_until_part(
        r"cache|collection\..*|backend\.(lemonade|fake|remote)", {"ready"}, timeout=180
    )
    _recovered(coordinator, question, stored[0])
    assert _health(machine) == before, "the health check still names what is back"
    assert main_pid(machine) == pid, "it did not recover by itself: it was restarted"
    assert properties(machine, COORDINATOR, "ActiveState")["ActiveState"] == "active"


def _recovered(coordinator: Coordinator, question: str, stored: str) -> None:
    """Knowledge is found, the cache keeps answers, and the local model answers."""
    found = coordinator.search(PRACTICE["description"], collections=["best-practices"])
    assert stored in [hit["id"] for hit in found], f"the item is not found: {found}"
    remote = coordinator.backends["remote"]["models"][0]["name"]
    coordinator.answered(question, model=remote, fresh=True)
    again = coordinator.answered(question, model=remote)
    assert again.cache == "exact", f"after Redis came back the cache took part as '{again.cache}'"
    model = coordinator.backends["lemonade"]["models"][0]["name"]
    local = coordinator.answered("Is the local model back?", model=model, fresh=True)
    assert local.route == f"local:lemonade/{model}", local.route


def _health(machine: Machine) -> set[str]:
    """The parts that the health check, run as its timer runs it, says are not well."""
    journal = Journal(machine)
    machine.succeed(f"systemctl start {HEALTH}")
    said = journal.text(HEALTH)
    found = SUMMARY.search(said)
    assert found, f"the health check gave no summary: {said}"
    names = set(re.findall(r"[\w.-]+(?=[,;)])", found["bad"] or ""))
    # 1 says that others stand in for what is missing.
    ended = int(properties(machine, HEALTH, "ExecMainStatus")["ExecMainStatus"])
    assert ended == (1 if names else 0), f"the health check ended with {ended}: {said}"
    return names
