"""How an item's record and status change what a search returns, and in which order."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.knowledge.collections import ITEM_OF
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.retrieval import _QUARANTINE, Retriever, _standing
from hybrid_coordinator.knowledge.store import KnowledgeStore, Point, SparseVector
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.knowledge.conftest import EMBEDDER, SIZE
from tests.unit.knowledge.test_collections import SMALLEST
from tests.unit.knowledge.test_retrieval import (
    BEST,
    CALIBRATION,
    CODE,
    NO_WORDS,
    QUESTION,
    SKILLS,
    at,
    numbers,
    search,
    skill,
)

ERRORS = Collection.ERROR_SOLUTIONS
USED = (CODE, SKILLS, ERRORS, BEST)

PROVEN: dict[Collection, dict[str, Any]] = {
    CODE: {"success_rate": 9 / 10, "outcome_count": 8},
    SKILLS: {"helpful_count": 8},
    ERRORS: {"success_count": 8},
    BEST: {"endorsement_count": 8},
}
HARMFUL: dict[Collection, dict[str, Any]] = {
    CODE: {"success_rate": 1 / 10, "outcome_count": 8},
    SKILLS: {"harmful_count": 8},
    ERRORS: {"failure_count": 8},
    BEST: {"success_rate": 1 / 10, "outcome_count": 8},
}


@pytest.fixture
async def store() -> AsyncIterator[KnowledgeStore]:
    made = QdrantStore.local(None, SIZE, EMBEDDER)
    await made.init()
    yield made
    await made.aclose()


def item_at(
    collection: Collection, number: int, cosine: float, direction: int, **payload: object
) -> Point:
    base = {"caller": "", "status": "trusted", "content_hash": str(number)}
    content = {**SMALLEST[collection], **base, **payload}
    return Point(str(uuid.UUID(int=number)), at(cosine, direction), NO_WORDS, content)


@pytest.mark.parametrize("collection", USED)
async def test_a_proven_item_outranks_an_unproven_equal_one_and_a_harmful_one_comes_last(
    store: KnowledgeStore, collection: Collection
) -> None:
    await store.upsert(
        collection,
        [
            item_at(collection, 1, 0.8, 1, **HARMFUL[collection]),
            item_at(collection, 2, 0.8, 2),
            item_at(collection, 3, 0.8, 3, **PROVEN[collection]),
        ],
    )
    assert numbers(await search(store, limits={collection: 4})) == [3, 2, 1]


@pytest.mark.parametrize("collection", USED)
async def test_lesson_23_a_harmful_item_stops_appearing_once_it_is_retired(
    store: KnowledgeStore, collection: Collection
) -> None:
    await store.upsert(
        collection,
        [item_at(collection, 1, 0.95, 1, status="retired"), item_at(collection, 2, 0.6, 2)],
    )
    limits = {collection: 4}
    assert numbers(await search(store, limits=limits)) == [2]
    assert numbers(await search(store, limits=limits, abstain=False)) == [2]
    await store.set_payload(collection, [str(uuid.UUID(int=2))], {"status": "retired"})
    found = await search(store, limits=limits, abstain=False)
    assert found.hits == ()


@pytest.mark.parametrize("collection", USED)
async def test_lesson_26_what_was_stored_before_there_was_a_status_still_appears(
    store: KnowledgeStore, collection: Collection
) -> None:
    point = item_at(collection, 1, 0.9, 1)
    point.payload.pop("status")
    await store.upsert(collection, [point])
    assert numbers(await search(store, limits={collection: 4})) == [1]


async def test_one_or_two_outcomes_do_not_beat_being_nearer(store: KnowledgeStore) -> None:
    await store.upsert(
        SKILLS,
        [skill(1, at(0.8)), skill(2, at(0.7, 2), helpful_count=1), skill(3, at(0.5, 3))],
    )
    assert numbers(await search(store)) == [1, 2, 3]


async def test_no_record_beats_being_much_nearer(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [skill(1, at(0.9)), skill(2, at(0.5, 2), helpful_count=1000)])
    assert numbers(await search(store)) == [1, 2]


async def test_many_outcomes_beat_being_a_little_nearer(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [skill(1, at(0.72)), skill(2, at(0.7, 2), helpful_count=10)])
    assert numbers(await search(store)) == [2, 1]


async def test_a_record_lifts_nothing_over_the_floor(store: KnowledgeStore) -> None:
    await store.upsert(
        SKILLS, [skill(1, at(0.9)), skill(2, at(CALIBRATION.prose - 0.01, 2), helpful_count=1000)]
    )
    assert numbers(await search(store)) == [1]


async def test_lesson_23_a_candidate_ranks_below_a_trusted_item_of_equal_similarity(
    store: KnowledgeStore,
) -> None:
    await store.upsert(
        SKILLS,
        [
            skill(1, at(0.8), status="candidate", helpful_count=1000),
            skill(2, at(0.8, 2), status="candidate"),
            skill(3, at(0.8, 3), status="trusted"),
        ],
    )
    assert numbers(await search(store)) == [3, 1, 2]


async def test_lesson_23_a_prompt_gets_two_candidates_at_most_and_a_plain_search_all(
    store: KnowledgeStore,
) -> None:
    await store.upsert(
        SKILLS,
        [
            *(skill(n, at(0.9 - n / 100, n), status="candidate") for n in (1, 2)),
            skill(3, at(0.6, 3)),
        ],
    )
    await store.upsert(ERRORS, [item_at(ERRORS, 4, 0.85, 4, status="candidate")])
    limits = {SKILLS: 4, ERRORS: 4}
    assert numbers(await search(store, limits=limits)) == [1, 2, 3]
    assert numbers(await search(store, limits=limits, abstain=False)) == [1, 2, 4, 3]


async def test_lesson_23_no_pattern_crosses_from_one_caller_to_another(
    store: KnowledgeStore,
) -> None:
    await store.upsert(
        SKILLS,
        [
            skill(1, at(0.95), [7], caller="anna", learned=True, status="candidate"),
            skill(2, at(0.94, 2), [7], caller="anna", learned=True, status="trusted"),
            skill(3, at(0.6, 3), caller="", learned=True, status="trusted"),
        ],
    )
    for other in ("ben", "", "ann", "ANNA", "anna "):
        found = await Retriever(store, CALIBRATION, Metrics()).search(
            QUESTION, SparseVector((7,), (1.0,)), other, {SKILLS: 9}, timeout=5, abstain=False
        )
        assert numbers(found) == [3]
    assert numbers(await search(store, caller="anna")) == [2, 1, 3]


counts = st.integers(0, 10_000)


@given(counts, counts)
def test_the_factor_is_bounded_and_each_outcome_moves_it_its_own_way(good: int, bad: int) -> None:
    def factor(helped: int, harmed: int, status: str = "trusted") -> float:
        payload = {"helpful_count": helped, "harmful_count": harmed, "status": status}
        return _standing(ITEM_OF[SKILLS].model_validate({**SMALLEST[SKILLS], **payload}))

    assert 0.8 <= factor(good, bad) <= 1.2
    assert factor(good + 1, bad) > factor(good, bad) > factor(good, bad + 1)
    assert factor(good, bad, "candidate") == pytest.approx(factor(good, bad) * _QUARANTINE)
    assert factor(good, bad, "candidate") < factor(0, 0)


def test_the_same_share_of_successes_counts_for_more_the_more_outcomes_it_stands_on() -> None:
    factors = [
        _standing(
            ITEM_OF[SKILLS].model_validate(
                {**SMALLEST[SKILLS], "helpful_count": n, "status": "trusted"}
            )
        )
        for n in (0, 1, 2, 5, 20, 100)
    ]
    assert all(more > fewer for fewer, more in pairwise(factors))
    # 1 + 0.4·(p − ½) with p = (n + 2)/(n + 4)
    assert factors == pytest.approx(
        [1, 1.04, 1.2 - 0.8 / 6, 1.2 - 0.8 / 9, 1.2 - 0.8 / 24, 1.2 - 0.8 / 104]
    )
