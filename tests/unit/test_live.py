"""What is so now: every part is asked within one limit, and one that is away is no data."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid_coordinator import live as live_module
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.gateway import PartState, PartStatus, Readiness
from hybrid_coordinator.knowledge.store import CollectionReport, Filter
from hybrid_coordinator.learning.records import QueueView
from hybrid_coordinator.live import LiveView
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry import Metrics

READY = PartStatus(PartState.READY)


class Parts:
    """Everything that is asked, as a test wants it to be."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.ready = Readiness(True, {"cache": READY, "learning": PartStatus(PartState.OFF)})
        self.away = False
        self.silent = False
        self.usable = True

    def view(self) -> LiveView:
        knowledge: Any = self
        rooms: Any = SimpleNamespace(
            queue=self,
            outbox=SimpleNamespace(usable=self.usable, depth=4),
            activity=SimpleNamespace(active=3),
        )
        return LiveView(self.readiness, knowledge, rooms, self.metrics)

    async def readiness(self) -> Readiness:
        await self._answer()
        return self.ready

    async def status(self) -> dict[Collection, CollectionReport]:
        return {
            Collection.BEST_PRACTICES: CollectionReport(7, 384),
            Collection.SKILLS_PATTERNS: CollectionReport(5, 768, "another embedder's"),
            Collection.ERROR_SOLUTIONS: CollectionReport(None, None, "it does not answer"),
        }

    async def opened(self) -> Parts:
        await self._answer()
        return self

    async def count(self, collection: Collection, where: Filter) -> int:
        assert where.any_of["learned"] == (True,), "what a person stored is no pattern"
        [status] = where.any_of["status"]
        return {"candidate": 2, "trusted": 1, "retired": 0}[str(status)]

    async def depth(self) -> QueueView:
        await self._answer()
        return QueueView(waiting=9, claimed=1, dead=2, oldest=None)

    async def _answer(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise StoreUnavailable("it is away")

    def failures(self, kind: str) -> float | None:
        labels = {"room": "reporting", "kind": kind}
        return self.metrics.registry.get_sample_value("hybrid_failures_total", labels)


async def test_every_part_is_told_as_it_is() -> None:
    live = await Parts().view().ask()
    assert live.service.state == "ready", "what is switched off is no trouble"
    assert live.service.active_interactions == 3
    assert live.service.outbox_depth == 4
    assert (live.service.extraction_queue.waiting, live.service.extraction_queue.dead) == (9, 2)
    assert live.points == {"best-practices": 7, "skills-patterns": 5, "error-solutions": None}
    assert live.usable == {"best-practices"}
    patterns = live.patterns
    # In four collections.
    assert (patterns.candidate, patterns.trusted, patterns.retired) == (8, 4, 0)


@pytest.mark.parametrize(
    ("ready", "part", "state"),
    [
        (True, PartState.DEGRADED, "degraded"),
        (True, PartState.DOWN, "degraded"),
        (False, PartState.DOWN, "down"),
    ],
)
async def test_the_whole_is_as_well_as_its_parts(ready: bool, part: PartState, state: str) -> None:
    parts = Parts()
    parts.ready = Readiness(ready, {"cache": PartStatus(part, "gone"), "embedder": READY})
    live = await parts.view().ask()
    assert live.service.state == state
    assert live.service.parts["cache"].detail == "gone"


async def test_a_part_that_is_away_is_no_data_and_counted() -> None:
    parts = Parts()
    parts.away, parts.usable = True, False
    live = await parts.view().ask()
    assert live.service.state == "down"
    assert live.service.parts == {}
    assert live.service.extraction_queue.waiting is None
    assert live.service.outbox_depth is None
    assert live.patterns.candidate is None
    assert live.points["best-practices"] == 7, "what answers is told all the same"
    assert parts.failures("store_unavailable") == 3


async def test_parts_that_say_nothing_cost_one_limit_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "_LIMIT", 0.01)
    parts = Parts()
    parts.silent = True
    async with asyncio.timeout(5):
        live = await parts.view().ask()
    assert live.patterns.trusted is None
    assert parts.failures("part_timeout") == 3
