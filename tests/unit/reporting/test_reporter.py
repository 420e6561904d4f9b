"""The reporter keeps up, says what it does not know, and ends its streams."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.reporting import reporter as reporter_module
from hybrid_coordinator.reporting.assembly import Live, nothing_runs, window
from hybrid_coordinator.reporting.figures import Range, ServiceFigures
from hybrid_coordinator.reporting.reporter import Reporter
from hybrid_coordinator.reporting.store import ReportingStore
from hybrid_coordinator.settings import TelemetrySettings
from hybrid_coordinator.telemetry import Metrics, TelemetryWriter
from hybrid_coordinator.telemetry.reporting_metrics import GAUGES
from tests.unit.reporting.ledger import answered, events, priced, write_events

NOW = 1_800_000_000.0
METRICS = Path(__file__).parents[3] / "docs" / "metrics.md"


class Desk:
    """A reporter over a store of its own; ``asked`` counts how often the parts were asked."""

    def __init__(self, state: Path, **settings: Any) -> None:
        self.metrics = Metrics()
        self.store = ReportingStore(state, kept_days=400)
        self.telemetry = TelemetryWriter(state / "telemetry", TelemetrySettings(), self.metrics)
        self.time = 0.0
        self.asked = 0
        self.now = NOW
        self.points: dict[str, int | None] = {"best-practices": 7}
        self.reporter = Reporter(
            priced(**settings),
            self.store,
            self.telemetry,
            self.metrics,
            self.live,
            now=lambda: self.now,
            clock=lambda: self.time,
        )

    async def live(self) -> Live:
        self.asked += 1
        return Live(ServiceFigures(state="ready"), self.points, frozenset(self.points))

    def failures(self, kind: str) -> float:
        found = self.metrics.registry.get_sample_value(
            "hybrid_failures_total", {"room": "reporting", "kind": kind}
        )
        return found or 0.0


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_what_is_recorded_just_before_is_in_the_figures(desk: Desk) -> None:
    desk.telemetry.start()
    for number in range(3):
        desk.telemetry.record(answered(f"a{number}", timestamp=NOW))
        assert (await desk.reporter.figures(Range.HOUR)).savings.total_queries == number + 1
    desk.telemetry.close()


async def test_the_parts_are_asked_once_a_second_however_many_ask(desk: Desk) -> None:
    await asyncio.gather(*(desk.reporter.figures(span) for span in Range))
    assert desk.asked == 1
    desk.time += 1.1
    await desk.reporter.figures(Range.HOUR)
    assert desk.asked == 2


async def test_a_store_that_fails_is_logged_once_and_counted_each_time_lesson_7(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> bool:
        raise StoreUnavailable("the disk is full")

    caplog.set_level(logging.WARNING)
    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "catch_up", fails)
        for _ in range(3):
            data = await desk.reporter.figures(Range.HOUR)
            assert data.source.trouble == "the disk is full"
    assert desk.failures("store_unavailable") == 3
    assert [r.getMessage() for r in caplog.records] == [
        "figures are not counted at present: the disk is full"
    ]
    assert (await desk.reporter.figures(Range.HOUR)).source.trouble == ""
    assert caplog.records[-1].getMessage() == "figures are counted again"


async def test_figures_do_not_wait_for_a_long_backlog_and_say_so(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_events(tmp_path, events(NOW - 300))
    count = desk.store.catch_up

    def slowly(now: float) -> bool:
        desk.time += 0.6
        return count(now, 20)

    monkeypatch.setattr(desk.store, "catch_up", slowly)
    monkeypatch.setattr(reporter_module, "_PAUSE", 0.0)
    data = await desk.reporter.figures(Range.HOUR)
    assert "still being counted" in data.source.trouble
    assert data.source.events == 40


async def test_where_nothing_is_recorded_there_is_no_data(tmp_path: Path) -> None:
    desk = Desk(tmp_path, telemetry={"enable": False})
    data = await desk.reporter.figures(Range.HOUR)
    assert data.savings.total_queries is None
    assert data.learning.interactions is None
    assert data.series == []
    assert "telemetry.enable" in data.source.trouble
    assert {c.name: c.points for c in data.collections}["best-practices"] == 7


async def test_a_stream_tells_at_once_and_ends_when_it_is_told(desk: Desk) -> None:
    stream = desk.reporter.stream(Range.HOUR)
    async with asyncio.timeout(5):
        assert (await anext(stream)).range_s == 3600
        waiting = asyncio.ensure_future(anext(stream, None))
        desk.reporter.end_streams()
        assert await waiting is None


async def test_what_goes_on_counts_and_tells_prometheus_and_survives_a_fault(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_events(tmp_path, events(NOW - 300))
    turns = asyncio.Semaphore(0)
    pauses = asyncio.Queue[float]()

    async def pause(seconds: float) -> None:
        pauses.put_nowait(seconds)
        await turns.acquire()

    monkeypatch.setattr("hybrid_coordinator.reporting.reporter.asyncio.sleep", pause)
    failing = desk.live

    async def broken() -> Live:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(desk.reporter, "_ask", broken)
    desk.reporter.start()
    assert await pauses.get() == reporter_module._RESTART
    assert desk.failures("RuntimeError") == 1
    monkeypatch.setattr(desk.reporter, "_ask", failing)
    desk.time += 60
    turns.release()
    assert await pauses.get() == 5.0
    turns.release()
    assert await pauses.get() == 5.0
    text = generate_latest(desk.metrics.registry).decode()
    assert 'hybrid_report_queries{range="30d",route="local"} 60.0' in text
    assert 'hybrid_collection_points{collection="best-practices"} 7.0' in text
    assert await asyncio.to_thread(desk.store.levels, NOW, 3600) == {"points:best-practices": 7}
    await desk.reporter.stop()


async def test_growth_is_told_from_counts_of_then_and_of_nothing_else(desk: Desk) -> None:
    desk.store.note_levels(NOW - 24 * 3600, {"points:best-practices": 5})
    desk.store.note_levels(NOW - 9 * 24 * 3600, {"points:best-practices": 1})
    found = {c.name: c for c in (await desk.reporter.figures(Range.DAY)).collections}
    assert found["best-practices"].growth_24h == 2
    assert found["best-practices"].growth_7d is None, "nobody counted a week ago"
    desk.points["best-practices"] = None
    desk.time += 2
    found = {c.name: c for c in (await desk.reporter.figures(Range.DAY)).collections}
    assert found["best-practices"].growth_24h is None
    assert found["best-practices"].points is None


async def test_no_data_is_no_sample_and_goes_where_it_was(desk: Desk, tmp_path: Path) -> None:
    def shown() -> str:
        return generate_latest(desk.metrics.registry).decode()

    write_events(tmp_path, iter([answered("a", timestamp=NOW)]))
    await desk.reporter.figures(Range.HOUR)
    assert 'hybrid_report_target_percent{range="1h",target="local_share"} 100.0' in shown()
    assert "context_success" not in shown()
    desk.now += 2 * 86_400
    await desk.reporter.figures(Range.HOUR)
    assert "local_share" not in shown()


def test_every_gauge_is_in_the_document() -> None:
    text = METRICS.read_text()
    assert [name for name in GAUGES if f"`{name}`" not in text] == []


@pytest.mark.parametrize("span", list(Range))
@pytest.mark.parametrize("now", [NOW, NOW + 0.99, NOW - 1, NOW + 59.999, 1.0])
def test_a_window_is_whole_points_with_the_present_one(span: Range, now: float) -> None:
    start, end = window(span, now)
    assert end - start == span.seconds
    assert start % span.bucket_seconds == end % span.bucket_seconds == 0
    assert end - span.bucket_seconds <= now < end


def test_where_nothing_runs_everything_else_is_unknown() -> None:
    live = nothing_runs("because")
    assert live.service.state == "down"
    assert live.levels() == {}
