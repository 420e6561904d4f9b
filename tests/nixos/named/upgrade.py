"""upgrade: the state of an earlier version is read, whole, and lived on in (lesson 26).

The state is in ``tests/nixos/upgrade-state``, whose README says how it was made. It is put in place
as an administrator restores a state directory: as root, with the service stopped.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.nixos.background import FOLDER
from tests.nixos.coordinator import Coordinator
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, SOCKET

STATE = Path(__file__).parents[1] / "upgrade-state"
PRIVATE = "/var/lib/private/hybrid-ai"

POINTS = {
    "best-practices": 5,
    "codebase-context": 1,
    "error-solutions": 1,
    "interaction-history": 1,
    "skills-patterns": 1,
}

STORED = (
    (
        "What do wet leaves over night lead to?",
        "best-practices",
        "e48eeb99-6bad-5e45-91ef-d3fb38376bbd",
        {"title": "Water before noon", "category": "greenhouse"},
    ),
    (
        "pump E42 says there is no pressure at valve seven",
        "error-solutions",
        "6dc9d07e-54c1-5b10-a534-1270dfcef6cb",
        {
            "solution": "Bleed the air from the feed line, then close and open valve seven once.",
            "success_count": 3,
        },
    ),
    (
        "How do I graft an apple tree?",
        "skills-patterns",
        "4394322f-0e4d-5c3b-a4c1-938dcdd82747",
        {"skill_name": "graft an apple tree", "status": "trusted", "helpful_count": 4},
    ),
    (
        "Which function opens a valve?",
        "codebase-context",
        "89c0f30a-7985-571f-8cd3-10b521027a6b",
        {"file_path": "irrigation/valves.py", "start_line": 3},
    ),
    (
        "For how long is valve seven open?",
        "interaction-history",
        "80794186-97b8-5996-af4a-540d90eb6509",
        {"response": "Ninety seconds.", "outcome": "success"},
    ),
)
"""A question, the item that must be found, and some of what it must say."""


@named("upgrade", scenarios=("upgrade",))
def upgrade(machines: Machines) -> None:
    """Knowledge, spending, telemetry and ingest of the earlier version are all there."""
    machine = machines["machine"]
    Coordinator(machine).wait_until_ready()
    _put_in_place(machine)
    coordinator = Coordinator(machine)
    coordinator.wait_until_ready()
    _everything_is_found(coordinator)
    _nothing_is_ingested_again(machine, coordinator)
    _files_are_continued(machine, coordinator)
    # Once more, from what the new version has made of it.
    coordinator.store("best-practices", {"title": "Oil the hinges of the greenhouse in spring"})
    machine.succeed(f"systemctl restart {COORDINATOR}")
    coordinator.wait_until_ready()
    _everything_is_found(coordinator, more=1)


def _put_in_place(machine: Machine) -> None:
    machine.succeed(f"mkdir -p {FOLDER}")
    machine.copy_from_host(str(STATE / "state.tar.xz"), f"{FOLDER}/state.tar.xz")
    machine.copy_from_host(str(STATE / "notes"), "/srv/notes")
    machine.succeed(
        f"systemctl stop {COORDINATOR} {SOCKET} hybrid-ai-health-check.timer",
        f"rm -rf {PRIVATE}; mkdir -p {PRIVATE}",
        f"python3 -m tarfile --extract {FOLDER}/state.tar.xz {PRIVATE}",
        f"chown -R root: {PRIVATE}",
        f"systemctl start {SOCKET} {COORDINATOR} hybrid-ai-health-check.timer",
        timeout=300,
    )


def _everything_is_found(coordinator: Coordinator, more: int = 0) -> None:
    parts = coordinator.parts()
    for name, count in POINTS.items():
        part = parts[f"collection.{name}"]
        count += more if name == "best-practices" else 0
        assert part == {"state": "ready", "detail": f"{count} points"}, f"{name}: {part}"
    for query, collection, id_, said in STORED:
        hits = coordinator.search(query, collections=[collection], limit=3)
        found = [hit for hit in hits if hit["id"] == id_]
        assert found, f"{query!r} does not find {id_} in {collection}: {json.dumps(hits)}"
        told = {name: found[0]["payload"].get(name) for name in said}
        assert told == said, f"{id_} says {told}, not {said}"


def _nothing_is_ingested_again(machine: Machine, coordinator: Coordinator) -> None:
    """The manifest of the ingest is read: the same notes are known, and a piece is found."""
    config = f"--config {coordinator.settings_file}"
    # As the service's user has to own what is in its state, so has a run by hand.
    said = machine.succeed(
        f"hybrid-coordinator ingest /srv/notes --collection best-practices --json {config}",
        "chown -R --reference=/var/lib/private/hybrid-ai/fence.key /var/lib/private/hybrid-ai",
    )
    report = json.loads(said)
    assert (report["unchanged"], report["pieces"]) == (2, 0), f"ingested again: {report}"
    hits = coordinator.search("Which valve feeds the orchids?", collections=["best-practices"])
    assert any("Valve seven feeds the orchids" in json.dumps(hit["payload"]) for hit in hits), hits


def _files_are_continued(machine: Machine, coordinator: Coordinator) -> None:
    """The events before are still the first ones, and the key of the fences is the old one."""
    coordinator.answered("Is the earlier telemetry still there?", fresh=True)
    events = f"{PRIVATE}/telemetry/events.jsonl"
    machine.wait_until_succeeds(f"test $(wc -l < {events}) -gt 10", timeout=60)
    first = json.loads(machine.succeed(f"head -n 1 {events}"))
    assert first["interaction_id"] == "01a20ef3-92fb-7765-94c2-864331e10ad1", first
    key = machine.succeed(f"cat {PRIVATE}/fence.key")
    assert key.startswith("fence-key-of-the-upgrade-test"), "the fences have another key"
