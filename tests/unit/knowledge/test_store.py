"""What every knowledge store promises, whatever engine is behind it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_coordinator.errors import CollectionMismatch, StoreUnavailable
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.store import Filter, KnowledgeStore, SparseVector
from hybrid_coordinator.settings import Collection
from tests.unit.knowledge.conftest import EMBEDDER, SIZE, make_store, point, unit

SKILLS = Collection.SKILLS_PATTERNS
ERRORS = Collection.ERROR_SOLUTIONS
NO_WORDS = SparseVector()


def number(id_: str) -> int:
    return uuid.UUID(id_).int


async def test_every_collection_exists_and_is_right_after_init(store: KnowledgeStore) -> None:
    report = await store.schema_report()
    assert set(report) == set(Collection)
    assert all((r.points, r.vector_size, r.problem) == (0, SIZE, None) for r in report.values())


async def test_initialising_again_changes_nothing(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [point(1, unit(1))])
    await store.init()
    assert await store.count(SKILLS) == 1


async def test_a_point_comes_back_as_it_was_stored(store: KnowledgeStore) -> None:
    stored = point(1, unit(1, 2), {7: 0.5}, skill_name="ünï", nested={"a": [1, 2.5, None, True]})
    await store.upsert(SKILLS, [stored])
    (back,) = await store.get(SKILLS, [stored.id, str(uuid.UUID(int=99))], with_vectors=True)
    assert (back.id, back.payload) == (stored.id, stored.payload)
    assert back.dense is not None
    assert back.dense == pytest.approx(stored.dense, abs=1e-6)


async def test_the_same_id_again_replaces_the_point(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [point(1, unit(1), skill_name="old", status="trusted")])
    await store.upsert(SKILLS, [point(1, unit(0, 1), skill_name="new")])
    (back,) = await store.get(SKILLS, [str(uuid.UUID(int=1))])
    assert back.payload == {"caller": "", "skill_name": "new"}
    assert await store.count(SKILLS) == 1


async def test_the_nearest_come_first_with_their_cosine(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [point(1, unit(0, 1)), point(2, unit(1)), point(3, unit(1, 1))])
    hits = await store.query(SKILLS, unit(1), NO_WORDS, 2)
    assert [number(hit.id) for hit in hits] == [2, 3]
    assert [hit.cosine for hit in hits] == pytest.approx([1.0, 0.5**0.5], abs=1e-3)
    assert [(hit.dense_rank, hit.sparse_rank) for hit in hits] == [(1, None), (2, None)]


async def test_word_search_finds_what_the_vector_search_does_not(store: KnowledgeStore) -> None:
    await store.upsert(
        SKILLS,
        [point(n, unit(1, n / 100), {5: 1.0}) for n in range(20)]
        + [point(50, unit(0, 1), {9: 1.0})],
    )
    hits = await store.query(SKILLS, unit(1), SparseVector((9,), (1.0,)), 3)
    found = {number(hit.id): hit for hit in hits}
    assert found[50].sparse_rank == 1
    assert found[50].dense_rank is None
    assert found[50].cosine == pytest.approx(0.0, abs=1e-3)


async def test_a_rare_word_weighs_more_than_a_common_one(store: KnowledgeStore) -> None:
    """The store multiplies term weights by inverse document frequency."""
    common = [point(n, unit(1), {1: 1.0}) for n in range(30)]
    await store.upsert(SKILLS, [*common, point(40, unit(1), {2: 0.5})])
    hits = await store.query(SKILLS, unit(0, 1), SparseVector((1, 2), (1.0, 1.0)), 5)
    assert next(number(hit.id) for hit in hits if hit.sparse_rank == 1) == 40


async def test_both_searches_agreeing_outranks_either_alone(store: KnowledgeStore) -> None:
    await store.upsert(
        SKILLS,
        [
            point(1, unit(1), {1: 1.0}),
            point(2, unit(1, 0.3), {2: 1.0}),
            point(3, unit(1, 0.6), {2: 0.9}),
        ],
    )
    hits = await store.query(SKILLS, unit(1), SparseVector((2,), (1.0,)), 3)
    assert number(hits[0].id) == 2
    assert hits[0].fused == pytest.approx(1 / 62 + 1 / 61)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter(), {1, 2, 3, 4}),
        (Filter(any_of={"caller": ("",)}), {1, 4}),
        (Filter(any_of={"caller": ("", "anna")}), {1, 2, 4}),
        (Filter(none_of={"status": ("retired",)}), {1, 2, 3}),
        (Filter(at_least={"value_score": 0.5}), {2, 3}),
        (Filter(below={"value_score": 0.5}), {1, 4}),
        (Filter(at_least={"value_score": 0.5}, below={"value_score": 0.9}), {2}),
        (Filter(any_of={"value_score": (0.9,)}), {3}),
        (Filter(any_of={"solution_verified": (True,)}), {1}),
        (Filter(any_of={"count": (3, 4)}), {2, 3}),
        (Filter(ids=(str(uuid.UUID(int=2)), str(uuid.UUID(int=77)))), {2}),
        (Filter(ids=(str(uuid.UUID(int=2)),), any_of={"caller": ("",)}), set()),
        (Filter(ids=()), set()),
        (Filter(any_of={"caller": ()}), set()),
    ],
)
async def test_a_filter_selects_the_same_for_count_query_and_scroll(
    store: KnowledgeStore, where: Filter, expected: set[int]
) -> None:
    await store.upsert(
        ERRORS,
        [
            point(
                1,
                unit(1),
                caller="",
                status="trusted",
                value_score=0.1,
                solution_verified=True,
                count=2,
            ),
            point(2, unit(1, 1), caller="anna", status="candidate", value_score=0.5, count=3),
            point(3, unit(1, 2), caller="ben", value_score=0.9, solution_verified=False, count=4),
            point(4, unit(1, 3), caller="", status="retired", value_score=0.2),
        ],
    )
    assert await store.count(ERRORS, where) == len(expected)
    assert {
        number(h.id) for h in await store.query(ERRORS, unit(1), NO_WORDS, 10, where)
    } == expected
    assert {number(p.id) for p in (await store.scroll(ERRORS, where)).points} == expected


async def test_deleting_removes_what_fits_and_nothing_else(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [point(n, unit(1), source=f"s{n % 2}") for n in range(6)])
    await store.delete(SKILLS, Filter(any_of={"source": ("s1",)}))
    assert {number(p.id) for p in (await store.scroll(SKILLS)).points} == {0, 2, 4}
    await store.delete(SKILLS, Filter(ids=(str(uuid.UUID(int=0)),)))
    assert await store.count(SKILLS) == 2


async def test_a_deletion_without_a_condition_is_refused(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [point(1, unit(1))])
    with pytest.raises(ValueError, match="everything"):
        await store.delete(SKILLS, Filter())
    assert await store.count(SKILLS) == 1


async def test_scrolling_visits_every_point_once_in_the_order_of_ids(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [point(n, unit(1)) for n in range(25)])
    seen: list[int] = []
    page = await store.scroll(SKILLS, limit=10)
    seen += [number(p.id) for p in page.points]
    while page.next is not None:
        page = await store.scroll(SKILLS, after=page.next, limit=10, with_vectors=True)
        assert all(p.dense is not None for p in page.points)
        seen += [number(p.id) for p in page.points]
    assert seen == list(range(25))


async def test_setting_payload_leaves_the_other_fields(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [point(1, unit(1), status="candidate", helpful_count=1)])
    await store.set_payload(SKILLS, [str(uuid.UUID(int=1))], {"helpful_count": 2})
    (back,) = await store.get(SKILLS, [str(uuid.UUID(int=1))])
    assert back.payload == {"caller": "", "status": "candidate", "helpful_count": 2}


async def test_recreating_empties_one_collection(store: KnowledgeStore) -> None:
    await store.upsert(SKILLS, [point(1, unit(1))])
    await store.upsert(Collection.BEST_PRACTICES, [point(1, unit(1))])
    await store.recreate(SKILLS)
    assert await store.count(SKILLS) == 0
    assert await store.count(Collection.BEST_PRACTICES) == 1
    await store.upsert(SKILLS, [point(2, unit(1))])
    assert await store.count(SKILLS) == 1


async def test_points_outlive_the_store(
    store: KnowledgeStore, reopen: Callable[..., KnowledgeStore]
) -> None:
    await store.upsert(SKILLS, [point(n, unit(1), {3: 1.0}, skill_name=str(n)) for n in range(5)])
    await store.aclose()
    again = reopen()
    try:
        await again.init()
        assert await again.count(SKILLS) == 5
        hits = await again.query(SKILLS, unit(1), SparseVector((3,), (1.0,)), 5)
        assert all(hit.sparse_rank for hit in hits)
    finally:
        await again.aclose()


async def test_lesson_1_another_embedders_size_is_refused_with_both_sizes_and_the_remedy(
    store: KnowledgeStore, reopen: Callable[..., KnowledgeStore]
) -> None:
    await store.upsert(SKILLS, [point(1, unit(1))])
    await store.aclose()
    other = reopen(size=16)
    try:
        with pytest.raises(CollectionMismatch, match=rf"{SIZE}.*16.*reindex"):
            await other.init()
        problem = (await other.schema_report())[SKILLS].problem
        assert problem is not None
        assert "reindex" in problem
        assert await other.count(SKILLS) == 1, "what is stored must not be lost"
    finally:
        await other.aclose()


async def test_lesson_1_another_embedder_of_the_same_size_is_refused_too(
    store: KnowledgeStore, reopen: Callable[..., KnowledgeStore]
) -> None:
    await store.aclose()
    other = reopen(embedder="another-embedder")
    try:
        with pytest.raises(CollectionMismatch, match=rf"{EMBEDDER}.*another-embedder"):
            await other.init()
    finally:
        await other.aclose()


async def test_two_stores_on_one_folder_are_refused_with_a_sentence(
    kind: str, store: KnowledgeStore, reopen: Callable[..., KnowledgeStore]
) -> None:
    if kind == "server":
        pytest.skip("a server is there for several")
    second = reopen()
    try:
        with pytest.raises(StoreUnavailable):
            await second.init()
    finally:
        await second.aclose()
    await store.upsert(SKILLS, [point(1, unit(1))])
    assert await store.count(SKILLS) == 1


async def test_a_vector_of_the_wrong_size_is_an_error_and_nothing_is_stored(
    store: KnowledgeStore,
) -> None:
    wrong = point(1, unit(1)[: SIZE - 1])
    with pytest.raises(StoreUnavailable):
        await store.upsert(SKILLS, [wrong])
    assert await store.count(SKILLS) == 0


async def test_a_closed_store_says_so_instead_of_answering(kind: str, tmp_path: Path) -> None:
    if kind != "edge":
        pytest.skip("qdrant-client opens itself again")
    store = make_store(kind, tmp_path)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.count(SKILLS)


async def test_lesson_7_a_server_that_is_away_is_logged_once_not_at_every_call(
    caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    store = QdrantStore.server(f"http://127.0.0.1:{unused_tcp_port}", SIZE, EMBEDDER, timeout=2.0)
    with caplog.at_level(logging.INFO, "hybrid_coordinator"):
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match=str(unused_tcp_port)):
                await store.query(SKILLS, unit(1), NO_WORDS, 1)
    assert len(caplog.records) == 1
    report = await store.schema_report()
    assert all(r.problem is not None and r.points is None for r in report.values())
    await store.aclose()
