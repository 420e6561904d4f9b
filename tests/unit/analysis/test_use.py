"""Counting events: what each kind adds, and that nothing grows without bound."""

from __future__ import annotations

from typing import Any

from hybrid_coordinator.analysis.use import NAMES, BackendUse, Live, count
from hybrid_coordinator.conversation import CacheStatus, Tier
from hybrid_coordinator.telemetry import events as e


def inference(backend: str = "home", **changed: Any) -> e.Inference:
    values: dict[str, Any] = {"timestamp": 86_400.0, "outcome": "ok", "latency_ms": 1.0, **changed}
    return e.Inference(backend=backend, model="m", tier=Tier.LOCAL, **values)


def test_each_event_is_counted_where_it_belongs() -> None:
    found: list[e.Event] = [
        e.CacheLookup(timestamp=9.0, status=CacheStatus.MISS, similarity=0.8, latency_ms=1.0),
        e.CacheLookup(timestamp=5.0, status=CacheStatus.MISS, latency_ms=1.0),
        e.CacheLookup(timestamp=6.0, status=CacheStatus.SEMANTIC, latency_ms=1.0),
        e.ValueScoreComputed(timestamp=6.0, score=0.4),
        e.ContextSearch(
            timestamp=6.0,
            query="",
            results_count=2,
            avg_score=0.5,
            latency_ms=1.0,
            collections={"best-practices": 2},
        ),
        e.ContextSearch(timestamp=6.0, query="", results_count=0, avg_score=0.0, latency_ms=1.0),
        inference(first_token_ms=1500.0, cost_usd=0.25),
        inference(outcome="backend_timeout", cost_usd=0.5, timestamp=86_401.0),
        e.PatternExtraction(timestamp=7.0, patterns_found=0, result="rejected"),
        e.PatternExtraction(timestamp=7.0, patterns_found=1),
    ]
    use = count(found, Live(lost=4))
    assert (use.events, use.since, use.until) == (10, 5.0, 86_401.0)
    assert use.lookups == {CacheStatus.MISS: 2, CacheStatus.SEMANTIC: 1}
    assert (use.compared, use.scores, use.extracted) == (2, (0.4,), 1)
    assert (use.searches, use.empty, use.retrieved) == (2, 1, {"best-practices": 2})
    assert use.backends == {"home": BackendUse(2, 1, (1.5,))}
    assert use.spent == {1: 0.75}
    assert use.live.lost == 4


def test_names_that_events_bring_are_bounded() -> None:
    use = count((inference(f"b{number}") for number in range(NAMES + 50)), Live())
    assert len(use.backends) == NAMES


def test_no_event_is_no_period() -> None:
    use = count([], Live())
    assert (use.events, use.since, use.until) == (0, None, None)
