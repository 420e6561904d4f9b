"""The figures as samples of Prometheus gauges: the same numbers, by other names.

The gauges are declared in ``telemetry.reporting_metrics``; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hybrid_coordinator.reporting.figures import DashboardData, Range
from hybrid_coordinator.telemetry.reporting_metrics import Sample


def samples(data: Mapping[Range, DashboardData]) -> Iterator[Sample]:
    """One sample a figure; what is so now is told once, of the last range."""
    for span, one in data.items():
        yield from _of_range(span.value, one)
    if data:
        yield from _now(list(data.values())[-1])


def _of_range(span: str, data: DashboardData) -> Iterator[Sample]:
    saved, context, learning = data.savings, data.context, data.learning
    queries = {
        "local": saved.local_routing,
        "remote": saved.remote_routing,
        "cached": saved.cached,
        "failed": saved.errors,
    }
    for route, count in queries.items():
        yield "hybrid_report_queries", (span, route), count
    for route, figures in saved.routes.items():
        yield "hybrid_report_tokens", (span, route, "in"), figures.tokens_in
        yield "hybrid_report_tokens", (span, route, "out"), figures.tokens_out
    yield "hybrid_report_tokens_saved", (span, "cache"), saved.by_cache.tokens
    yield "hybrid_report_tokens_saved", (span, "context"), saved.by_context.tokens
    yield "hybrid_report_tokens_saved", (span, "all"), saved.tokens_saved
    yield "hybrid_report_cost_usd", (span,), saved.cost_usd
    yield "hybrid_report_cost_saved_usd", (span, "cache"), saved.by_cache.usd
    yield "hybrid_report_cost_saved_usd", (span, "local_models"), saved.by_local_models.usd
    yield "hybrid_report_cost_saved_usd", (span, "context"), saved.by_context.usd
    yield "hybrid_report_cost_saved_usd", (span, "all"), saved.cost_saved_usd
    for target in saved.targets:
        yield "hybrid_report_target_percent", (span, target.name), target.actual
        met = None if target.met is None else int(target.met)
        yield "hybrid_report_target_met", (span, target.name), met
    yield "hybrid_report_context_searches", (span,), context.searches
    for quantile, latency in (
        ("0.5", context.latency_ms.p50),
        ("0.95", context.latency_ms.p95),
        ("0.99", context.latency_ms.p99),
    ):
        seconds = None if latency is None else latency / 1000
        yield "hybrid_report_context_latency_seconds", (span, quantile), seconds
    yield "hybrid_report_context_hit_ratio", (span,), context.hit_rate
    for collection, share in context.success_by_collection.items():
        yield "hybrid_report_success_ratio", (span, collection), share
    yield "hybrid_report_high_value_ratio", (span,), learning.high_value_share
    extracted = learning.patterns_extracted
    found = {"24h": extracted.d1, "7d": extracted.d7, "30d": extracted.d30}
    yield "hybrid_report_patterns_extracted", (span,), found.get(span)


def _now(data: DashboardData) -> Iterator[Sample]:
    for collection in data.collections:
        yield "hybrid_collection_points", (collection.name,), collection.points
    patterns = data.learning.patterns
    yield "hybrid_patterns_stored", ("candidate",), patterns.candidate
    yield "hybrid_patterns_stored", ("trusted",), patterns.trusted
    yield "hybrid_patterns_stored", ("retired",), patterns.retired
    yield "hybrid_report_events", (), data.source.events
    yield "hybrid_report_skipped_lines", (), data.source.skipped_lines
