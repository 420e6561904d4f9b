"""Delivering records that fail by themselves: order, tries, what is set aside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from hybrid_coordinator.errors import (
    EmbeddingError,
    StoreUnavailable,
    Unprocessable,
)
from hybrid_coordinator.learning.delivery import TRIES
from hybrid_coordinator.learning.outbox import Record
from hybrid_coordinator.learning.records import Outcome, PostedOutcome
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.delivery_parts import Sink, deliverer, empty, no_fault, running
from tests.unit.learning.outbox_parts import ALICE, SUCCESS, Clock, outbox, tracked


async def test_two_records_of_one_interaction_stay_in_order_when_the_first_fails(
    tmp_path: Path,
) -> None:
    sink, clock = Sink(), Clock()
    failures = iter([Unprocessable("no"), ValueError("no")])
    bad, good = tracked(), tracked()
    sink.store_fault = lambda id_: next(failures, None) if id_ == bad.id else None
    async with outbox(tmp_path / "o.sqlite") as box:
        for one in (bad, good):
            await box.accept_interaction(one)
            await box.accept_outcome(one.id, ALICE, SUCCESS)
        made, pauses = deliverer(box, sink, clock=clock)
        await made.flush(20)
        assert sink.of(bad.id) == ["interaction", "success"]
        # The other's are not held up by it.
        assert sink.had[:2] == [(good.id, "interaction"), (good.id, "success")]
        # Its first failure, among others, does not say yet which of them is at fault.
        assert pauses.made == [0.5]
        assert box.totals.dead == 0


async def test_an_outcome_that_fails_holds_up_the_later_ones_of_its_interaction_only(
    tmp_path: Path,
) -> None:
    sink = Sink()
    failures = iter([ValueError("first try")])
    one, other = tracked(), tracked()
    sink.settle_fault = lambda id_: next(failures, None) if id_ == one.id else None
    async with outbox(tmp_path / "o.sqlite") as box:
        for each in (one, other):
            await box.accept_interaction(each)
        await box.accept_outcome(one.id, ALICE, SUCCESS)
        await box.accept_outcome(one.id, ALICE, PostedOutcome(Outcome.FAILURE, replace=True))
        await box.accept_outcome(other.id, ALICE, SUCCESS)
        made, _ = deliverer(box, sink)
        await made.flush(20)
    assert [entry for entry in sink.had if entry[1] != "interaction"] == [
        (other.id, "success"),
        (one.id, "success"),
        (one.id, "failure"),
    ]


async def test_a_record_at_fault_is_set_aside_after_three_tries_and_nothing_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink, metrics = Sink(), Metrics()
    bad, *good = (tracked(query=f"secret words {n}") for n in range(6))
    asked: list[str] = []

    def poison(id_: str) -> Exception | None:
        asked.append(id_)
        return ValueError(f"secret words of {id_}") if id_ == bad.id else None

    sink.store_fault = poison
    sink.settle_fault = lambda id_: Unprocessable("no such point") if id_ == bad.id else None
    async with outbox(tmp_path / "o.sqlite") as box:
        for one in (bad, *good):
            await box.accept_interaction(one)
        await box.accept_outcome(bad.id, ALICE, SUCCESS)
        made, _ = deliverer(box, sink, metrics)
        await made.flush(20)
        assert [id_ for id_, _ in sink.had] == [one.id for one in good]
        dead = await box.dead_records(10)
        assert [(d.record.interaction_id, d.record.kind) for d in dead] == [
            (bad.id, "interaction"),
            (bad.id, "outcome"),
        ]
        assert dead[0].record.tracked() == bad
        assert dead[1].why == "no such point"
        # Once with the others, which tells that one of them is at fault, then by itself.
        assert asked.count(bad.id) == TRIES + 1
        for kind in ("interaction", "outcome"):
            labels = {"kind": kind, "result": "dead"}
            name = "hybrid_outbox_deliveries_total"
            assert metrics.registry.get_sample_value(name, labels) == 1
        # The next start tries once more: a new version may know what to do.
        sink.store_fault = sink.settle_fault = no_fault
        made, _ = deliverer(box, sink)
        async with running(made):
            async with asyncio.timeout(20):
                while len(sink.of(bad.id)) < 2:
                    await asyncio.sleep(0.001)
            await empty(box)
    assert sink.of(bad.id) == ["interaction", "success"]
    assert "secret words" not in caplog.text
    assert not any("secret" in str(vars(record)) for record in caplog.records)


async def test_tries_are_counted_over_restarts(tmp_path: Path) -> None:
    sink = Sink()
    sink.store_fault = lambda _: Unprocessable("no")
    for _ in range(TRIES):
        async with outbox(tmp_path / "o.sqlite") as box:
            if not box.totals.last:
                await box.accept_interaction(tracked())
            made, _ = deliverer(box, sink)
            await made._round()
            dead = box.totals.dead
    assert dead == 1


async def test_a_text_that_cannot_be_embedded_is_told_from_an_embedder_that_is_away(
    tmp_path: Path,
) -> None:
    sink = Sink()
    bad, good = tracked(), tracked()
    sink.store_fault = lambda id_: EmbeddingError("no vector") if id_ == bad.id else None
    async with outbox(tmp_path / "o.sqlite") as box:
        clock = Clock()
        made, _ = deliverer(box, sink, clock=clock)
        await box.accept_interaction(bad)
        # Alone nobody can tell: it is tried until others show that the embedder works.
        for _ in range(2 * TRIES):
            await made._round()
        assert (box.depth, box.totals.dead) == (1, 0)
        for number in range(TRIES):
            assert box.totals.dead == 0
            await box.accept_interaction(good if number == 0 else tracked())
            await made._round()
            clock.now += 100
        assert sink.of(good.id) == ["interaction"]
        assert (box.depth, box.totals.dead) == (0, 1)


async def test_a_kill_between_delivering_and_letting_go_delivers_again_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink()
    one = tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(one)
        await box.accept_outcome(one.id, ALICE, SUCCESS)

        async def killed(_: Sequence[Record]) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(box, "delivered", killed)
        made, _ = deliverer(box, sink)
        with pytest.raises(KeyboardInterrupt):
            await made._round()
    assert sink.of(one.id) == ["interaction"]
    async with outbox(tmp_path / "o.sqlite") as box:
        made, _ = deliverer(box, sink)
        await made.flush(20)
    assert sink.of(one.id) == ["interaction", "interaction", "success"]


async def test_an_outbox_that_cannot_be_written_is_waited_out_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink()
    one = tracked()
    failures = iter([StoreUnavailable("full"), StoreUnavailable("full")])
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(one)
        delivered = box.delivered

        async def full(records: Sequence[Record]) -> None:
            if (error := next(failures, None)) is not None:
                raise error
            await delivered(records)

        monkeypatch.setattr(box, "delivered", full)
        made, pauses = deliverer(box, sink)
        await made.flush(20)
        assert pauses.made == [0.5, 1.0]
        assert set(sink.of(one.id)) == {"interaction"}
