"""Newest first, page by page, out of a store that only knows ids; and by a question."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_coordinator.errors import InvalidRequest
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.store import (
    Filter,
    KnowledgeStore,
    Page,
    StoredPoint,
)
from hybrid_coordinator.learning.listing import Place, found, newest
from tests.unit.learning.history import HISTORY, KnowledgeRoom

NOW = 1_700_000_000.0


@pytest.fixture
async def room(embedder: FastembedEmbedder) -> AsyncIterator[KnowledgeRoom]:
    made = await KnowledgeRoom.open(embedder)
    yield made
    await made.knowledge.aclose()


class Times:
    """As much of a store as listing asks: points of given times, in the order of their ids."""

    def __init__(self, times: list[float]) -> None:
        self.points = [
            StoredPoint(f"{index:08d}", {"timestamp": time}) for index, time in enumerate(times)
        ]
        self.counts = 0
        self.read = 0

    def fitting(self, where: Filter | None) -> list[StoredPoint]:
        return [p for p in self.points if where is None or where.fits(p.payload)]

    async def count(self, collection: object, where: Filter | None = None) -> int:
        self.counts += 1
        return len(self.fitting(where))

    async def scroll(
        self, collection: object, where: Filter | None = None, *, after: str | None = None
    ) -> Page:
        found = [p for p in self.fitting(where) if after is None or p.id >= after]
        self.read += len(found[:256])
        return Page(tuple(found[:256]), found[256].id if len(found) > 256 else None)


async def pages(store: object, limit: int) -> list[list[StoredPoint]]:
    known: KnowledgeStore = store  # type: ignore[assignment]
    before: Place | None = None
    all_pages = []
    while True:
        page = await newest(known, {HISTORY: Filter()}, "timestamp", limit, before, NOW)
        all_pages.append([one.point for one in page])
        if len(page) < limit:
            return all_pages
        before = Place.read(str(page[-1].place))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    times=st.lists(
        st.one_of(
            st.floats(0, NOW + 1e6),
            st.sampled_from([NOW - 10.0, NOW - 10.0005, NOW - 3 * 86_400.0]),
        ),
        max_size=60,
    ),
    limit=st.integers(1, 20),
)
async def test_all_pages_together_are_all_items_each_once_newest_first(
    times: list[float], limit: int
) -> None:
    store = Times(times)
    seen = [point for page in await pages(store, limit) for point in page]
    order = sorted(store.points, key=lambda p: (p.payload["timestamp"], p.id), reverse=True)
    assert seen == order


async def test_a_page_of_many_reads_about_a_page() -> None:
    store = Times([NOW - index * 60.0 for index in range(20_000)])
    listed = await newest(store, {HISTORY: Filter()}, "timestamp", 20, None, NOW)  # type: ignore[arg-type]
    assert [one.point.id for one in listed] == [f"{index:08d}" for index in range(20)]
    assert store.read <= 200
    assert store.counts <= 24


@pytest.mark.parametrize("text", ["", "x", "nan", "-1_a", "inf", "1e13_a", "1_" + "a" * 200])
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Place.read(text)


@given(st.floats(0, 1e11), st.uuids())
def test_a_cursor_is_read_as_it_was_written(time: float, id_: object) -> None:
    assert Place.read(str(Place(time, str(id_)))) == Place(time, str(id_))


async def test_a_real_store_lists_newest_first_and_finds_by_meaning(room: KnowledgeRoom) -> None:
    asked = [
        await room.ask(question, timestamp=NOW - age)
        for question, age in (
            ("How do I undo the last commit in git?", 5_000.0),
            ("Why does the printer not print?", 50.0),
            ("What is a good recipe for bread?", 900_000.0),
        )
    ]
    store = await room.knowledge.opened()
    where = {HISTORY: Filter(any_of={"caller": ("anna",)})}
    listed = await newest(store, where, "timestamp", 10, None, NOW)
    assert [one.point.id for one in listed] == [asked[1], asked[0], asked[2]]
    first = await found(room.knowledge, where, "timestamp", "revert a git commit", 10)
    assert first[0].point.id == asked[0]
    assert first[0].similarity is not None
    assert asked[2] not in [one.point.id for one in first]
    others = {HISTORY: Filter(any_of={"caller": ("bert",)})}
    assert await found(room.knowledge, others, "timestamp", "revert a git commit", 10) == []
