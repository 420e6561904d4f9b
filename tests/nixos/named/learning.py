"""extraction-runs and queue-waits-for-model: what turned out well becomes a pattern, by the job.

The stand-in of a local model answers what the test gives it, so that what is looked at is the way:
a good outcome puts the interaction into the queue, the job asks the model for JSON by a schema, and
the pattern is found by a search. Without a model it waits, and nothing fails.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from tests.nixos.coordinator import Coordinator
from tests.nixos.jobs import EXTRACTION, by_hand, run
from tests.nixos.machine import TOOLS, Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import is_emulated, list_timers

TIMER = EXTRACTION.replace(".service", ".timer")
STAND_IN = "fake-local.service"
LOCAL_MODELS = f"{STAND_IN} lemonade-server.service ollama.service"
EMPTY = {"waiting": 0, "claimed": 0, "dead": 0}
COLLECTION = "skills-patterns"


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question and the steps that answer it."""

    query: str
    steps: tuple[str, ...]
    command: str

    @property
    def response(self) -> str:
        """The answer, with its steps and a command as code."""
        numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(self.steps, 1))
        return f"{numbered}\n\n```\n{self.command}\n```\n"

    @property
    def document(self) -> dict[str, Any]:
        """What the model says of it: line 1 is the question, the steps are the lines after it."""
        return {"kind": "skill", "subject": 1, "steps": list(range(2, 2 + len(self.steps)))}


PRESS = Lesson(
    query="How do I ink the letterpress so that the type prints evenly?",
    steps=(
        "Warm the ink slab for ten minutes.",
        "Roll the ink out until the roller hisses.",
        "Ink the type in two thin passes.",
        "Pull a proof on scrap paper.",
        "Add packing where the proof is pale.",
    ),
    command="press --proof --packing=2",
)
LOOM = Lesson(
    query="How do I warp the hand loom without tangling the threads?",
    steps=(
        "Wind the warp on the warping frame with a cross.",
        "Tie the cross before you take it off.",
        "Spread the threads in the raddle.",
        "Roll the warp on with paper between the layers.",
        "Thread the heddles from the centre outwards.",
    ),
    command="loom --warp --ends=240",
)


@named("extraction-runs", scenarios=("minimal", "full"), qemu=True)
def extraction_runs(machines: Machines) -> None:
    """Asked, tracked, turned out well, extracted by the job, found by a search; once."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_part(r"backend\.fake|collection\..*", {"ready"})
    [timer] = [timer for timer in list_timers(machine) if timer["unit"] == TIMER]
    assert timer["activates"] == EXTRACTION, timer
    assert timer["next"], f"{TIMER} will never fire: {timer}"
    # Where the processor is emulated a run of a command takes half a minute: what is the same there
    # as in a container is left out.
    whole = not is_emulated(machine)
    with by_hand(machine):
        if whole:
            _an_answer_of_the_gateway_can_be_judged(coordinator)
        _the_model_answers(machine, coordinator, PRESS)
        tracked = _turned_out_well(coordinator, PRESS)
        before = _asked_for_json(machine, coordinator)
        run(machine, EXTRACTION)
        assert _asked_for_json(machine, coordinator) == before + 1, "the model was not asked once"
        _is_found_once(coordinator, PRESS, tracked)
        assert _counts(coordinator) == EMPTY, coordinator.queue()
        if whole:
            # Nothing is left to do, and nothing is done twice.
            run(machine, EXTRACTION)
            _is_found_once(coordinator, PRESS, tracked)


@named("queue-waits-for-model", scenarios=("full",))
def queue_waits_for_model(machines: Machines) -> None:
    """Without a local model the job ends well and the entry waits; with one it is extracted."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_part(r"backend\.fake|collection\..*", {"ready"})
    with by_hand(machine):
        _the_model_answers(machine, coordinator, LOOM)
        machine.succeed(f"systemctl stop {LOCAL_MODELS}")
        try:
            coordinator.wait_until_part(r"backend\.(fake|lemonade|ollama)", {"down"})
            tracked = _turned_out_well(coordinator, LOOM)
            said = run(machine, EXTRACTION)
            machine.log(f"without a local model: {said}")
            left = _counts(coordinator)
            assert left == {**EMPTY, "waiting": 1}, coordinator.queue()
            assert not _found(coordinator, LOOM, tracked), "a pattern without a model"
        finally:
            machine.succeed(f"systemctl start {LOCAL_MODELS}")
        coordinator.wait_until_part(r"backend\.(fake|lemonade)", {"ready"}, timeout=180)
        # The stand-in was started anew.
        _the_model_answers(machine, coordinator, LOOM)
        run(machine, EXTRACTION)
        assert _counts(coordinator) == EMPTY, coordinator.queue()
        _is_found_once(coordinator, LOOM, tracked)


