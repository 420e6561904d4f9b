"""The room's door: adding, finding, packing and deleting knowledge."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from hybrid_coordinator.errors import (
    CollectionMismatch,
    EmbeddingError,
    Forbidden,
    InvalidRequest,
    StoreUnavailable,
    Unprocessable,
)
from hybrid_coordinator.knowledge import Knowledge, NewItem, SparseEncoder
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.items import CodebaseContext
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.store import Filter, KnowledgeStore
from hybrid_coordinator.settings import Collection, RetrievalSettings
from hybrid_coordinator.telemetry.metrics import Metrics

BEST, ERRORS, CODE = (
    Collection.BEST_PRACTICES,
    Collection.ERROR_SOLUTIONS,
    Collection.CODEBASE_CONTEXT,
)

UNDO = {
    "title": "Undo a commit",
    "category": "git",
    "description": "git reset --soft HEAD~1 moves the branch back and keeps the work staged.",
}
BREAD = {
    "title": "Dough",
    "category": "kitchen",
    "description": "Let bread dough rise for an hour in a warm room.",
}


class Room:
    """A ``Knowledge`` and what it told others."""

    def __init__(self, knowledge: Knowledge, metrics: Metrics, changed: list[Collection]) -> None:
        self.knowledge = knowledge
        self.metrics = metrics
        self.changed = changed


def build(
    store: KnowledgeStore,
    embedder: FastembedEmbedder,
    settings: RetrievalSettings | None = None,
) -> Room:
    changed: list[Collection] = []
    metrics = Metrics()

    async def on_change(collection: Collection) -> None:
        changed.append(collection)

    knowledge = Knowledge(
        store,
        embedder,
        SparseEncoder(),
        settings or RetrievalSettings(),
        metrics,
        on_change,
        now=lambda: 1_700_000_000.0,
    )
    return Room(knowledge, metrics, changed)


@pytest.fixture
async def room(embedder: FastembedEmbedder) -> AsyncIterator[Room]:
    made = build(QdrantStore.local(None, embedder.size, embedder.name), embedder)
    await made.knowledge.start()
    yield made
    await made.knowledge.aclose()


async def test_what_was_added_is_found_by_a_question_and_packed_with_its_id(room: Room) -> None:
    ids = await room.knowledge.add(BEST, [NewItem(UNDO, source="git.md"), NewItem(BREAD)], "anna")
    question = "How can I take back my last commit?"
    found = await room.knowledge.search(question, None, "anna")
    assert [hit.id for hit in found.hits] == [ids[0]]
    (hit,) = found.hits
    assert hit.provenance.caller == "anna"
    assert hit.provenance.source == "git.md"
    assert hit.provenance.created == 1_700_000_000.0
    assert hit.tokens > 10
    assert found.latency > 0
    context = room.knowledge.pack(found.hits)
    assert context.ids == (ids[0],)
    assert "git reset --soft" in context.text
    assert context.tokens >= room.knowledge._embedder.count_tokens(context.text)


async def test_a_question_about_something_else_finds_nothing(room: Room) -> None:
    await room.knowledge.add(BEST, [NewItem(UNDO), NewItem(BREAD)], "")
    found = await room.knowledge.search("Who won the 1998 football world cup?", None, "")
    assert found.hits == ()
    assert found.best_score is not None
    assert room.knowledge.pack(found.hits).ids == ()


async def test_the_questions_vector_is_not_computed_twice(
    room: Room, embedder: FastembedEmbedder
) -> None:
    await room.knowledge.add(BEST, [NewItem(UNDO)], "")
    vector = await embedder.embed_query("How do I undo a commit?")
    found = await room.knowledge.search("irrelevant words", vector, "")
    assert len(found.hits) == 1


async def test_lesson_19_each_confirmed_write_is_announced_and_nothing_else(room: Room) -> None:
    with pytest.raises(InvalidRequest):
        await room.knowledge.add(BEST, [NewItem(UNDO), NewItem({"title": 5})], "")
    assert await room.knowledge.delete(BEST, [str(uuid.uuid4())], "") == 0
    assert await room.knowledge.add(BEST, [], "") == ()
    assert room.changed == []
    (id_,) = await room.knowledge.add(BEST, [NewItem(UNDO)], "")
    assert room.changed == [BEST]
    assert await room.knowledge.delete(BEST, [id_], "") == 1
    assert room.changed == [BEST, BEST]


async def test_one_wrong_item_stores_none_and_names_the_field(room: Room) -> None:
    wrong = [NewItem(UNDO), NewItem({**BREAD, "colour": "red"})]
    with pytest.raises(InvalidRequest) as raised:
        await room.knowledge.add(BEST, wrong, "")
    assert raised.value.field == "items.1.payload.colour"
    status = await room.knowledge.status()
    assert status[BEST].points == 0


async def test_the_same_item_again_is_stored_once(room: Room) -> None:
    first = await room.knowledge.add(BEST, [NewItem(UNDO)], "anna")
    second = await room.knowledge.add(BEST, [NewItem(UNDO)], "anna")
    assert first == second
    assert (await room.knowledge.status())[BEST].points == 1
    other = await room.knowledge.add(BEST, [NewItem(UNDO)], "ben")
    assert other != first
    assert (await room.knowledge.status())[BEST].points == 2


async def test_a_vector_of_the_wrong_size_is_refused_with_both_sizes(room: Room) -> None:
    with pytest.raises(Unprocessable, match=r"3 dimensions.*384") as raised:
        await room.knowledge.add(BEST, [NewItem(UNDO, vector=[1.0, 0.0, 0.0])], "")
    assert raised.value.field == "items.0.vector"


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
async def test_lesson_2_a_zero_or_infinite_vector_is_refused(room: Room, value: float) -> None:
    with pytest.raises(Unprocessable, match="finite"):
        await room.knowledge.add(BEST, [NewItem(UNDO, vector=[value] * 384)], "")
    assert (await room.knowledge.status())[BEST].points == 0


async def test_a_given_vector_and_id_are_used(room: Room, embedder: FastembedEmbedder) -> None:
    vector = await embedder.embed_query("What is the capital of France?")
    id_ = str(uuid.uuid4())
    item = NewItem(UNDO, id=id_.upper(), vector=[float(v) * 3 for v in vector])
    assert await room.knowledge.add(BEST, [item, NewItem(BREAD)], "") == (
        id_,
        (await room.knowledge.add(BEST, [NewItem(BREAD)], ""))[0],
    )
    found = await room.knowledge.search("What is the capital of France?", None, "")
    assert found.hits[0].id == id_
    assert found.hits[0].score == pytest.approx(1.0, abs=1e-3)


async def test_nobody_overwrites_or_deletes_somebody_elses_item(room: Room) -> None:
    (id_,) = await room.knowledge.add(BEST, [NewItem(UNDO)], "anna")
    with pytest.raises(Forbidden):
        await room.knowledge.add(BEST, [NewItem(BREAD, id=id_)], "ben")
    assert await room.knowledge.delete(BEST, [id_], "ben") == 0
    found = await room.knowledge.search("How do I undo a commit?", None, "anna")
    assert [hit.id for hit in found.hits] == [id_]
    assert (await room.knowledge.search("How do I undo a commit?", None, "ben")).hits == ()
    assert await room.knowledge.delete(BEST, [id_], "anna") == 1


@pytest.mark.parametrize("id_", ["", "7", "not-a-uuid"])
async def test_an_id_that_is_no_uuid_is_refused(room: Room, id_: str) -> None:
    with pytest.raises(InvalidRequest):
        await room.knowledge.delete(BEST, [id_], "")
    with pytest.raises(InvalidRequest):
        await room.knowledge.add(BEST, [NewItem(UNDO, id=id_)], "")


async def test_a_source_is_deleted_whole(room: Room) -> None:
    items = [NewItem({**UNDO, "title": f"{n}"}, source="a.md") for n in range(3)]
    await room.knowledge.add(BEST, [*items, NewItem(BREAD, source="b.md")], "")
    assert await room.knowledge.delete_source(BEST, "a.md", "") == 3
    assert (await room.knowledge.status())[BEST].points == 1


async def test_a_search_can_be_narrowed_by_field(room: Room) -> None:
    python = {"file_path": "a.py", "code_snippet": "def undo(): ...", "language": "python"}
    rust = {"file_path": "a.rs", "code_snippet": "fn undo() {}", "language": "rust"}
    await room.knowledge.add(CODE, [NewItem(python), NewItem(rust)], "")
    await room.knowledge.add(BEST, [NewItem(UNDO)], "")

    async def paths(*languages: str) -> list[str]:
        found = await room.knowledge.search(
            "undo function", None, "", limit=10, filters={"language": languages}, abstain=False
        )
        return sorted(
            hit.item.file_path for hit in found.hits if isinstance(hit.item, CodebaseContext)
        )

    assert await paths("rust") == ["a.rs"]
    assert await paths("rust", "python") == ["a.py", "a.rs"]
    assert await paths("cobol") == []


@pytest.mark.parametrize("field", ["caller", "nonsense", "description"])
async def test_a_field_that_cannot_be_filtered_is_refused_by_name(room: Room, field: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be filtered") as raised:
        await room.knowledge.search("q", None, "", filters={field: "x"})
    assert raised.value.field == f"filters.{field}"


async def test_collections_and_limits_can_be_chosen(room: Room) -> None:
    await room.knowledge.add(BEST, [NewItem(UNDO)], "")
    error = {"error_message": "cannot undo the commit", "solution": "git reset --soft HEAD~1"}
    await room.knowledge.add(ERRORS, [NewItem(error)], "")
    question = "How do I undo a commit?"
    everywhere = await room.knowledge.search(question, None, "")
    assert {hit.collection for hit in everywhere.hits} == {BEST, ERRORS}
    one = await room.knowledge.search(question, None, "", [ERRORS])
    assert {hit.collection for hit in one.hits} == {ERRORS}
    assert len((await room.knowledge.search(question, None, "", limit=1)).hits) == 1


async def test_an_empty_question_is_an_error_not_a_search_for_nothing(room: Room) -> None:
    with pytest.raises(EmbeddingError):
        await room.knowledge.search("  ", None, "")


async def test_a_store_that_is_away_skips_the_search_and_fails_the_write(
    embedder: FastembedEmbedder, unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    made = build(QdrantStore.server(url, embedder.size, embedder.name, timeout=2), embedder)
    await made.knowledge.start()
    found = await made.knowledge.search("anything", None, "")
    assert found.hits == ()
    assert found.skipped is not None
    assert set(found.skipped) == set(RetrievalSettings().limits)
    with pytest.raises(StoreUnavailable):
        await made.knowledge.add(BEST, [NewItem(UNDO)], "")
    assert made.changed == []
    status = await made.knowledge.status()
    assert all(report.problem for report in status.values())
    await made.knowledge.aclose()


async def test_lesson_1_a_collection_of_another_embedder_stops_the_start(
    embedder: FastembedEmbedder,
) -> None:
    store = QdrantStore.local(None, 8, "a smaller embedder")
    await store.init()
    store._size, store._embedder = embedder.size, embedder.name
    made = build(store, embedder)
    with pytest.raises(CollectionMismatch, match=r"8.*384.*reindex"):
        await made.knowledge.start()
    await made.knowledge.aclose()


async def test_a_floor_in_the_settings_overrides_the_calibrated_one(
    embedder: FastembedEmbedder,
) -> None:
    settings = RetrievalSettings(floors={BEST: 0.99})
    made = build(QdrantStore.local(None, embedder.size, embedder.name), embedder, settings)
    await made.knowledge.start()
    await made.knowledge.add(BEST, [NewItem(UNDO)], "")
    assert (await made.knowledge.search("How do I undo a commit?", None, "")).hits == ()
    await made.knowledge.aclose()


async def test_what_only_adds_need_not_be_announced(room: Room) -> None:
    (id_,) = await room.knowledge.add(BEST, [NewItem(UNDO)], "", announce=False)
    assert await room.knowledge.amend(BEST, [id_], {"endorsement_count": 2}) == 1
    assert room.changed == []
    assert await room.knowledge.has_items()
    await room.knowledge.amend(BEST, [id_], {"status": "retired"}, announce=True)
    assert room.changed == [BEST]


async def test_amending_sets_some_fields_and_passes_over_what_is_gone(room: Room) -> None:
    (id_,) = await room.knowledge.add(BEST, [NewItem(UNDO, created=12.0)], "anna")
    gone = str(uuid.uuid4())
    assert await room.knowledge.amend(BEST, [gone, id_], {"endorsement_count": 2}) == 1
    assert await room.knowledge.amend(BEST, [gone], {"endorsement_count": 3}, announce=True) == 0
    assert await room.knowledge.amend(BEST, [], {"endorsement_count": 3}) == 0
    store = await room.knowledge.opened()
    (point,) = await store.get(BEST, [id_])
    assert (point.payload["endorsement_count"], point.payload["title"]) == (2, UNDO["title"])
    assert (point.payload["caller"], point.payload["created"]) == ("anna", 12.0)
    assert room.changed == [BEST]


async def test_a_field_that_the_collection_does_not_have_cannot_be_amended(room: Room) -> None:
    (id_,) = await room.knowledge.add(BEST, [NewItem(UNDO)], "anna")
    with pytest.raises(ValueError, match="helpful_count"):
        await room.knowledge.amend(BEST, [id_], {"helpful_count": 1, "status": "trusted"})
    store = await room.knowledge.opened()
    assert (await store.get(BEST, [id_]))[0].payload["status"] == "trusted"


async def test_similar_items_come_by_meaning_alone_however_far(
    room: Room, embedder: FastembedEmbedder
) -> None:
    undo, bread = await room.knowledge.add(BEST, [NewItem(UNDO), NewItem(BREAD)], "anna")
    text = "\n".join(UNDO[key] for key in ("title", "category", "description"))
    found = await room.knowledge.similar(BEST, text, None, 5)
    assert [point.id for point, _ in found] == [undo, bread]
    assert found[0][1] == pytest.approx(1.0, abs=1e-3)
    assert found[1][1] < 0.3
    others = Filter(any_of={"caller": ("ben",)})
    assert await room.knowledge.similar(BEST, text, others, 5) == []
    vector = await embedder.embed_query("How long does dough rise?")
    ((nearest, _),) = await room.knowledge.similar(BEST, "", None, 1, vector=vector)
    assert nearest.id == bread
    with pytest.raises(EmbeddingError):
        await room.knowledge.similar(BEST, "  ", None, 5)


async def test_the_calibration_has_the_floors_of_the_settings(embedder: FastembedEmbedder) -> None:
    settings = RetrievalSettings(floors={BEST: 0.5})
    made = build(QdrantStore.local(None, embedder.size, embedder.name), embedder, settings)
    assert made.knowledge.embedder is embedder
    assert made.knowledge.calibration.floor(BEST) == 0.5
    assert made.knowledge.calibration.floor(ERRORS) == embedder.calibration.floor(ERRORS)
    await made.knowledge.aclose()
