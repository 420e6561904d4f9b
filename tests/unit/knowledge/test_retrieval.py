"""Which items a search returns, and in which order."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.knowledge.calibration import Calibration
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.retrieval import Retrieved, Retriever
from hybrid_coordinator.knowledge.store import (
    Filter,
    FoundPoint,
    KnowledgeStore,
    Point,
    RankedPoint,
    SparseVector,
    Vector,
    fuse,
)
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.knowledge.conftest import EMBEDDER, SIZE, unit

SKILLS, CODE = Collection.SKILLS_PATTERNS, Collection.CODEBASE_CONTEXT
BEST = Collection.BEST_PRACTICES
CALIBRATION = Calibration(prose=0.4, code=0.2, lift=0.1, origin="a test")
QUESTION = unit(1)
NO_WORDS = SparseVector()


def at(cosine: float, direction: int = 1) -> Vector:
    """A vector of this cosine with the question; different directions are far from each other."""
    vector = np.zeros(SIZE, dtype=np.float32)
    vector[0] = cosine
    vector[direction] = (1 - cosine**2) ** 0.5
    return vector


def skill(number: int, dense: Vector, words: Sequence[int] = (), **payload: object) -> Point:
    return Point(
        id=str(uuid.UUID(int=number)),
        dense=dense,
        sparse=SparseVector(tuple(words), (1.0,) * len(words)),
        payload={"skill_name": f"skill {number}", "caller": "", "status": "trusted", **payload},
    )


@pytest.fixture
async def store() -> AsyncIterator[KnowledgeStore]:
    made = QdrantStore.local(None, SIZE, EMBEDDER)
    await made.init()
    yield made
    await made.aclose()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def search(
    store: KnowledgeStore,
    metrics: Metrics | None = None,
    *,
    caller: str = "",
    words: Sequence[int] = (),
    limits: dict[Collection, int] | None = None,
    timeout: float = 5.0,
    abstain: bool = True,
) -> Retrieved:
    return await Retriever(store, CALIBRATION, metrics or Metrics()).search(
        QUESTION,
        SparseVector(tuple(words), (1.0,) * len(words)),
        caller,
        limits or {SKILLS: 4},
        timeout=timeout,
        abstain=abstain,
    )


def numbers(found: Retrieved) -> list[int]:
    return [uuid.UUID(hit.id).int for hit in found.hits]


async def test_an_item_below_the_floor_is_left_out(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [skill(1, at(0.9)), skill(2, at(0.39, 2)), skill(3, at(0.41, 3))])
    assert numbers(await search(store)) == [1, 3]


async def test_nothing_is_returned_when_nothing_reaches_the_bar(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [skill(1, at(0.45)), skill(2, at(0.49, 2))])
    found = await search(store)
    assert found.hits == ()
    assert found.best_score == pytest.approx(0.49, abs=1e-3)
    assert numbers(await search(store, abstain=False)) == [2, 1]


async def test_once_the_best_reaches_the_bar_the_others_need_the_floor_only(
    store: KnowledgeStore,
) -> None:
    await store.upsert(SKILLS, [skill(1, at(0.55)), skill(2, at(0.45, 2))])
    assert numbers(await search(store)) == [1, 2]


async def test_lesson_3_the_floor_belongs_to_the_embedder_and_can_be_overridden(
    store: KnowledgeStore,
) -> None:
    await store.upsert(SKILLS, [skill(1, at(0.3))])
    assert numbers(await search(store)) == []
    lower = Calibration(0.4, 0.2, 0.05, "a test", overrides={SKILLS: 0.2})
    found = await Retriever(store, lower, Metrics()).search(
        QUESTION, NO_WORDS, "", {SKILLS: 4}, timeout=5
    )
    assert numbers(found) == [1]


async def test_code_has_a_floor_of_its_own(store: KnowledgeStore) -> None:
    payload = {"file_path": "a.py", "code_snippet": "x", "caller": ""}
    await store.upsert(CODE, [Point(str(uuid.UUID(int=1)), at(0.35), NO_WORDS, payload)])
    await store.upsert(SKILLS, [skill(2, at(0.35))])
    assert numbers(await search(store, limits={CODE: 4, SKILLS: 4})) == [1]


async def test_a_caller_sees_its_own_and_the_shared_items_only(store: KnowledgeStore) -> None:
    await store.upsert(
        SKILLS,
        [
            skill(1, at(0.9), caller="anna"),
            skill(2, at(0.8, 2), caller="ben"),
            skill(3, at(0.7, 3), caller=""),
        ],
    )
    assert numbers(await search(store, caller="anna")) == [1, 3]
    assert numbers(await search(store, caller="ben")) == [2, 3]
    assert numbers(await search(store, caller="")) == [3]
    assert numbers(await search(store, caller="carl")) == [3]


async def test_the_same_text_comes_once_from_whatever_collection(store: KnowledgeStore) -> None:
    await store.upsert(
        SKILLS,
        [skill(1, at(0.9), content_hash="same"), skill(2, at(0.8, 2), content_hash="same")],
    )
    payload = {"title": "t", "caller": "", "content_hash": "same"}
    await store.upsert(BEST, [Point(str(uuid.UUID(int=3)), at(0.7, 3), NO_WORDS, payload)])
    assert numbers(await search(store, limits={SKILLS: 4, BEST: 4})) == [1]


async def test_near_duplicates_give_way_to_the_better_one(store: KnowledgeStore) -> None:
    close = (at(0.9) + 0.05 * at(0.0, 2)) / np.linalg.norm(at(0.9) + 0.05 * at(0.0, 2))
    await store.upsert(
        SKILLS, [skill(1, at(0.9)), skill(2, close.astype(np.float32)), skill(3, at(0.6, 3))]
    )
    assert numbers(await search(store)) == [1, 3]


async def test_duplicates_do_not_use_up_the_limit(store: KnowledgeStore) -> None:
    copies = [skill(n, at(0.9), content_hash="same") for n in range(1, 4)]
    await store.upsert(SKILLS, [*copies, skill(9, at(0.6, 3))])
    first, second = numbers(await search(store, limits={SKILLS: 2}))
    assert first in (1, 2, 3)
    assert second == 9


async def test_words_lift_an_item_that_is_a_little_farther(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [skill(1, at(0.62)), skill(2, at(0.6, 2), [7])])
    assert numbers(await search(store)) == [1, 2]
    assert numbers(await search(store, words=[7])) == [2, 1]


async def test_a_collection_gives_no_more_than_its_limit(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [skill(n, at(0.9 - n / 100, n)) for n in range(1, 7)])
    assert len((await search(store, limits={SKILLS: 3})).hits) == 3
    assert (await search(store, limits={SKILLS: 0})).hits == ()


async def test_an_unreadable_item_is_left_out_and_counted(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    broken = Point(str(uuid.UUID(int=1)), at(0.9), NO_WORDS, {"caller": "", "skill_name": 5})
    await store.upsert(SKILLS, [broken, skill(2, at(0.8, 2))])
    assert numbers(await search(store, metrics)) == [2]
    count = metrics.registry.get_sample_value(
        "hybrid_failures_total", {"room": "knowledge", "kind": "unreadable_item"}
    )
    assert count == 1


class Faulty:
    """A store of which some collections fail, or never answer."""

    def __init__(self, store: KnowledgeStore, fail: set[Collection], hang: set[Collection]) -> None:
        self._store = store
        self._fail = fail
        self._hang = hang

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def query(
        self,
        collection: Collection,
        dense: Vector,
        sparse: SparseVector,
        limit: int,
        where: Filter | None = None,
    ) -> list[FoundPoint]:
        if collection in self._fail:
            raise StoreUnavailable("it is away")
        if collection in self._hang:
            await asyncio.Event().wait()
        return await self._store.query(collection, dense, sparse, limit, where)


async def test_a_collection_that_fails_or_is_late_is_skipped_and_named(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    await store.upsert(SKILLS, [skill(1, at(0.9))])
    faulty: KnowledgeStore = Faulty(store, {CODE}, {BEST})  # type: ignore[assignment]
    found = await search(faulty, metrics, limits={SKILLS: 4, CODE: 4, BEST: 4}, timeout=0.3)
    assert numbers(found) == [1]
    assert found.skipped == {CODE: "it is away", BEST: "no answer within 0.3 s"}
    for reason in ("store_unavailable", "timeout"):
        labels = {"step": "retrieval", "reason": reason}
        assert metrics.registry.get_sample_value("hybrid_steps_skipped_total", labels) == 1


ids = st.lists(st.integers(0, 30).map(lambda n: str(uuid.UUID(int=n))), unique=True, max_size=12)


@given(ids, ids)
def test_fusion_is_the_sum_of_reciprocal_ranks(dense: list[str], sparse: list[str]) -> None:
    def points(found: list[str]) -> list[RankedPoint]:
        return [RankedPoint(id_, {}, 0.5) for id_ in found]

    hits = fuse(points(dense), points(sparse))
    assert {hit.id for hit in hits} == {*dense, *sparse}
    for hit in hits:
        expected = sum(
            1 / (60 + found.index(hit.id) + 1) for found in (dense, sparse) if hit.id in found
        )
        assert hit.fused == pytest.approx(expected)
    assert [hit.fused for hit in hits] == sorted((hit.fused for hit in hits), reverse=True)
