"""What the outbox accepts, refuses and remembers."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from hybrid_coordinator.conversation import OPERATOR_CALLER
from hybrid_coordinator.errors import Conflict, NotFound, OutboxFull, Unprocessable
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.outbox import Known
from hybrid_coordinator.learning.outbox_rows import KNOWN_PER_RECORD
from hybrid_coordinator.learning.records import Outcome, OutcomeSource, PostedOutcome, Tracked
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.outbox_parts import (
    ALICE,
    BOB,
    FAILURE,
    SUCCESS,
    Clock,
    fill,
    outbox,
    tracked,
)


async def test_what_was_accepted_is_there_after_a_restart_in_the_same_order(
    tmp_path: Path,
) -> None:
    interactions = [tracked(query=f"question {n}") for n in range(5)]
    async with outbox(tmp_path / "o.sqlite") as box:
        for each in interactions:
            assert await box.accept_interaction(each)
        await box.accept_outcome(interactions[0].id, ALICE, SUCCESS)
    async with outbox(tmp_path / "o.sqlite") as box:
        pending = await box.pending(100)
        assert [r.tracked() for r in pending[:5]] == interactions
        assert (pending[5].kind, pending[5].interaction_id) == ("outcome", interactions[0].id)
        assert pending[5].state().outcome is Outcome.SUCCESS
        assert [r.seq for r in pending] == sorted(r.seq for r in pending)
        assert (box.depth, box.oldest) == (6, 1_000_000.0)
        assert box.size_bytes == sum(len(r.body) for r in pending)


async def test_the_same_interaction_again_has_no_second_effect(tmp_path: Path) -> None:
    first = tracked()
    later = first.item.model_copy(update={"timestamp": 2_000_000.0, "latency_ms": 9.0})
    async with outbox(tmp_path / "o.sqlite") as box:
        assert await box.accept_interaction(first)
        assert not await box.accept_interaction(Tracked(first.id, first.caller, later))
        await box.done([r.seq for r in await box.pending(10)])
        assert not await box.accept_interaction(first)
        assert box.depth == 0


@pytest.mark.parametrize(
    "other", [{"query": "another"}, {"response": "another"}, {"caller": "bob"}]
)
async def test_an_id_that_belongs_to_something_else_is_a_conflict(
    tmp_path: Path, other: dict[str, str]
) -> None:
    first = tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(first)
        with pytest.raises(Conflict) as caught:
            await box.accept_interaction(tracked(first.id, **other))
        assert caught.value.field == "id"
        assert box.depth == 1


async def test_an_outcome_of_an_unknown_interaction_is_not_found_lesson_25(
    tmp_path: Path,
) -> None:
    async with outbox(tmp_path / "o.sqlite") as box:
        with pytest.raises(NotFound) as caught:
            await box.accept_outcome(str(uuid.uuid4()), ALICE, SUCCESS)
        assert caught.value.field == "interaction_id"
        assert not await box.accept_signal(str(uuid.uuid4()), OutcomeSource.REASK, -0.5)
        assert box.depth == 0


async def test_somebody_elses_interaction_is_not_found_but_for_the_operator(
    tmp_path: Path,
) -> None:
    mine = tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(mine)
        with pytest.raises(NotFound):
            await box.accept_outcome(mine.id, BOB, SUCCESS)
        receipt = await box.accept_outcome(mine.id, OPERATOR_CALLER, SUCCESS)
        assert receipt.changed
        assert (await box.pending_of(mine.id))[-1].caller == "alice"


async def test_the_same_outcome_again_changes_nothing_and_another_is_a_conflict(
    tmp_path: Path,
) -> None:
    one = tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(one)
        assert (await box.accept_outcome(one.id, ALICE, SUCCESS)).changed
        again = await box.accept_outcome(one.id, ALICE, SUCCESS)
        assert (again.changed, again.outcome) == (False, Outcome.SUCCESS)
        with pytest.raises(Conflict):
            await box.accept_outcome(one.id, ALICE, FAILURE)
        assert len(await box.pending_of(one.id)) == 2
        meant = PostedOutcome(Outcome.FAILURE, replace=True)
        assert (await box.accept_outcome(one.id, ALICE, meant)).changed
        assert (await box.pending_of(one.id))[-1].state().outcome is Outcome.FAILURE


async def test_of_many_who_say_the_same_at_once_exactly_one_changes_something(
    tmp_path: Path,
) -> None:
    one = tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        created = await asyncio.gather(*(box.accept_interaction(one) for _ in range(50)))
        assert created.count(True) == 1
        receipts = await asyncio.gather(
            *(box.accept_outcome(one.id, ALICE, SUCCESS) for _ in range(50))
        )
        assert [r.changed for r in receipts].count(True) == 1
        assert box.depth == 2


async def test_an_error_of_one_leaves_what_was_committed_with_it(tmp_path: Path) -> None:
    known = tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(known)
        results = await asyncio.gather(
            box.accept_interaction(tracked()),
            box.accept_interaction(tracked(known.id, query="another")),
            box.accept_outcome("nobody's", ALICE, SUCCESS),
            box.accept_interaction(tracked()),
            return_exceptions=True,
        )
        assert [type(r) for r in results] == [bool, Conflict, NotFound, bool]
        assert box.depth == 3


async def test_signs_are_kept_once_each_and_decide_together(tmp_path: Path) -> None:
    one = tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(one)
        assert await box.accept_signal(one.id, OutcomeSource.RETRY, -0.25)
        assert not await box.accept_signal(one.id, OutcomeSource.RETRY, -0.25)
        assert not await box.accept_signal(one.id, OutcomeSource.REASK, 0.0)
        assert await box.accept_signal(one.id, OutcomeSource.REASK, -0.25)
        known = await box.known(one.id)
        assert known is not None
        assert (known.source, known.signals) == (
            OutcomeSource.REASK,
            {"retry": -0.25, "reask": -0.25},
        )
        states = [
            r.state().effective().outcome
            for r in await box.pending_of(one.id)
            if r.kind == "outcome"
        ]
        assert states == [Outcome.UNKNOWN, Outcome.FAILURE]


async def test_an_interaction_from_qdrant_is_adopted_with_what_was_said_of_it(
    tmp_path: Path,
) -> None:
    item = InteractionHistory(query="q", outcome="success", outcome_source="client")
    there = Tracked(str(uuid.uuid4()), "alice", item)
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.adopt(Known.of(there))
        assert not (await box.accept_outcome(there.id, ALICE, SUCCESS)).changed
        with pytest.raises(Conflict):
            await box.accept_outcome(there.id, ALICE, FAILURE)
        # Told again by the client that tracked it, with nothing said of it yet.
        assert not await box.accept_interaction(tracked(there.id, response=""))
        # What is known here is newer than what Qdrant has.
        await box.accept_outcome(there.id, ALICE, PostedOutcome(Outcome.FAILURE, replace=True))
        await box.adopt(Known.of(there))
        known = await box.known(there.id)
        assert known is not None
        assert known.outcome is Outcome.FAILURE


async def test_a_full_outbox_refuses_says_when_to_come_back_and_counts_it(
    tmp_path: Path,
) -> None:
    metrics = Metrics()
    first = tracked()
    async with outbox(tmp_path / "o.sqlite", metrics=metrics, max_records=16) as box:
        await box.accept_interaction(first)
        for _ in range(15):
            await box.accept_interaction(tracked())
        with pytest.raises(OutboxFull) as caught:
            await box.accept_interaction(tracked())
        assert caught.value.retry_after is not None
        with pytest.raises(OutboxFull):
            await box.accept_outcome(first.id, ALICE, SUCCESS)
        # Nothing new is no record, so a repeated post is answered all the same.
        assert not await box.accept_interaction(first)
        registry = metrics.registry
        assert registry.get_sample_value("hybrid_outbox_refused_total") == 2
        assert registry.get_sample_value("hybrid_outbox_records") == 16
        await box.done([(await box.pending(1))[0].seq])
        assert (await box.accept_outcome(first.id, ALICE, SUCCESS)).changed


async def test_the_outbox_is_bounded_by_size_too(tmp_path: Path) -> None:
    bound = 1024 * 1024
    async with outbox(tmp_path / "o.sqlite", max_bytes=bound) as box:
        with pytest.raises(OutboxFull):
            await fill(box, 30_000)
        assert box.depth == 34
        assert box.size_bytes <= bound
        item = InteractionHistory.model_construct(query="q", response="x" * bound)
        with pytest.raises(Unprocessable, match="max_bytes"):
            await box.accept_interaction(Tracked(str(uuid.uuid4()), "alice", item))


async def test_a_response_of_five_megabytes_comes_back_as_it_was(tmp_path: Path) -> None:
    item = InteractionHistory.model_construct(query="q", response="ä" * 2_500_000)
    large = Tracked(str(uuid.uuid4()), "alice", item)
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(large)
    async with outbox(tmp_path / "o.sqlite") as box:
        (record,) = await box.pending(10)
        assert len(record.body) > 5_000_000
        assert record.body == item.model_dump_json().encode()


async def test_a_clock_that_goes_backwards_changes_no_order(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "o.sqlite"
    async with outbox(path, now=clock) as box:
        ids = []
        for step in (0.0, -3_600.0, -86_400.0, 10.0):
            clock.now += step
            ids.append(tracked())
            await box.accept_interaction(ids[-1])
        await box.accept_outcome(ids[0].id, ALICE, SUCCESS)
    async with outbox(path, now=clock) as box:
        pending = await box.pending(10)
        assert [r.interaction_id for r in pending[:4]] == [each.id for each in ids]
        assert pending[4].kind == "outcome"
        assert pending[1].accepted < pending[0].accepted
        # The oldest is the one that has waited longest, whatever the clock said.
        assert box.oldest == pending[0].accepted


async def test_delivered_interactions_stay_known_until_they_are_pruned(tmp_path: Path) -> None:
    old, waiting = tracked(), tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(old)
        await box.accept_interaction(waiting)
        await box.done([(await box.pending(1))[0].seq])
        assert await box.prune(999_999.0) == 0
        assert await box.known(old.id) is not None
        # What still waits is not forgotten over it.
        assert await box.prune(1_000_001.0) == 1
        assert await box.known(old.id) is None
        assert await box.known(waiting.id) is not None


async def test_known_interactions_are_bounded_by_number(tmp_path: Path) -> None:
    bound = KNOWN_PER_RECORD * 16
    everything = [tracked() for _ in range(bound + 20)]
    async with outbox(tmp_path / "o.sqlite", max_records=16) as box:
        await box.accept_interaction(everything[0])
        for start in range(1, len(everything), 10):
            part = everything[start : start + 10]
            await asyncio.gather(*(box.accept_interaction(each) for each in part))
            seqs = [r.seq for r in await box.pending(20)]
            await box.done(seqs[1:])  # the first of all stays
        assert box.totals.known == bound
        assert await box.known(everything[0].id) is not None, "it still waits"
        assert await box.known(everything[1].id) is None
        assert await box.known(everything[-1].id) is not None


async def test_a_forgotten_interaction_leaves_no_trace_and_does_not_come_back(
    tmp_path: Path,
) -> None:
    gone, kept = tracked(query="secret words"), tracked()
    path = tmp_path / "o.sqlite"
    async with outbox(path) as box:
        for each in (gone, kept):
            await box.accept_interaction(each)
        await box.accept_outcome(gone.id, ALICE, SUCCESS)
        await box.dead((await box.pending_of(gone.id))[1].seq, "why")
        assert await box.forget(gone.id) == 3
        assert await box.forget(gone.id) == 0
        assert await box.forgotten(gone.id)
        assert not await box.forgotten(kept.id)
        with pytest.raises(NotFound):
            await box.accept_interaction(gone)
        with pytest.raises(NotFound):
            await box.accept_outcome(gone.id, ALICE, SUCCESS)
        assert not await box.accept_signal(gone.id, OutcomeSource.REASK, -0.5)
        await box.adopt(Known.of(gone))
        assert await box.known(gone.id) is None
        assert [r.interaction_id for r in await box.pending(10)] == [kept.id]
    content = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert b"secret words" not in content


async def test_dead_records_are_kept_take_room_and_can_be_revived_in_order(
    tmp_path: Path,
) -> None:
    one = tracked()
    path = tmp_path / "o.sqlite"
    async with outbox(path, max_records=16) as box:
        await box.accept_interaction(one)
        await box.accept_outcome(one.id, ALICE, FAILURE)
        for record in await box.pending(10):
            assert [await box.failed(record.seq) for _ in range(3)] == [1, 2, 3]
            await box.dead(record.seq, "no reason")
        await box.accept_outcome(one.id, ALICE, PostedOutcome(Outcome.SUCCESS, replace=True))
        await box.done([r.seq for r in await box.pending(10)])
        assert (box.depth, box.totals.dead) == (0, 2)
        assert await box.prune(2_000_000.0) == 0, "its interaction stays known"
        for _ in range(14):
            await box.accept_interaction(tracked())
        with pytest.raises(OutboxFull):
            await box.accept_interaction(tracked())
    async with outbox(path, max_records=16) as box:
        assert [(d.record.kind, d.why) for d in await box.dead_records(10)] == [
            ("interaction", "no reason"),
            ("outcome", "no reason"),
        ]
        assert await box.revive() == 1
        revived = await box.pending_of(one.id)
        assert [(r.kind, r.attempts) for r in revived] == [("interaction", 0), ("outcome", 0)]
        assert revived[1].state().outcome is Outcome.SUCCESS, "the newest word, not the dead one"
        assert (await box.pending(1))[0].interaction_id == one.id, "in its old place"
        assert box.totals.dead == 0


async def test_pending_leaves_out_what_is_held_up(tmp_path: Path) -> None:
    held, free = tracked(), tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        for each in (held, free):
            await box.accept_interaction(each)
        found = await box.pending(10, {held.id})
        assert [r.interaction_id for r in found] == [free.id]


async def test_waiting_ends_when_something_is_pending(tmp_path: Path) -> None:
    async with outbox(tmp_path / "o.sqlite") as box:
        waiting = asyncio.create_task(box.wait())
        await box.known("x")  # the loop has turned
        assert not waiting.done()
        await box.accept_interaction(tracked())
        await asyncio.wait_for(waiting, 5)
        assert box.arrived.is_set()
        await box.done([r.seq for r in await box.pending(10)])
        waiting = asyncio.create_task(box.wait())
        await box.known("x")
        assert not waiting.done()
        waiting.cancel()