def _an_answer_of_the_gateway_can_be_judged(coordinator: Coordinator) -> None:
    """What went through the gateway is tracked by itself, under the id that it was given."""
    question = "Who keeps the keys of the workshop?"
    asked = coordinator.answered(question, fresh=True)
    interaction = asked.headers["x-hybrid-interaction-id"]
    coordinator.turned_out(interaction, outcome="failure")
    found = coordinator.interaction(interaction)
    assert (found["query"], found["response"]) == (question, asked.answer), found
    assert (found["outcome"], found["outcome_source"]) == ("failure", "client"), found


def _turned_out_well(coordinator: Coordinator, lesson: Lesson) -> str:
    """Track the interaction and praise it; its id, once its outcome has reached the queue.

    A success, praise, steps, tools and turns make a score above 0.7, whatever else is known.
    """
    tracked = coordinator.track(
        query=lesson.query,
        response=lesson.response,
        model_used="elsewhere",
        tokens_used=200,
        turns=3,
        tool_calls=3,
    )
    coordinator.turned_out(tracked, outcome="success", user_feedback=1)
    coordinator.wait_until_delivered(tracked)
    waiting = [entry["interaction_id"] for entry in coordinator.queue()["entries"]]
    assert waiting == [tracked], f"{coordinator.interaction(tracked)} in {coordinator.queue()}"
    return tracked


def _counts(coordinator: Coordinator) -> dict[str, int]:
    view = coordinator.queue()
    return {name: view[name] for name in EMPTY}


def _found(coordinator: Coordinator, lesson: Lesson, interaction: str) -> list[dict[str, Any]]:
    """The patterns that a search finds and that this interaction taught."""
    hits = coordinator.search(lesson.query, collections=[COLLECTION], limit=10)
    return [h for h in hits if interaction in h["payload"].get("source_interactions", [])]


def _is_found_once(coordinator: Coordinator, lesson: Lesson, interaction: str) -> None:
    found = _found(coordinator, lesson, interaction)
    assert len(found) == 1, f"{interaction} taught {len(found)} patterns: {json.dumps(found)}"
    told = found[0]["payload"]
    missing = [step for step in lesson.steps if step not in json.dumps(told)]
    assert not missing, f"of the steps {missing} are not in {told}"
    assert (told["learned"], told["status"]) == (True, "candidate"), told


def _stand_in(
    machine: Machine, coordinator: Coordinator, method: str, path: str, *more: str
) -> Any:
    url = coordinator.backends["fake"]["base_url"] + path
    said = machine.succeed(shlex.join(["python3", f"{TOOLS}/ask.py", method, url, *more]))
    reply = json.loads(said)
    assert reply["status"] == 200, f"the stand-in answered {method} {path}: {reply}"
    return json.loads(reply["body"])


def _the_model_answers(machine: Machine, coordinator: Coordinator, lesson: Lesson) -> None:
    body = f"--body={json.dumps(lesson.document)}"
    _stand_in(machine, coordinator, "PUT", "/structured", body)


def _asked_for_json(machine: Machine, coordinator: Coordinator) -> int:
    """How often the stand-in was asked for JSON by a schema."""
    seen = _stand_in(machine, coordinator, "GET", "/seen")
    return int(seen["structured"])
