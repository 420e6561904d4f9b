"""upgrade: the state of an earlier version is read, whole, and lived on in (lesson 26).

The state is in ``tests/nixos/upgrade-state``, whose README says how it was made. It is put in place
as an administrator restores a state directory: as root, with the service stopped.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.nixos.background import FOLDER
from tests.nixos.coordinator import Coordinator
from tests.nixos.jobs import by_hand
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, SOCKET

STATE = Path(__file__).parents[1] / "upgrade-state"
PRIVATE = "/var/lib/private/hybrid-ai"

PARTS = ("complexity", "novelty", "outcome_quality", "reusability", "user_feedback")
HISTORY = "interaction-history"
ANSWERED = "80794186-97b8-5996-af4a-540d90eb6509"
"""The interaction that the earlier version stored, which knew no scores and no outbox."""

POINTS = {
    "best-practices": 5,
    "codebase-context": 1,
    "error-solutions": 1,
    HISTORY: 1,
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
        HISTORY,
        ANSWERED,
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
    _the_interaction_is_judged(coordinator)
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
    # No job may make files of its own meanwhile.
    with by_hand(machine):
        machine.succeed(
            f"systemctl stop {COORDINATOR} {SOCKET}",
            f"rm -rf {PRIVATE}; mkdir -p {PRIVATE}",
            f"python3 -m tarfile --extract {FOLDER}/state.tar.xz {PRIVATE}",
            f"chown -R root: {PRIVATE}",
            f"systemctl start {SOCKET} {COORDINATOR}",
            timeout=300,
        )


def _everything_is_found(coordinator: Coordinator, more: int = 0) -> None:
    parts = coordinator.parts()
    for name, wanted in POINTS.items():
        part = parts[f"collection.{name}"]
        count = int(part["detail"].split()[0])
        wanted += more if name == "best-practices" else 0
        # What is asked meanwhile is kept there, too.
        assert count == wanted or (name == HISTORY and count > wanted), f"{name}: {part}"
        assert part["state"] == "ready", f"{name}: {part}"
    for query, collection, id_, said in STORED:
        hits = coordinator.search(query, collections=[collection], limit=3)
        found = [hit for hit in hits if hit["id"] == id_]
        assert found, f"{query!r} does not find {id_} in {collection}: {json.dumps(hits)}"
        told = {name: found[0]["payload"].get(name) for name in said}
        assert told == said, f"{id_} says {told}, not {said}"


def _the_interaction_is_judged(coordinator: Coordinator) -> None:
    """It has the outcome that it had, and what is said of it now is kept and scored."""
    before = coordinator.interaction(ANSWERED)
    assert (before["response"], before["outcome"]) == ("Ninety seconds.", "success"), before
    coordinator.turned_out(ANSWERED, outcome="success")
    coordinator.turned_out(ANSWERED, user_feedback=1)
    coordinator.wait_until_delivered(ANSWERED)
    after = coordinator.interaction(ANSWERED)
    assert (after["outcome"], after["user_feedback"]) == ("success", 1), after
    # A score has its parts beside it now.
    assert after["scored"] > 0, after
    assert sorted(after["value_parts"]) == sorted(PARTS), after
    assert after["value_score"] >= 0.6, after


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
