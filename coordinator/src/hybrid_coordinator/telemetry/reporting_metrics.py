"""The figures of the dashboard as Prometheus gauges; they are ``Metrics.reporting``.

Values are set as they were told elsewhere, by name and labels, and a value that
is no data is not there: what was set before and is not set again goes. What
the figures mean is in ``docs/figures.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

GAUGES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "hybrid_report_queries": ("Queries in the range, by route", ("range", "route")),
    "hybrid_report_tokens": (
        "Tokens in the range, by route and direction",
        ("range", "route", "direction"),
    ),
    "hybrid_report_tokens_saved": ("Tokens saved in the range, by cause", ("range", "by")),
    "hybrid_report_cost_usd": ("Money paid in the range", ("range",)),
    "hybrid_report_cost_saved_usd": ("Money saved in the range, by cause", ("range", "by")),
    "hybrid_report_target_percent": (
        "The actual value of each target, over the range",
        ("range", "target"),
    ),
    "hybrid_report_target_met": ("1 where a target is met over the range", ("range", "target")),
    "hybrid_report_context_searches": ("Searches for stored knowledge", ("range",)),
    "hybrid_report_context_latency_seconds": (
        "Latency of searches for stored knowledge",
        ("range", "quantile"),
    ),
    "hybrid_report_context_hit_ratio": (
        "Share of searches that found something",
        ("range",),
    ),
    "hybrid_report_success_ratio": (
        "Share of successes among told outcomes of answers that used the collection",
        ("range", "collection"),
    ),
    "hybrid_report_high_value_ratio": ("Share of scored answers of high value", ("range",)),
    "hybrid_report_patterns_extracted": ("Patterns found in the range", ("range",)),
    "hybrid_collection_points": ("Stored items", ("collection",)),
    "hybrid_patterns_stored": ("Stored patterns, by status", ("status",)),
    "hybrid_report_events": ("Telemetry events counted so far", ()),
    "hybrid_report_skipped_lines": ("Lines of telemetry that were no event", ()),
}
"""Every gauge: what it says, and its labels."""

Sample = tuple[str, tuple[str, ...], float | None]
"""A gauge's name, its labels' values in order, and its value; None is no data."""


class ReportingMetrics(Collector):
    """What was last told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._samples: list[Sample] = []
        registry.register(self)

    def set(self, samples: Iterable[Sample]) -> None:
        """Tell these from now on, and nothing else."""
        self._samples = list(samples)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The gauges that have a value."""
        families = {
            name: GaugeMetricFamily(name, text, labels=labels)
            for name, (text, labels) in GAUGES.items()
        }
        for name, labels, value in self._samples:
            if value is not None:
                families[name].add_metric(labels, value)
        return [family for family in families.values() if family.samples]

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Every name, so that no other metric takes one."""
        return [
            GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in GAUGES.items()
        ]
