"""notify: READY comes only once requests are answered and all parts are checked; STATUS is a line.

A service that says READY too early makes its clients fail (lesson 9). Here the moment of READY, as
systemd noted it, is compared with the moment of the first answer.
"""

from __future__ import annotations

import json
import re

from tests.nixos.background import FOLDER, Background
from tests.nixos.coordinator import Coordinator
from tests.nixos.jobs import by_hand
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import (
    COORDINATOR,
    SOCKET,
    monotonic,
    properties,
    wait_for_property,
)

EARLY = 0.2
"""Share of the start's time by which the first answer may come after READY."""
SLACK = 0.5
"""Seconds more: a client has to be scheduled, too."""
PROMETHEUS = "prometheus.service"
STATUS = re.compile(r"ready: .*\b5 collections, [\d,]+ (point|item)s?")


@named("notify", scenarios=("minimal", "full"), qemu=True, fails=(COORDINATOR,))
def notify(machines: Machines) -> None:
    """The port answers when READY is said; STATUS names the parts; no embedder, no READY."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    kind = properties(machine, COORDINATOR, "Type", "NotifyAccess")
    assert kind == {"Type": "notify-reload", "NotifyAccess": "main"}, kind
    # Nobody else shall connect meanwhile, and so start it: the socket would.
    scraped = machine.systemctl(f"is-active {PROMETHEUS}")[0] == 0
    with by_hand(machine):
        if scraped:
            machine.succeed(f"systemctl stop {PROMETHEUS}")
        try:
            _ready_is_said_when_the_port_answers(machine, coordinator)
            _status_is_a_line_for_people(machine, coordinator)
            _not_ready_without_an_embedder(machine, coordinator)
        finally:
            if scraped:
                machine.succeed(f"systemctl start {PROMETHEUS}")


def _ready_is_said_when_the_port_answers(machine: Machine, coordinator: Coordinator) -> None:
    machine.succeed(f"systemctl stop {COORDINATOR}", f"systemctl start {SOCKET}")
    state = properties(machine, COORDINATOR, "ActiveState")["ActiveState"]
    assert state == "inactive", f"{COORDINATOR} is {state} after it was stopped"
    # The socket is systemd's: this client waits in its queue, and is what starts the service.
    client = Background(machine, "first-client", "timed.py", coordinator.address)
    seen = wait_for_property(machine, COORDINATOR, "ActiveState", "^(activating|active)$")
    assert seen == "activating", "it was active at once: READY cannot mean that anything is loaded"
    wait_for_property(machine, COORDINATOR, "ActiveState", "^active$")
    answer = json.loads(client.finished())
    started = monotonic(machine, COORDINATOR, "ExecMainStartTimestampMonotonic")
    ready = monotonic(machine, COORDINATOR, "ActiveEnterTimestampMonotonic")
    assert answer["status"] == 200, answer
    late = answer["answered"] - ready
    allowed = EARLY * (ready - started) + SLACK
    assert late < allowed, (
        f"READY was said {ready - started:.2f} s after the start, but the first answer came "
        f"{late:.2f} s after that: it was said too early"
    )
    parts = coordinator.parts()
    assert parts["embedder"]["state"] == "ready", parts
    collections = [part for name, part in parts.items() if name.startswith("collection.")]
    assert len(collections) == 5, parts
    assert {part["state"] for part in collections} == {"ready"}, parts


def _status_is_a_line_for_people(machine: Machine, coordinator: Coordinator) -> None:
    coordinator.wait_until_ready()
    text = wait_for_property(machine, COORDINATOR, "StatusText", "^ready: .*lemonade ✓")
    assert STATUS.search(text), f"STATUS is {text!r}"
    missing = [name for name in coordinator.backends if name not in text]
    assert not missing, f"STATUS {text!r} does not name {missing}"
    assert "\n" not in text, text


def _not_ready_without_an_embedder(machine: Machine, coordinator: Coordinator) -> None:
    """With a folder that holds no model it never becomes active, and says why."""
    settings = {**coordinator.settings, "embedder": {"folder": f"{FOLDER}/no-model"}}
    drop_in = "/run/systemd/system/hybrid-coordinator.service.d/50-no-embedder.conf"
    command = properties(machine, COORDINATOR, "ExecStart")["ExecStart"]
    program = re.search(r"path=(\S+)", command)
    assert program, command
    machine.succeed(
        f"mkdir -p {FOLDER}/no-model {drop_in.rpartition('/')[0]}",
        f"cat > {FOLDER}/no-embedder.json <<'JSON'\n{json.dumps(settings)}\nJSON",
        f"chmod -R a+rX {FOLDER}",
        f"printf '[Service]\\nExecStart=\\nExecStart={program[1]} serve"
        f" --config {FOLDER}/no-embedder.json\\n' > {drop_in}",
        f"systemctl stop {COORDINATOR}",
        "systemctl daemon-reload",
    )
    try:
        machine.fail(f"systemctl start {COORDINATOR}")
        state = properties(machine, COORDINATOR, "ActiveState")["ActiveState"]
        assert state != "active", "it is active without an embedder"
        said = machine.succeed(f"journalctl --quiet --unit={COORDINATOR} --lines=50 --output=cat")
        assert "no-model" in said, f"the journal does not say what is missing: {said}"
    finally:
        machine.succeed(
            f"rm {drop_in}",
            "systemctl daemon-reload",
            f"systemctl stop {COORDINATOR}",
            f"systemctl reset-failed {COORDINATOR} {SOCKET}",
            f"systemctl start {SOCKET} {COORDINATOR}",
        )
    coordinator.wait_until_ready()
