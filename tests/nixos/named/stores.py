"""remote-stores and two-coordinators: knowledge and cache on another machine, shared or not.

Where the stores are elsewhere, nothing of them is kept here, and an outage of theirs is survived.
Two coordinators on the same stores know what either was taught, and serve each other's answers.
"""

from __future__ import annotations

from tests.nixos.coordinator import Coordinator
from tests.nixos.machine import Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, has_unit

PRIVATE = "/var/lib/private/hybrid-ai"
STORES = "redis-stores.service qdrant.service"

PRACTICE = {
    "title": "Tune the harpsichord before every concert",
    "category": "music",
    "description": "Its strings follow the humidity of the hall within hours.",
}
QUESTION = "Why does a harpsichord go out of tune?"
ANOTHER = {"title": "Keep the lid closed over night", "category": "music"}


@named("remote-stores", scenarios=("remote-stores",))
def remote_stores(machines: Machines) -> None:
    """Knowledge and answers are kept on the other machine, and survive a restart of this one."""
    machine, stores = machines["machine"], machines["stores"]
    for unit in ("redis-hybrid-ai.service", "qdrant.service"):
        assert not has_unit(machine, unit), f"{unit} is switched on here, too"
    coordinator = Coordinator(machine)
    coordinator.wait_until_part(r"cache|collection\..*|backend\.lemonade", {"ready"}, timeout=180)
    for part in ("qdrant", "redis"):
        assert "stores" in coordinator.settings[part]["url"], coordinator.settings[part]

    stored = coordinator.store("best-practices", PRACTICE)[0]
    first = coordinator.answered(QUESTION, fresh=True, max_tokens=200, stop=["\n"])
    machine.succeed(f"systemctl restart {COORDINATOR}")
    coordinator.wait_until_ready()
    again = coordinator.answered(QUESTION, max_tokens=200, stop=["\n"])
    assert (again.cache, again.answer) == ("exact", first.answer), (again.cache, again.route)
    hits = coordinator.search(PRACTICE["description"], collections=["best-practices"])
    assert stored in [hit["id"] for hit in hits], hits
    machine.fail(f"test -e {PRIVATE}/knowledge")

    stores.succeed(f"systemctl stop {STORES}")
    alone = coordinator.answered("Who answers while the stores are away?", fresh=True)
    assert alone.route.startswith("local:lemonade/"), alone.route
    coordinator.wait_until_part(r"cache|collection\..*", {"degraded"})
    stores.succeed(f"systemctl start {STORES}")
    coordinator.wait_until_part(r"cache|collection\..*", {"ready"}, timeout=180)
    hits = coordinator.search(PRACTICE["description"], collections=["best-practices"])
    assert stored in [hit["id"] for hit in hits], f"gone after the stores came back: {hits}"


@named("two-coordinators", scenarios=("two-coordinators",))
def two_coordinators(machines: Machines) -> None:
    """What one has answered or was taught, the other serves; one can go without the other."""
    first, second = Coordinator(machines["first"]), Coordinator(machines["second"])
    for coordinator in (first, second):
        coordinator.wait_until_part(r"cache|collection\..*|backend\..*", {"ready"}, timeout=180)

    asked = first.answered(QUESTION)
    assert asked.cache == "miss", f"the first question was served as '{asked.cache}'"
    served = second.answered(QUESTION)
    assert served.cache == "exact", f"the second coordinator's cache took part as '{served.cache}'"
    assert served.answer == asked.answer, "it served another answer"
    assert served.headers["x-hybrid-interaction-id"] != asked.headers["x-hybrid-interaction-id"]

    stored = first.store("best-practices", PRACTICE)[0]
    hits = second.search(PRACTICE["description"], collections=["best-practices"])
    assert stored in [hit["id"] for hit in hits], f"the second one does not find it: {hits}"
    # Knowledge changed, so what was answered before it is stale for both (lesson 19).
    assert second.answered(QUESTION).cache == "miss", "a stale answer was served"
    assert first.answered(QUESTION).cache == "exact", "the newer answer is not shared"

    machines["first"].succeed("systemctl stop hybrid-ai.target")
    alone = second.answered(QUESTION)
    assert alone.cache == "exact", f"with the first one gone: '{alone.cache}'"
    second.store("best-practices", ANOTHER)
    machines["first"].succeed("systemctl start hybrid-ai.target")
    first.wait_until_ready()
    hits = first.search(ANOTHER["title"], collections=["best-practices"])
    titles = [hit["payload"]["title"] for hit in hits]
    assert ANOTHER["title"] in titles, f"the first one does not know what it missed: {titles}"
