"""Prometheus metrics: one object that is passed in, never a global registry.

Every metric has its unit in its name and labels from bounded sets only:
backend and model names come from settings, the rest from enums. What to do
when one moves is in ``docs/metrics.md``. Counters of single losses are there at 0 from
the start: the first loss would otherwise be no increase to Prometheus.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from hybrid_coordinator.telemetry.learning_metrics import LearningMetrics
from hybrid_coordinator.telemetry.reporting_metrics import ReportingMetrics

_SECONDS_FAST = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SECONDS_SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """All metrics of one coordinator, registered in ``registry``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        self.requests = Counter(
            "hybrid_requests_total",
            "Requests answered, by endpoint and status class",
            ["endpoint", "status"],
            registry=r,
        )
        self.active_requests = Gauge(
            "hybrid_active_requests", "Chat requests being answered", registry=r
        )
        self.gateway_overhead_seconds = Histogram(
            "hybrid_gateway_overhead_seconds",
            "Time the gateway itself added to a chat request",
            ["cache"],
            buckets=_SECONDS_FAST,
            registry=r,
        )
        self.backend_seconds = Histogram(
            "hybrid_backend_seconds",
            "Time a backend took for a whole answer",
            ["backend"],
            buckets=_SECONDS_SLOW,
            registry=r,
        )
        self.backend_first_token_seconds = Histogram(
            "hybrid_backend_first_token_seconds",
            "Time until a backend's first content",
            ["backend"],
            buckets=_SECONDS_SLOW,
            registry=r,
        )
        self.step_seconds = Histogram(
            "hybrid_step_seconds",
            "Time of one step of the pipeline",
            ["step"],
            buckets=_SECONDS_FAST,
            registry=r,
        )
        self.steps_skipped = Counter(
            "hybrid_steps_skipped_total",
            "Pipeline steps passed over, by reason class",
            ["step", "reason"],
            registry=r,
        )
        self.cache_lookups = Counter(
            "hybrid_cache_lookups_total", "Cache look-ups by result", ["status"], registry=r
        )
        self.cache_rejections = Counter(
            "hybrid_cache_guard_rejections_total",
            "Near questions that the cache's safety rules kept apart",
            ["rule"],
            registry=r,
        )
        self.cache_errors = Counter(
            "hybrid_cache_errors_total",
            "Cache operations that failed",
            ["operation"],
            registry=r,
        )
        self.cache_entries = Gauge("hybrid_cache_entries", "Entries in the cache", registry=r)
        self.single_flight_waits = Counter(
            "hybrid_single_flight_waits_total",
            "Requests that waited for an equal one's answer",
            registry=r,
        )
        self.routing_decisions = Counter(
            "hybrid_routing_decisions_total",
            "Routing decisions",
            ["tier", "reason"],
            registry=r,
        )
        self.routing_confidence = Histogram(
            "hybrid_routing_confidence_ratio",
            "Confidence that the local tier suffices",
            buckets=[i / 10 for i in range(1, 11)],
            registry=r,
        )
        self.backend_attempts = Counter(
            "hybrid_backend_attempts_total",
            "Requests sent to a backend, by outcome",
            ["backend", "outcome"],
            registry=r,
        )
        self.backend_ready = Gauge(
            "hybrid_backend_ready", "1 where the last probe found it ready", ["backend"], registry=r
        )
        self.breaker_open = Gauge(
            "hybrid_breaker_open", "1 while a backend's breaker is open", ["backend"], registry=r
        )
        self.tokens = Counter(
            "hybrid_tokens_total",
            "Tokens by direction and route",
            ["direction", "tier", "backend"],
            registry=r,
        )
        self.cost_usd = Counter(
            "hybrid_cost_usd_total", "Money spent on answers", ["backend"], registry=r
        )
        self.cost_saved_usd = Counter(
            "hybrid_cache_cost_saved_usd_total",
            "What cached answers cost when they were made",
            registry=r,
        )
        self.rejections = Counter(
            "hybrid_responses_rejected_total",
            "Answers turned down by validation",
            ["backend", "rejection"],
            registry=r,
        )
        self.context_items = Histogram(
            "hybrid_context_items",
            "Items of knowledge put into a prompt",
            buckets=(0, 1, 2, 4, 8, 16, 32),
            registry=r,
        )
        self.embeddings = Counter(
            "hybrid_embedded_texts_total", "Texts embedded", ["source"], registry=r
        )
        self.embedding_seconds = Histogram(
            "hybrid_embedding_seconds",
            "Time of one batch in the embedder",
            buckets=_SECONDS_FAST,
            registry=r,
        )
        self.telemetry_events = Counter(
            "hybrid_telemetry_events_total", "Events written, by type", ["type"], registry=r
        )
        self.telemetry_lost = Counter(
            "hybrid_telemetry_events_lost_total",
            "Events not written, by cause",
            ["cause"],
            registry=r,
        )
        for cause in ("queue_full", "write_failed"):
            self.telemetry_lost.labels(cause=cause)
        self.spans_sent = Counter(
            "hybrid_spans_sent_total", "Spans of traces that the collector took", registry=r
        )
        self.spans_dropped = Counter(
            "hybrid_spans_dropped_total", "Spans not sent, by cause", ["cause"], registry=r
        )
        for cause in ("closed", "export_failed", "queue_full"):
            self.spans_dropped.labels(cause=cause)
        self.failures = Counter(
            "hybrid_failures_total",
            "Failures that no client saw, by room and class",
            ["room", "kind"],
            registry=r,
        )
        self.learning = LearningMetrics(r)
        self.reporting = ReportingMetrics(r)
        self.process = ProcessCollector(registry=r)
