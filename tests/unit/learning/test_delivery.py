"""Delivering from the outbox: order, outages, room for requests."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from hybrid_coordinator.errors import (
    CollectionMismatch,
    EmbeddingError,
    StoreUnavailable,
)
from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.delivery import BATCH, Deliverer
from hybrid_coordinator.learning_settings import OutboxSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.delivery_parts import Sink, deliverer, empty, no_fault, running
from tests.unit.learning.outbox_parts import ALICE, FAILURE, SUCCESS, Clock, outbox, tracked


async def test_records_go_oldest_first_and_interactions_together(tmp_path: Path) -> None:
    sink = Sink()
    async with outbox(tmp_path / "o.sqlite") as box:
        each = [tracked() for _ in range(40)]
        await asyncio.gather(*(box.accept_interaction(one) for one in each))
        await box.accept_outcome(each[0].id, ALICE, SUCCESS)
        made, pauses = deliverer(box, sink)
        await made.flush(20)
        assert sink.had == [
            *((one.id, "interaction") for one in each),
            (each[0].id, "success"),
        ]
        assert sink.batches == [BATCH, 8]
        assert (box.depth, pauses.made) == (0, [])


async def test_it_starts_with_what_was_pending_and_goes_on_with_what_comes(
    tmp_path: Path,
) -> None:
    sink, metrics = Sink(), Metrics()
    before, after = tracked(), tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(before)
    async with outbox(tmp_path / "o.sqlite") as box:
        made, _ = deliverer(box, sink, metrics)
        async with running(made):
            await empty(box)
            await box.accept_interaction(after)
            await box.accept_outcome(before.id, ALICE, FAILURE)
            await empty(box)
    assert sink.of(before.id) == ["interaction", "failure"]
    assert sink.of(after.id) == ["interaction"]
    delivered = metrics.registry.get_sample_value(
        "hybrid_outbox_deliveries_total", {"kind": "interaction", "result": "ok"}
    )
    assert delivered == 2


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("Qdrant is away"),
        EmbeddingError("no model"),
        CollectionMismatch("reindex"),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
async def test_an_hour_without_qdrant_loses_nothing_and_keeps_the_order(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sink, metrics, clock = Sink(), Metrics(), Clock()
    back = clock.now + 3_600

    def away(_: str) -> Exception | None:
        return error if clock.now < back else None

    sink.store_fault = sink.settle_fault = away
    async with outbox(tmp_path / "o.sqlite") as box:
        made, pauses = deliverer(box, sink, metrics, clock=clock)
        each = [tracked() for _ in range(50)]
        async with running(made):
            for one in each:
                await box.accept_interaction(one)
                # Accepted while Qdrant is away, of interactions that it never saw.
                await box.accept_outcome(one.id, ALICE, SUCCESS)
            if clock.now < back:
                assert made.failing
            await empty(box)
        assert not made.failing
        assert box.totals.dead == 0
    for one in each:
        assert sink.of(one.id) == ["interaction", "success"]
    stored = [id_ for id_, what in sink.had if what == "interaction"]
    assert stored == [one.id for one in each]
    assert pauses.made[:9] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert max(pauses.made) == 60
    assert len([r for r in caplog.records if r.message.startswith("records wait")]) == 1
    assert len([r for r in caplog.records if "delivered again" in r.message]) == 1


async def test_new_work_does_not_shorten_an_outages_pause_but_wake_does(tmp_path: Path) -> None:
    sink = Sink()
    tries = asyncio.Semaphore(0)

    def away(_: str) -> Exception:
        tries.release()
        return StoreUnavailable("away")

    sink.store_fault = away
    async with outbox(tmp_path / "o.sqlite") as box:
        made = Deliverer(
            box, sink, OutboxSettings(), Metrics(), Activity(), uniform=lambda low, high: 600.0
        )
        await box.accept_interaction(tracked())
        async with running(made):
            await tries.acquire()
            for _ in range(5):
                await box.accept_interaction(tracked())
            await asyncio.sleep(0.05)
            assert tries.locked(), "it tried again"
            sink.store_fault = no_fault
            made.wake()
            await empty(box)


async def test_flush_says_what_is_left_when_its_time_is_over(tmp_path: Path) -> None:
    sink = Sink()
    sink.store_fault = lambda _: StoreUnavailable("away")
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(tracked())
        made, _ = deliverer(box, sink)
        with pytest.raises(StoreUnavailable, match="1 records could not be delivered"):
            await made.flush(0.05)


async def test_nothing_is_on_its_way_while_it_is_paused(tmp_path: Path) -> None:
    sink = Sink()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        entered.set()
        await leave.wait()

    sink.before = slow
    one = tracked()
    async with outbox(tmp_path / "o.sqlite") as box:
        made, _ = deliverer(box, sink)
        async with running(made):
            await box.accept_interaction(one)
            await entered.wait()

            async def forget() -> int:
                async with made.paused():
                    stored = len(sink.had)
                    await box.forget(one.id)
                    return stored

            forgetting = asyncio.create_task(forget())
            await asyncio.sleep(0.01)
            assert not forgetting.done()
            leave.set()
            assert await forgetting == 1, "what was on its way has arrived before"
        assert await box.forgotten(one.id)


async def test_while_requests_are_under_way_it_works_at_most_half_of_the_time(
    tmp_path: Path,
) -> None:
    sink, activity = Sink(), Activity()
    loop = asyncio.get_running_loop()
    spans: list[tuple[float, float]] = []

    async def slow() -> None:
        began = loop.time()
        await asyncio.sleep(0.03)
        spans.append((began, loop.time()))

    sink.before = slow
    async with outbox(tmp_path / "o.sqlite") as box:
        await asyncio.gather(*(box.accept_interaction(tracked()) for _ in range(40)))
        made = Deliverer(box, sink, OutboxSettings(), Metrics(), activity)
        with activity.request():
            async with running(made):
                await empty(box)
    assert sink.batches == [8] * 5, "short steps"
    worked = sum(end - began for began, end in spans)
    # Between two steps lies at least as long a rest; it went on to the end all the same.
    assert spans[-1][1] - spans[0][0] >= 1.8 * worked - 0.03


async def test_the_end_of_the_last_request_ends_the_rest(tmp_path: Path) -> None:
    sink, activity, clock = Sink(), Activity(), Clock()

    async def an_hour() -> None:
        clock.now += 3_600

    sink.before = an_hour
    async with outbox(tmp_path / "o.sqlite") as box:
        await asyncio.gather(*(box.accept_interaction(tracked()) for _ in range(12)))
        made, _ = deliverer(box, sink, clock=clock, activity=activity)
        activity.begin()
        async with running(made):
            async with asyncio.timeout(20):
                while len(sink.had) < 8:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            assert len(sink.had) == 8, "it rests for the hour that the step took"
            activity.end()
            await empty(box)
