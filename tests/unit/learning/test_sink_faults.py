"""Whatever call to the store fails while a record is delivered, the end is the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.knowledge import KnowledgeStore
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.learning.records import Outcome
from hybrid_coordinator.learning_settings import LearningSettings
from tests.unit.learning.history import HISTORY, KnowledgeRoom
from tests.unit.learning.sink_bench import ASKED, SKILL, SKILLS, Bench, Faulty, tracked


async def story(bench: Bench) -> None:
    """What is delivered of one interaction; each step again until it goes through."""

    async def stored() -> None:
        await bench.sink.store([tracked()])

    async def failed() -> None:
        await bench.settled(Outcome.FAILURE)

    async def praised() -> None:
        await bench.settled(Outcome.SUCCESS, 1)

    steps: list[Callable[[], Awaitable[None]]] = [stored, failed, praised]
    for step in steps:
        try:
            await step()
        except StoreUnavailable:
            await step()


async def end_of(bench: Bench) -> dict[str, Any]:
    return {
        "interaction": await bench.room.payload(HISTORY, ASKED),
        "skill": await bench.room.payload(SKILLS, SKILL),
        "queue": bench.queue.entries,
        "events": bench.events,
        "wrong": bench.called_wrong,
        "outcomes": [
            bench.value("hybrid_outcomes_total", outcome=outcome, source="client")
            for outcome in ("success", "failure")
        ],
        "scores": bench.value("hybrid_value_score_ratio_count"),
    }


@pytest.mark.parametrize("afterwards", [False, True], ids=["before it happened", "after"])
async def test_lesson_24_whichever_call_fails_the_end_is_as_if_none_had(
    embedder: FastembedEmbedder, afterwards: bool
) -> None:
    faulty: list[Faulty] = []

    def around(store: KnowledgeStore) -> KnowledgeStore:
        faulty.append(Faulty(store))
        made: Any = faulty[0]
        return made  # type: ignore[no-any-return]

    room = await KnowledgeRoom.open(embedder, around)

    async def run(fails_at: int | None) -> tuple[dict[str, Any], int]:
        bench = Bench(room, LearningSettings(high_value_threshold=0.6))
        await bench.seeded()
        faulty[0].calls, faulty[0].fails_at, faulty[0].afterwards = 0, fails_at, afterwards
        await story(bench)
        calls, faulty[0].fails_at = faulty[0].calls, None
        end = await end_of(bench)
        for collection, id_ in ((HISTORY, ASKED), (SKILLS, SKILL)):
            assert await room.knowledge.delete(collection, [id_], "anna") == 1
        return end, calls

    undisturbed, calls = await run(None)
    assert undisturbed["queue"]
    assert len(undisturbed["events"]) == 4
    assert calls > 30
    for fails_at in range(1, calls + 1):
        end, _ = await run(fails_at)
        assert end == undisturbed, f"call {fails_at} of {calls}"
    await room.knowledge.aclose()
