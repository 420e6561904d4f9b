"""A person's word about a pattern: retired, restored, and kept to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hybrid_coordinator.conversation import OPERATOR_CALLER, Caller
from hybrid_coordinator.errors import Forbidden, NotFound
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.learning.lifecycle import DAY
from hybrid_coordinator.learning.records import LearnedRef
from tests.unit.learning.history import KnowledgeRoom
from tests.unit.learning.patterns_bench import (
    CANDIDATE,
    COMMIT,
    RETIRED,
    SKILLS,
    TRUSTED,
    Bench,
)

ANNA = Caller("anna", "anna")
BERT = Caller("bert", "bert")


@pytest.fixture
async def bench(embedder: FastembedEmbedder) -> AsyncIterator[Bench]:
    room = await KnowledgeRoom.open(embedder)
    yield Bench(room)
    await room.knowledge.aclose()


async def taught(bench: Bench) -> LearnedRef:
    _, shelved = await bench.taught(COMMIT)
    assert shelved.ref is not None
    bench.events.clear()
    bench.room.changed.clear()
    return shelved.ref


async def test_a_retired_pattern_is_in_no_prompt_and_that_is_told_once(bench: Bench) -> None:
    ref = await taught(bench)
    assert await bench.shelf.set_status(ref, RETIRED, ANNA)
    assert (await bench.payload(ref))["status"] == "retired"
    assert bench.statuses() == [("retired", "by_hand")]
    assert bench.room.changed == [SKILLS]  # answers that were made with it leave the cache
    assert not await bench.shelf.set_status(ref, RETIRED, ANNA)
    assert len(bench.events) == 1
    assert await bench.shelf.refresh(ref) is RETIRED


async def test_a_restored_pattern_is_not_retired_again_by_what_was_known_then(
    bench: Bench,
) -> None:
    ref = await taught(bench)
    for _ in range(4):
        await bench.used(ref, "failure")
    assert await bench.shelf.refresh(ref) is RETIRED
    bench.now += DAY
    assert await bench.shelf.set_status(ref, TRUSTED, ANNA)
    assert await bench.shelf.refresh(ref) is TRUSTED
    for _ in range(4):
        await bench.used(ref, "failure")
    assert await bench.shelf.refresh(ref) is RETIRED  # what happened since speaks


async def test_a_candidate_that_was_restored_has_its_time_again(bench: Bench) -> None:
    ref = await taught(bench)
    bench.now += 400 * DAY
    assert await bench.shelf.refresh(ref) is RETIRED
    assert await bench.shelf.set_status(ref, CANDIDATE, ANNA)
    assert await bench.shelf.refresh(ref) is CANDIDATE
    bench.now += 400 * DAY
    assert await bench.shelf.refresh(ref) is RETIRED


async def test_nobody_changes_what_is_not_theirs(bench: Bench) -> None:
    ref = await taught(bench)
    with pytest.raises(NotFound):
        await bench.shelf.set_status(ref, RETIRED, BERT)
    missing = LearnedRef(SKILLS, "0190f7a0-0000-7000-8000-00000000dead")
    with pytest.raises(NotFound):
        await bench.shelf.set_status(missing, RETIRED, OPERATOR_CALLER)
    assert (await bench.payload(ref))["status"] == "candidate"
    assert await bench.shelf.set_status(ref, RETIRED, OPERATOR_CALLER)


async def test_what_is_everybodys_is_an_operators_to_change(bench: Bench) -> None:
    ref = await taught(bench)
    await bench.room.knowledge.amend(SKILLS, [ref.id], {"caller": ""})
    with pytest.raises(Forbidden):
        await bench.shelf.set_status(ref, RETIRED, ANNA)
    assert await bench.shelf.set_status(ref, RETIRED, OPERATOR_CALLER)
