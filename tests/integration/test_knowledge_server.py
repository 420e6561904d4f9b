"""The knowledge store on a Qdrant server: everything a server adds to the embedded engine.

Runs on the real server where QDRANT_BIN names one, else on its stand-in. What every store promises
is in ``tests/unit/knowledge/test_store.py``, which runs on the server, too.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator

import httpx
import numpy as np
import pytest

from hybrid_coordinator.errors import CollectionMismatch, StoreUnavailable
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.store import Filter, Point, SparseVector
from hybrid_coordinator.settings import Collection
from tests.testbed.qdrant import QdrantServer, qdrant_server
from tests.testbed.requirement import require

SIZE = 8
EMBEDDER = "test"
SKILLS = Collection.SKILLS_PATTERNS
ERRORS = Collection.ERROR_SOLUTIONS
NO_WORDS = SparseVector()


def unit(*values: float) -> np.ndarray:
    vector = np.zeros(SIZE, dtype=np.float32)
    vector[: len(values)] = values
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def point(number: int, **payload: object) -> Point:
    return Point(str(uuid.UUID(int=number)), unit(1, number / 10), NO_WORDS, dict(payload))


def opened(server: QdrantServer, *, timeout: float = 30, api_key: str | None = None) -> QdrantStore:
    return QdrantStore.server(server.url, SIZE, EMBEDDER, timeout=timeout, api_key=api_key)


@pytest.fixture
def own() -> Iterator[QdrantServer]:
    """A server that the test may stop."""
    require("qdrant")
    with qdrant_server() as server:
        yield server


@pytest.fixture
async def store(qdrant: QdrantServer) -> AsyncIterator[QdrantStore]:
    """An open store on the shared server, empty."""
    qdrant.clear()
    made = opened(qdrant)
    await made.init()
    yield made
    await made.aclose()


async def test_a_server_gets_the_collections_with_every_index(
    store: QdrantStore, qdrant: QdrantServer
) -> None:
    report = await store.schema_report()
    assert all((r.points, r.vector_size, r.problem) == (0, SIZE, None) for r in report.values())
    await store.init()
    async with httpx.AsyncClient() as client:
        answer = (await client.get(f"{qdrant.url}/collections/{SKILLS}")).json()["result"]
    kinds = {name: index["data_type"] for name, index in answer["payload_schema"].items()}
    assert kinds["caller"] == kinds["status"] == kinds["skill_name"] == "keyword"
    assert kinds["created"] == "float"
    assert answer["config"]["params"]["sparse_vectors"]["bm25"]["modifier"] == "idf"
    assert answer["config"]["metadata"] == {"embedder": EMBEDDER}


async def test_a_server_stores_searches_pages_and_deletes(store: QdrantStore) -> None:
    points = [
        Point(
            str(uuid.UUID(int=n)),
            unit(1, n / 10),
            SparseVector((n,), (1.0,)),
            {"caller": "anna" if n % 2 else "", "solution_verified": n == 4},
        )
        for n in range(20)
    ]
    await store.upsert(ERRORS, points)
    hits = await store.query(ERRORS, unit(1), SparseVector((9,), (1.0,)), 3)
    assert {uuid.UUID(hit.id).int for hit in hits} == {0, 1, 2, 9}
    shared = Filter(any_of={"caller": ("",)})
    hits = await store.query(ERRORS, unit(1), NO_WORDS, 3, shared)
    assert [uuid.UUID(hit.id).int for hit in hits] == [0, 2, 4]
    assert await store.count(ERRORS, Filter(any_of={"solution_verified": (True,)})) == 1
    page = await store.scroll(ERRORS, limit=15)
    rest = await store.scroll(ERRORS, after=page.next, limit=15)
    assert [uuid.UUID(p.id).int for p in (*page.points, *rest.points)] == list(range(20))
    await store.delete(ERRORS, shared)
    assert await store.count(ERRORS) == 10


async def test_lesson_1_a_server_with_another_embedders_collections_is_refused(
    store: QdrantStore, qdrant: QdrantServer
) -> None:
    other = QdrantStore.server(qdrant.url, SIZE * 2, "another", timeout=30)
    with pytest.raises(CollectionMismatch, match="reindex"):
        await other.init()
    await other.aclose()


async def test_coordinators_that_start_together_on_an_empty_server_share_its_collections(
    qdrant: QdrantServer,
) -> None:
    qdrant.clear()
    stores = [opened(qdrant) for _ in range(4)]
    await asyncio.gather(*(store.init() for store in stores))
    await stores[0].upsert(SKILLS, [point(1)])
    assert [await store.count(SKILLS) for store in stores] == [1, 1, 1, 1]
    for store in stores:
        await store.aclose()


async def test_a_write_larger_than_the_server_takes_at_once_is_stored_in_parts(
    store: QdrantStore,
) -> None:
    """Qdrant refuses bodies above 32 MB; 48 items of 32,768 characters each 24 times have 38."""
    snippet = "x" * 32_768
    points = [point(n, variations=[snippet] * 24) for n in range(48)]
    await store.upsert(SKILLS, points)
    assert await store.count(SKILLS) == 48


async def test_a_collection_deleted_behind_our_back_is_made_anew(
    store: QdrantStore, qdrant: QdrantServer, caplog: pytest.LogCaptureFixture
) -> None:
    await store.upsert(SKILLS, [point(1)])
    qdrant.clear()
    with caplog.at_level(logging.WARNING, "hybrid_coordinator"):
        assert await store.query(SKILLS, unit(1), NO_WORDS, 3) == []
        assert await store.query(SKILLS, unit(1), NO_WORDS, 3) == []
    assert [f"'{SKILLS}' is gone" in record.message for record in caplog.records] == [True]
    await store.upsert(SKILLS, [point(2)])
    assert (await store.schema_report())[SKILLS].points == 1


async def test_every_confirmed_write_survives_kill_9_of_the_server(own: QdrantServer) -> None:
    store = opened(own)
    await store.init()
    confirmed = 0

    async def write() -> None:
        nonlocal confirmed
        for number in range(100_000):
            await store.upsert(SKILLS, [point(number, skill_name=f"skill {number}")])
            confirmed = number + 1
            if confirmed == 60:
                await asyncio.to_thread(own.kill)

    with pytest.raises(StoreUnavailable):
        await write()
    await asyncio.to_thread(own.start)
    await store.init()
    assert await store.count(SKILLS) in (confirmed, confirmed + 1), "the last one may be there"
    last = str(uuid.UUID(int=confirmed - 1))
    (found,) = await store.get(SKILLS, [last])
    assert found.payload == {"skill_name": f"skill {confirmed - 1}"}
    hits = await store.query(SKILLS, unit(1), NO_WORDS, 1)
    assert uuid.UUID(hits[0].id).int == 0
    await store.aclose()


async def test_lesson_7_a_restart_of_the_server_costs_two_log_lines_and_no_restart_of_ours(
    own: QdrantServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(own)
    await store.init()
    await store.upsert(SKILLS, [point(1)])
    with caplog.at_level(logging.INFO, "hybrid_coordinator"):
        await asyncio.to_thread(own.stop)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match=str(own.port)):
                await store.count(SKILLS)
        await asyncio.to_thread(own.start)
        assert await store.count(SKILLS) == 1
        assert await store.count(SKILLS) == 1
    assert ["does not answer" in r.message for r in caplog.records] == [True, False]
    await store.aclose()


async def test_a_server_that_hangs_is_given_up_in_time_and_used_again_afterwards(
    own: QdrantServer,
) -> None:
    patient, impatient = opened(own), opened(own, timeout=1)
    await patient.init()
    await patient.upsert(SKILLS, [point(1)])
    assert await impatient.count(SKILLS) == 1
    own.pause()
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable):
            await impatient.count(SKILLS)
        report = await impatient.schema_report()
    assert all(r.points is None and r.problem for r in report.values())
    own.resume()
    assert await patient.count(SKILLS) == 1
    await patient.aclose()
    await impatient.aclose()


async def test_a_refused_write_names_the_reason_and_does_not_count_as_an_outage(
    store: QdrantStore, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = Point(str(uuid.UUID(int=1)), unit(1)[: SIZE - 1], NO_WORDS, {})
    with (
        caplog.at_level(logging.INFO, "hybrid_coordinator"),
        pytest.raises(StoreUnavailable, match=rf"status 400.*expected dim: {SIZE}, got {SIZE - 1}"),
    ):
        await store.upsert(SKILLS, [wrong])
    assert caplog.records == []
    assert await store.count(SKILLS) == 0


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_a_key_the_server_refuses_is_reported_with_the_setting_that_holds_it(
    key: str | None,
) -> None:
    require("qdrant")
    with qdrant_server(api_key="right") as server:
        store = opened(server, api_key=key)
        with pytest.raises(StoreUnavailable, match=r"status 401.*qdrant\.api_key_file") as refusal:
            await store.init()
        assert "right" not in refusal.value.message
        await store.aclose()


async def test_with_the_right_key_the_server_is_used_without_a_warning() -> None:
    require("qdrant")
    with qdrant_server(api_key="right") as server, warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        store = opened(server, api_key="right")
        await store.init()
        await store.upsert(SKILLS, [point(1)])
        assert await store.count(SKILLS) == 1
        await store.aclose()


async def test_a_key_that_may_only_read_searches_and_is_refused_a_write() -> None:
    require("qdrant")
    with qdrant_server(api_key="right", read_only_api_key="reader") as server:
        writer, reader = opened(server, api_key="right"), opened(server, api_key="reader")
        await writer.init()
        await writer.upsert(SKILLS, [point(1)])
        assert len(await reader.query(SKILLS, unit(1), NO_WORDS, 3)) == 1
        with pytest.raises(StoreUnavailable, match=r"status 403.*qdrant\.api_key_file"):
            await reader.upsert(SKILLS, [point(2)])
        await writer.aclose()
        await reader.aclose()
