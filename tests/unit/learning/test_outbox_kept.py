"""Delivered records stay for a while, and after a loss of power they are delivered again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hybrid_coordinator.learning import delivery
from hybrid_coordinator.learning.outbox import KEPT_SECONDS, Outbox, boot_id
from tests.unit.learning.delivery_parts import Sink, deliverer, empty, running
from tests.unit.learning.outbox_parts import ALICE, SUCCESS, Clock, fill, outbox, tracked


async def deliver(box: Outbox) -> list[tuple[str, str]]:
    sink = Sink()
    made, _ = deliverer(box, sink)
    await made.flush(20)
    return sink.had


async def test_after_a_loss_of_power_what_was_delivered_last_is_delivered_again_in_order(
    tmp_path: Path,
) -> None:
    one = tracked()
    async with outbox(tmp_path / "o.sqlite", boot="monday") as box:
        await box.accept_interaction(one)
        await box.accept_outcome(one.id, ALICE, SUCCESS)
        first = await deliver(box)
        assert (box.depth, box.size_bytes, box.oldest, box.totals.delivered) == (0, 0, None, 2)
        assert await box.pending(10) == await box.pending_of(one.id) == []
    # A process that was only killed has lost nothing: the system has what it wrote.
    async with outbox(tmp_path / "o.sqlite", boot="monday") as box:
        assert await deliver(box) == []
        assert box.totals.delivered == 2
    async with outbox(tmp_path / "o.sqlite", boot="tuesday") as box:
        assert (box.depth, box.totals.delivered) == (2, 0)
        assert await deliver(box) == first == [(one.id, "interaction"), (one.id, "success")]


async def test_delivered_records_go_when_their_time_is_over(tmp_path: Path) -> None:
    clock = Clock()
    async with outbox(tmp_path / "o.sqlite", clock=clock) as box:
        await box.accept_interaction(tracked())
        await deliver(box)
        clock.now += KEPT_SECONDS - 1
        await box.accept_interaction(tracked())
        await deliver(box)
        assert box.totals.delivered == 2
        clock.now += 1
        await box.let_go()
        assert box.totals.delivered == 1
    # Whoever comes after a kill does not know when it was, so the time begins anew.
    clock.now += KEPT_SECONDS
    async with outbox(tmp_path / "o.sqlite", clock=clock) as box:
        await box.let_go()
        assert box.totals.delivered == 1
        clock.now += KEPT_SECONDS
        await box.accept_interaction(tracked())
        await deliver(box)
        assert box.totals.delivered == 1, "the next delivery takes them with it"


async def test_an_idle_deliverer_lets_them_go_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_LET_GO_SECONDS", 0.01)
    clock = Clock()
    async with outbox(tmp_path / "o.sqlite", clock=clock) as box:
        await box.accept_interaction(tracked())
        made, _ = deliverer(box, Sink())
        async with running(made):
            await empty(box)
            clock.now += KEPT_SECONDS
            async with asyncio.timeout(10):
                while box.totals.delivered:
                    await asyncio.sleep(0.005)
            await box.accept_interaction(tracked())
            await empty(box)


async def test_they_take_a_quarter_of_the_bounds_at_most(tmp_path: Path) -> None:
    async with outbox(tmp_path / "o.sqlite", max_records=40) as box:
        for _ in range(3):
            for _ in range(8):
                await box.accept_interaction(tracked())
            await deliver(box)
        assert box.totals.delivered == 10
        # And none of what may wait.
        for _ in range(40):
            await box.accept_interaction(tracked())
    async with outbox(tmp_path / "large.sqlite", max_bytes=1024 * 1024) as box:
        accepted: list[str] = []
        for _ in range(20):
            one = tracked(response="x" * 30_000)
            await box.accept_interaction(one)
            accepted.append(one.id)
            await deliver(box)
        assert box.totals.delivered == 8
        with pytest.raises(Exception, match="as much as the outbox may hold"):
            await fill(box, 30_000)
        assert box.depth == 34


async def test_a_forgotten_interaction_is_not_kept_either(tmp_path: Path) -> None:
    one = tracked(query="secret words")
    async with outbox(tmp_path / "o.sqlite", boot="monday") as box:
        await box.accept_interaction(one)
        await deliver(box)
        await box.forget(one.id)
        assert (box.depth, box.totals.delivered) == (0, 0)
    async with outbox(tmp_path / "o.sqlite", boot="tuesday") as box:
        assert await deliver(box) == []
    assert b"secret words" not in (tmp_path / "o.sqlite").read_bytes()


def test_the_start_of_the_machine_has_a_name() -> None:
    assert boot_id()
    assert len(boot_id()) == 36
