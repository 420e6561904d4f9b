"""The savings and all other figures equal what was worked out by hand from two hundred events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.reporting.assembly import dashboard_data, nothing_runs
from hybrid_coordinator.reporting.figures import DashboardData, Range
from hybrid_coordinator.reporting.savings import Pricing, savings
from hybrid_coordinator.reporting.store import ReportingStore
from hybrid_coordinator.settings import Settings
from tests.unit.reporting.ledger import (
    CONTEXT,
    EXPECTED,
    LATENCY_MS,
    LEARNING,
    TARGETS,
    TOTAL,
    answered,
    events,
    priced,
    write_events,
)

NOW = 1_800_000_000.0


@pytest.fixture
def counted(tmp_path: Path) -> ReportingStore:
    write_events(tmp_path, events(NOW - 300))
    store = ReportingStore(tmp_path, kept_days=400)
    assert not store.catch_up(NOW)
    return store


def shown(store: ReportingStore, span: Range, settings: Settings | None = None) -> DashboardData:
    pricing = Pricing.of(settings or priced())
    return dashboard_data(store, span, nothing_runs("off"), pricing, NOW)


def test_the_fixture_has_two_hundred_events_lesson_15() -> None:
    assert len(list(events(0))) == TOTAL == 200


@pytest.mark.parametrize("span", list(Range))
def test_figures_equal_the_hand_worked_ones_lesson_15(counted: ReportingStore, span: Range) -> None:
    data = shown(counted, span).model_dump()
    assert {name: data["savings"][name] for name in EXPECTED} == EXPECTED
    told = {t["name"]: (t["actual"], t["met"]) for t in data["savings"]["targets"]}
    assert told == TARGETS
    assert {name: data["learning"][name] for name in LEARNING} == LEARNING
    assert {name: data["context"][name] for name in CONTEXT} == CONTEXT
    assert data["context"]["latency_ms"] == pytest.approx(LATENCY_MS, rel=0.06)
    assert data["source"]["events"] == TOTAL
    assert data["source"]["skipped_lines"] == 0


@pytest.mark.parametrize("span", list(Range))
def test_the_series_adds_up_to_the_totals(counted: ReportingStore, span: Range) -> None:
    data = shown(counted, span)
    assert len(data.series) * data.bucket_s == data.range_s == span.seconds
    assert [p.t % data.bucket_s for p in data.series] == [0] * len(data.series)
    assert data.series[0].t <= NOW - span.seconds + data.bucket_s
    assert data.series[-1].t <= NOW < data.series[-1].t + data.bucket_s

    def total(name: str) -> float:
        return float(round(sum(getattr(point, name) for point in data.series), 6))

    assert total("queries") == 100
    assert (total("local"), total("remote"), total("cached"), total("errors")) == (60, 25, 15, 4)
    assert total("cost_usd") == 0.4534
    assert total("cost_saved_usd") == 0.86
    assert (total("tokens_in"), total("tokens_out")) == (260_000, 28_500)


def test_prices_of_the_settings_come_before_those_of_models(counted: ReportingStore) -> None:
    reporting = {
        "reference_input_price": 2,
        "reference_output_price": 10,
        "baseline_tokens": 10_000,
    }
    found = shown(counted, Range.DAY, priced(reporting=reporting)).savings
    assert found.by_local_models.usd == 0.36  # 0.1 · 2 + 0.016 · 10
    # B: 20 · 7000 at 2; D: 10 · 6000 at 3; E: 5 · -10000 at 1
    assert found.by_context.usd == 0.41
    assert found.by_context.tokens == 150_000
    assert any("2 USD per million tokens in and 10 USD" in line for line in found.formula)


def test_a_model_that_is_configured_no_more_is_counted_at_the_reference_price(
    counted: ReportingStore,
) -> None:
    settings = priced(
        backends={
            "far": {
                "kind": "openai",
                "base_url": "http://127.0.0.1:9",
                "tier": "remote",
                "models": [{"name": "small", "input_price": 1, "output_price": 5}],
            }
        }
    )
    assert shown(counted, Range.DAY, settings).savings.by_context.usd == 0.325


def test_without_a_price_money_is_no_data_and_tokens_are_counted_all_the_same(
    counted: ReportingStore,
) -> None:
    found = shown(counted, Range.DAY, Settings())
    saved = found.savings
    assert saved.cost_saved_usd is None
    assert saved.by_local_models.usd is None
    assert saved.by_context.usd is None
    assert saved.by_cache.usd == 0.135, "what was paid for it needs no price list"
    assert saved.tokens_saved == 356_000
    assert {t.name: t.met for t in saved.targets}["cost_reduction"] is None
    assert any(point.cost_saved_usd is None for point in found.series)
    assert any("reference price is not known" in line for line in saved.formula)


def test_no_event_is_no_data_and_not_a_target_missed_lesson_13(tmp_path: Path) -> None:
    data = shown(ReportingStore(tmp_path, kept_days=400), Range.WEEK)
    assert data.savings.total_queries == 0
    assert data.savings.avg_tokens_local is None
    assert data.savings.avg_tokens_remote is None
    assert [(t.actual, t.met) for t in data.savings.targets] == [(None, None)] * 4
    assert data.context.hit_rate is None
    assert data.context.latency_ms.p50 is None
    assert data.learning.high_value_share is None
    assert data.learning.dataset_size is None
    assert data.source.since is None


@pytest.mark.parametrize(
    ("amounts", "actual", "met"),
    [
        ({"queries:local": 7, "queries:remote": 3}, 70.0, True),
        ({"queries:local": 6999, "queries:remote": 3001}, 69.99, False),
        ({"queries:remote": 3}, 0.0, False),
        ({"queries:cached": 3}, None, None),
    ],
)
def test_a_target_is_met_or_not_by_the_exact_value_and_shown_so(
    amounts: dict[str, float], actual: float | None, met: bool | None
) -> None:
    found = {t.name: t for t in savings(amounts, Pricing(15_000)).targets}["local_share"]
    assert (found.actual, found.met) == (actual, met)


def test_an_answer_cached_from_a_local_model_saves_no_money(tmp_path: Path) -> None:
    cached: Any = answered("c", route="cached", model=None, timestamp=NOW - 1)
    write_events(tmp_path, iter([cached]))
    store = ReportingStore(tmp_path, kept_days=400)
    store.catch_up(NOW)
    assert shown(store, Range.HOUR).savings.cost_saved_usd == 0.0


def test_one_price_without_the_other_is_refused_naming_both() -> None:
    with pytest.raises(ValueError, match="reference_input_price and reference_output_price"):
        priced(reporting={"reference_input_price": 1})
