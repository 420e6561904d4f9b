"""What people look at: whose it is, what waits for a store that is away, one interaction's way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.conversation import OPERATOR_CALLER, CacheStatus, Caller, Tier
from hybrid_coordinator.errors import NotFound, StoreUnavailable
from hybrid_coordinator.knowledge import KnowledgeStore
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.items import InteractionHistory, PatternStatus
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.reading import InteractionReader
from hybrid_coordinator.learning.records import Outcome, PostedOutcome, Tracked
from hybrid_coordinator.learning.view_records import InteractionQuery, PatternQuery
from hybrid_coordinator.learning.views import Views
from hybrid_coordinator.learning_settings import OutboxSettings
from hybrid_coordinator.telemetry.events import CacheLookup, Event, RoutingDecision
from hybrid_coordinator.telemetry.metrics import Metrics
from hybrid_coordinator.telemetry.reader import events_of
from hybrid_coordinator.telemetry.writer import CURRENT
from tests.unit.learning.history import KnowledgeRoom
from tests.unit.learning.patterns_bench import COMMIT, NOW, PORT, SECRETS, Bench

ANNA = Caller("anna", "anna")
BERT = Caller("bert", "bert")
WAITING = "0190f7a0-0000-7000-8000-000000000007"


class Away:
    """A store that can be taken away."""

    def __init__(self, store: KnowledgeStore) -> None:
        self._store = store
        self.away = False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise StoreUnavailable("Qdrant does not answer.")
        return getattr(self._store, name)


class Room:
    def __init__(self, knowledge: KnowledgeRoom, outbox: Outbox, folder: Path) -> None:
        self.room = knowledge
        self.outbox = outbox
        self.folder = folder
        self.views = Views(
            outbox,
            knowledge.knowledge,
            InteractionReader(outbox, knowledge.knowledge),
            partial(events_of, folder),
            Metrics(),
            now=lambda: NOW,
        )
        self.store: Any = knowledge.knowledge.store

    async def waits(self, query: str, caller: str = "anna", age: float = 1.0) -> None:
        item = InteractionHistory(query=query, response="So.", timestamp=NOW - age, route="local")
        await self.outbox.accept_interaction(Tracked(WAITING, caller, item))


@pytest.fixture
async def room(embedder: FastembedEmbedder, tmp_path: Path) -> AsyncIterator[Room]:
    knowledge = await KnowledgeRoom.open(embedder, Away)
    outbox = Outbox(tmp_path / "outbox.sqlite", OutboxSettings(), Metrics())
    await outbox.start()
    yield Room(knowledge, outbox, tmp_path / "telemetry")
    await outbox.aclose()
    knowledge.knowledge.store.away = False  # type: ignore[attr-defined]
    await knowledge.knowledge.aclose()


async def test_everybody_sees_their_own_and_an_operator_all(room: Room) -> None:
    hers = await room.room.ask("Her question", "anna", NOW - 10)
    his = await room.room.ask("His question", "bert", NOW - 20)
    for caller, ids in ((ANNA, [hers]), (BERT, [his]), (OPERATOR_CALLER, [hers, his])):
        page = await room.views.interactions(InteractionQuery(), caller)
        assert [row.id for row in page.items] == ids
        found = await room.views.interactions(InteractionQuery("His question"), caller)
        assert (his in [row.id for row in found.items]) == (caller is not ANNA)
    with pytest.raises(NotFound):
        await room.views.steps(his, ANNA)
    by_id = await room.views.interactions(InteractionQuery(his), ANNA)
    assert by_id.items == ()
    assert [r.id for r in (await room.views.interactions(InteractionQuery(his), BERT)).items] == [
        his
    ]


async def test_what_waits_for_the_store_is_listed_once_and_said_to_wait(room: Room) -> None:
    old = await room.room.ask("An old question", "anna", NOW - 10)
    await room.waits("A new question")
    page = await room.views.interactions(InteractionQuery(), ANNA)
    assert [(row.id, row.delivered) for row in page.items] == [(WAITING, False), (old, True)]
    assert (await room.views.interactions(InteractionQuery(), BERT)).items == []
    word = await room.views.interactions(InteractionQuery("NEW question"), ANNA)
    assert word.items[0].id == WAITING


async def test_with_the_store_away_the_list_says_so_and_shows_what_waits(room: Room) -> None:
    await room.room.ask("Stored", "anna", NOW - 10)
    await room.waits("Waiting")
    room.store.away = True
    page = await room.views.interactions(InteractionQuery(), ANNA)
    assert [row.query for row in page.items] == ["Waiting"]
    assert "Qdrant does not answer" in page.trouble
    with pytest.raises(StoreUnavailable):
        await room.views.patterns(PatternQuery(), ANNA)


async def test_an_outcome_that_was_told_a_moment_ago_is_in_the_list(room: Room) -> None:
    await room.waits("Did it work?")
    await room.outbox.accept_outcome(WAITING, ANNA, PostedOutcome(Outcome.FAILURE, -1))
    (row,) = (await room.views.interactions(InteractionQuery(), ANNA)).items
    assert (row.outcome, row.user_feedback) == ("failure", -1)
    wanted = InteractionQuery(outcome=Outcome.SUCCESS)
    assert (await room.views.interactions(wanted, ANNA)).items == []
    wanted = InteractionQuery(outcome=Outcome.FAILURE, route="local")
    assert len((await room.views.interactions(wanted, ANNA)).items) == 1
    wanted = InteractionQuery(route="remote")
    assert (await room.views.interactions(wanted, ANNA)).items == []


async def test_pages_follow_each_other_across_outbox_and_store(room: Room) -> None:
    asked = [await room.room.ask(f"Question {n}", "anna", NOW - 60 * n) for n in range(1, 6)]
    await room.waits("The newest", age=0.0)
    seen: list[str] = []
    before: str | None = None
    while True:
        page = await room.views.interactions(InteractionQuery(limit=2, before=before), ANNA)
        seen += [row.id for row in page.items]
        before = page.next
        if before is None:
            break
    assert seen == [WAITING, *asked]


async def test_one_interactions_way_has_its_events_and_its_context(room: Room) -> None:
    bench = Bench(room.room)
    _, shelved = await bench.taught(COMMIT)
    assert shelved.ref is not None
    gone = "0190f7a0-0000-7000-8000-00000000dead"
    id_ = await room.room.ask("Undo a commit?", "anna", NOW, context=[shelved.ref.id, gone])
    other = await room.room.ask("Another", "anna", NOW)
    events: list[Event] = [
        CacheLookup(timestamp=NOW, interaction_id=id_, status=CacheStatus.MISS, latency_ms=1.0),
        CacheLookup(timestamp=NOW, interaction_id=other, status=CacheStatus.MISS, latency_ms=1.0),
        RoutingDecision(
            timestamp=NOW,
            interaction_id=id_,
            tier=Tier.LOCAL,
            backend="b",
            model="m",
            reason="easy",
        ),
    ]
    room.folder.mkdir()
    lines = [event.model_dump_json(exclude_none=True) for event in events]
    torn = f'{{"type":"cache_lookup","interaction_id":"{id_}"'
    (room.folder / CURRENT).write_text("\n".join([lines[0], torn, *lines[1:]]) + "\n")
    steps = await room.views.steps(id_, ANNA)
    assert [event["type"] for event in steps.events] == ["cache_lookup", "routing_decision"]
    used, missing = steps.context
    assert used.title == COMMIT.title
    assert used.status is PatternStatus.CANDIDATE
    assert used.similarity is not None
    assert used.similarity > 0.5
    assert (missing.id, missing.collection, missing.similarity) == (gone, None, None)


async def test_somebody_elses_item_in_the_context_shows_nothing_but_its_id(room: Room) -> None:
    bench = Bench(room.room)
    _, shelved = await bench.taught(COMMIT, "bert")
    assert shelved.ref is not None
    id_ = await room.room.ask("Undo a commit?", "anna", NOW, context=[shelved.ref.id])
    (used,) = (await room.views.steps(id_, ANNA)).context
    assert (used.title, used.text, used.collection) == ("", "", None)


async def test_patterns_are_listed_with_where_they_come_from(room: Room) -> None:
    bench = Bench(room.room)
    source, hers = await bench.taught(COMMIT)
    _, his = await bench.taught(PORT, "bert")
    bench.now = NOW + 60
    _, newest = await bench.taught(SECRETS)
    assert hers.ref
    assert his.ref
    assert newest.ref
    page = await room.views.patterns(PatternQuery(), ANNA)
    assert [row.id for row in page.items] == [newest.ref.id, hers.ref.id]
    assert page.items[1].source_interactions == (source,)
    assert page.items[1].may_change
    everything = await room.views.patterns(PatternQuery(), OPERATOR_CALLER)
    assert len(everything.items) == 3
    near = await room.views.patterns(PatternQuery("address already in use"), OPERATOR_CALLER)
    assert near.items[0].id == his.ref.id
    none = await room.views.patterns(PatternQuery(status=PatternStatus.TRUSTED), OPERATOR_CALLER)
    assert none.items == []
    one = await room.views.patterns(PatternQuery(limit=1), ANNA)
    rest = await room.views.patterns(PatternQuery(limit=1, before=one.next), ANNA)
    assert [row.id for row in rest.items] == [hers.ref.id]


async def test_interactions_of_a_tier_are_found_among_many_of_another(room: Room) -> None:
    for n in range(6):
        await room.room.ask(f"Near {n}", "anna", NOW - 60 * n, route="local:lemonade/small")
    far = [
        await room.room.ask(f"Far {n}", "anna", NOW - 9_000 * (n + 1), route="remote:cloud/large")
        for n in range(3)
    ]
    page = await room.views.interactions(InteractionQuery(limit=2, route="remote"), ANNA)
    assert [row.id for row in page.items] == far[:2]
    rest = InteractionQuery(limit=2, route="remote", before=page.next)
    assert [row.id for row in (await room.views.interactions(rest, ANNA)).items] == far[2:]
    exact = InteractionQuery(route="remote:cloud/large")
    assert len((await room.views.interactions(exact, ANNA)).items) == 3
    word = await room.views.interactions(InteractionQuery("Far 1", route="local"), ANNA)
    assert not {row.id for row in word.items} & set(far)
