"""What is counted for a stored item from the interactions that had it in their prompt."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.knowledge import NewItem
from hybrid_coordinator.knowledge.collections import content_hash
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.items import BestPractice
from hybrid_coordinator.knowledge.store import Filter
from hybrid_coordinator.learning.evidence import USED, Evidence, seed_of
from hybrid_coordinator.learning.records import LearnedRef
from hybrid_coordinator.settings import Collection
from tests.unit.knowledge.conftest import needs_edge
from tests.unit.knowledge.test_collections import SMALLEST
from tests.unit.learning.history import HISTORY, KnowledgeRoom

SKILLS, ERRORS = Collection.SKILLS_PATTERNS, Collection.ERROR_SOLUTIONS
BEST, CODE = Collection.BEST_PRACTICES, Collection.CODEBASE_CONTEXT


class Room(KnowledgeRoom):
    """A knowledge room with an ``Evidence`` whose calls for a status are noted."""

    def evidence(self) -> Evidence:
        self.asked: list[LearnedRef] = []

        async def status(ref: LearnedRef) -> None:
            self.asked.append(ref)

        return Evidence(self.knowledge, status, now=lambda: 1_000_000.0)

    async def item(self, collection: Collection, owner: str = "anna", **payload: Any) -> str:
        content = {**SMALLEST[collection], **payload}
        new = NewItem(content, id=str(uuid.uuid4()))
        (id_,) = await self.knowledge.add(collection, [new], owner)
        return id_

    async def used(self, id_: str, *outcomes: str, caller: str = "anna") -> list[str]:
        """Interactions that had the item in their prompt, one an outcome."""
        return [
            await self.ask(f"question {n}", caller, float(n), [id_], outcome)
            for n, outcome in enumerate(outcomes)
        ]

    async def fields(self, collection: Collection, id_: str, *names: str) -> tuple[Any, ...]:
        payload = await self.payload(collection, id_)
        return tuple(payload.get(name) for name in names)


@pytest.fixture(params=["local", pytest.param("edge", marks=needs_edge)])
async def room(embedder: FastembedEmbedder, request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # the engine syncs a lot
    with tempfile.TemporaryDirectory(dir=memory, prefix="hybrid-ai-test-") as made_here:
        folder = Path(made_here) / "store" if request.param == "edge" else None
        made = await Room.open(embedder, folder=folder)
        yield made
        await made.knowledge.aclose()


RATE = ("access_count", "success_rate", "outcome_count")


@pytest.mark.parametrize("collection", USED)
async def test_every_use_is_counted_and_the_rate_is_a_posterior_mean_with_its_count(
    room: Room, collection: Collection
) -> None:
    id_ = await room.item(collection)
    await room.used(id_, "success", "success", "partial", "failure", "unknown")
    other = await room.item(collection)
    await room.used(other, "failure")
    assert await room.evidence().refresh([id_]) == [LearnedRef(collection, id_)]
    accesses, rate, known = await room.fields(collection, id_, *RATE)
    assert (accesses, known) == (5, 4)
    assert rate == pytest.approx((1 + 2 + 0.5) / (2 + 4))
    assert (await room.fields(collection, other, *RATE))[0] == 0


@pytest.mark.parametrize("collection", USED)
async def test_lesson_24_counting_again_changes_nothing(room: Room, collection: Collection) -> None:
    id_ = await room.item(collection)
    await room.used(id_, "success", "failure")
    evidence = room.evidence()
    await evidence.refresh([id_], accessed={id_: 50.0}, succeeded=50.0)
    before = await room.payload(collection, id_)
    assert await evidence.refresh([id_, id_, id_.upper()], accessed={id_: 40.0}) == []
    assert await room.payload(collection, id_) == before
    assert len(room.asked) == 2, "the status is asked for all the same"


async def test_an_item_that_nothing_is_known_of_has_no_rate(room: Room) -> None:
    id_ = await room.item(CODE)
    await room.used(id_, "unknown")
    await room.evidence().refresh([id_], accessed={id_: 70.0})
    assert await room.fields(CODE, id_, *RATE, "last_accessed") == (1, None, 0, 70.0)


async def test_a_skill_counts_who_it_helped_and_harmed_and_what_it_was_taken_from(
    room: Room,
) -> None:
    sources = [await room.ask("source", outcome="success") for _ in range(2)]
    id_ = await room.item(SKILLS, learned=True, source_interactions=sources, helpful_count=2)
    await room.used(id_, "success", "failure", "failure", "partial")
    await room.evidence().refresh([id_])
    counts = ("helpful_count", "harmful_count", "outcome_count")
    assert await room.fields(SKILLS, id_, *counts) == (3, 2, 4)


async def test_a_source_that_used_the_item_counts_once_and_one_that_failed_since_not_at_all(
    room: Room,
) -> None:
    id_ = await room.item(SKILLS, learned=True)
    (both,) = await room.used(id_, "success")
    failed = await room.ask("source", outcome="failure")
    plain = await room.ask("source", outcome="success")
    sources = [both, failed, plain, plain, "not an id"]
    await room.knowledge.amend(SKILLS, [id_], {"source_interactions": sources})
    await room.evidence().refresh([id_])
    assert await room.fields(SKILLS, id_, "helpful_count", "harmful_count") == (2, 0)


async def test_an_errors_solution_derives_its_confidence_and_is_verified_by_successes(
    room: Room, embedder: FastembedEmbedder
) -> None:
    id_ = await room.item(ERRORS, learned=True)
    names = ("success_count", "failure_count", "solution_verified")
    await room.used(id_, "success")
    await room.evidence().refresh([id_], accessed={id_: 9.0})
    assert await room.fields(ERRORS, id_, *names, "last_used") == (1, 0, False, 9.0)
    await room.used(id_, "success", "failure", "partial")
    await room.evidence().refresh([id_])
    payload = await room.payload(ERRORS, id_)
    assert [payload[name] for name in names] == [2, 1, True]
    # Beta(1, 1) after 2 successes, a partial one and a failure: (1 + 2 + ½)/(2 + 4)
    assert payload["confidence_score"] == pytest.approx(3.5 / 6)
    shown = "Error: E0502\nSolution (verified): clone it"
    assert payload["content_hash"] == content_hash(shown)
    assert payload["tokens"] == embedder.count_tokens(shown)
    await room.used(id_, "failure", "failure")
    await room.evidence().refresh([id_])
    assert await room.fields(ERRORS, id_, *names) == (2, 3, False)


async def test_a_practice_is_endorsed_by_each_success_and_validated_by_the_last(
    room: Room,
) -> None:
    id_ = await room.item(BEST, endorsement_count=4)
    await room.used(id_, "success", "failure")
    await room.evidence().refresh([id_], succeeded=12.0)
    names = ("endorsement_count", "last_validated", "outcome_count")
    assert await room.fields(BEST, id_, *names) == (5, 12.0, 6)
    await room.evidence().refresh([id_], succeeded=11.0)
    assert await room.fields(BEST, id_, *names) == (5, 12.0, 6)


async def test_what_an_author_gave_is_kept_and_added_to_however_often_it_is_counted(
    room: Room,
) -> None:
    id_ = await room.item(SKILLS, helpful_count=9, harmful_count=2, access_count=30)
    evidence = room.evidence()
    for n in range(1, 4):
        await room.used(id_, "success")
        await evidence.refresh([id_])
        names = ("access_count", "helpful_count", "harmful_count", "seed")
        assert await room.fields(SKILLS, id_, *names) == (30 + n, 9 + n, 2, [30, 9, 2])


@pytest.mark.parametrize(
    ("collection", "payload", "seed"),
    [
        (CODE, {}, (0, 0, 0)),
        (CODE, {"success_rate": 0.9, "access_count": 7}, (7, 2, 0)),
        (CODE, {"success_rate": 4 / 6, "outcome_count": 4}, (0, 3, 1)),
        (SKILLS, {"helpful_count": 3, "harmful_count": 1}, (0, 3, 1)),
        (SKILLS, {"helpful_count": 3, "learned": True}, (0, 0, 0)),
        (SKILLS, {"helpful_count": 9, "seed": [5, 4, 3]}, (5, 4, 3)),
        (ERRORS, {"success_count": 2, "failure_count": 1, "confidence_score": 0.1}, (0, 2, 1)),
        (BEST, {"endorsement_count": 4}, (0, 4, 0)),
    ],
)
async def test_a_seed_is_what_the_author_said(
    room: Room, collection: Collection, payload: dict[str, Any], seed: tuple[int, int, int]
) -> None:
    id_ = await room.item(collection, **payload)
    await room.evidence().refresh([id_])
    assert tuple((await room.payload(collection, id_))["seed"]) == seed


async def test_a_forgotten_interaction_leaves_no_count(room: Room) -> None:
    id_ = await room.item(SKILLS)
    forgotten, _ = await room.used(id_, "failure", "success")
    evidence = room.evidence()
    await evidence.refresh([id_], accessed={id_: 3.0})
    store = await room.knowledge.opened()
    await store.delete(HISTORY, Filter(ids=(forgotten,)))
    await evidence.refresh([id_])
    names = ("access_count", "helpful_count", "harmful_count", "outcome_count", "last_accessed")
    assert await room.fields(SKILLS, id_, *names) == (1, 1, 0, 1, 3.0)
    await store.delete(HISTORY, Filter(any_of={"context_provided": (id_,)}))
    await evidence.refresh([id_])
    assert await room.fields(SKILLS, id_, *names) == (0, 0, 0, 0, 0.0)


async def test_nobody_else_can_harm_a_callers_own_item_by_naming_it(room: Room) -> None:
    own, shared = await room.item(SKILLS, "anna"), await room.item(BEST, "")
    for id_ in (own, shared):
        await room.used(id_, "failure", "failure", caller="mallory")
        await room.used(id_, "success", caller="anna")
    await room.evidence().refresh([own, shared])
    assert await room.fields(SKILLS, own, *RATE) == (1, pytest.approx(2 / 3), 1)
    assert await room.fields(BEST, shared, *RATE) == (3, pytest.approx(2 / 5), 3)


async def test_what_is_no_item_is_passed_over(room: Room) -> None:
    id_ = await room.item(CODE)
    await room.used(id_, "success")
    ids = ["", "docs/style.md", "not an id", str(uuid.uuid4()), id_]
    assert await room.evidence().refresh(ids) == [LearnedRef(CODE, id_)]
    assert await room.evidence().refresh([]) == []
    assert room.asked == []


async def test_an_item_that_cannot_be_read_stops_no_other(room: Room) -> None:
    broken, id_ = await room.item(CODE), await room.item(CODE)
    await room.used(id_, "success")
    store = await room.knowledge.opened()
    await store.set_payload(CODE, [broken], {"code_snippet": 5})
    assert await room.evidence().refresh([broken, id_]) == [LearnedRef(CODE, id_)]


async def test_a_clock_that_was_ahead_leaves_no_use_in_the_future(room: Room) -> None:
    id_ = await room.item(CODE)
    await room.used(id_, "success")
    await room.evidence().refresh([id_], accessed={id_: 9e9})
    assert await room.fields(CODE, id_, "last_accessed") == (1_000_000.0,)


async def test_counts_made_at_the_same_time_end_with_the_last(room: Room) -> None:
    id_ = await room.item(SKILLS)
    evidence = room.evidence()

    async def one(n: int) -> None:
        await room.ask(f"question {n}", "anna", float(n), [id_], "success")
        await evidence.refresh([id_])

    await asyncio.gather(*(one(n) for n in range(12)))
    assert await room.fields(SKILLS, id_, "access_count", "helpful_count") == (12, 12)


async def test_a_further_success_never_makes_an_item_look_worse(room: Room) -> None:
    sources = [await room.ask("source", outcome="success") for _ in range(3)]
    id_ = await room.item(SKILLS, learned=True, source_interactions=sources, helpful_count=3)
    evidence, proven = room.evidence(), []
    for _ in range(4):
        await evidence.refresh([id_])
        found = await room.knowledge.search("reading traces", None, "anna", [SKILLS])
        proven.append(found.hits[0].item.proven())
        await room.used(id_, "success")
    assert all(earlier <= later for earlier, later in pairwise(proven))


async def test_what_an_interaction_taught_is_found(room: Room) -> None:
    source = await room.ask("source")
    skill = await room.item(SKILLS, learned=True, source_interactions=["x", source])
    code = await room.item(CODE, learned=True, source_interactions=[source])
    await room.item(BEST)
    assert set(await room.evidence().taught_by(source)) == {skill, code}


def test_a_seed_of_another_length_is_none() -> None:
    assert seed_of(BestPractice(title="t", seed=(1, 2), endorsement_count=4)) == (0, 4, 0)
