"""For every alert a scene in which it fires and one, close to it, in which it must not.

Series are written as promtool reads them: `a+bxn` is a, then n times b more, one value a minute.
Only the data; what is done with it is in ``test_monitoring_alerts``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Series = dict[str, str]
"""A series' name and labels to its values."""

_ONE = {"instance": "one"}
_TARGET = {"instance": "one", "job": "hybrid-ai"}


@dataclass(frozen=True)
class Case:
    """``alert`` fires at ``at`` with ``labels`` where ``fires`` was scraped, not at ``silent``."""

    alert: str
    at: str
    fires: Series
    silent: Series
    labels: dict[str, str] = field(default_factory=lambda: dict(_ONE))


def series(name: str, values: str, **labels: str) -> Series:
    """One series of the coordinator ``one``."""
    told = ",".join(f'{key}="{value}"' for key, value in {**_ONE, **labels}.items())
    return {f"{name}{{{told}}}": values}


def _slow(name: str, values: dict[str, str], **labels: str) -> Series:
    """A histogram by its buckets' upper bounds."""
    found: Series = {}
    for bound, counted in values.items():
        found |= series(f"{name}_bucket", counted, le=bound, **labels)
    return found


CASES = [
    Case(
        "HybridAiDown",
        "5m",
        series("up", "1 0x20", job="hybrid-ai"),
        series("up", "1 1 1 0 1x20", job="hybrid-ai"),
        labels=_TARGET,
    ),
    Case(
        "HybridAiDown",
        "5m",
        series("up", "1x20", job="node"),
        series("up", "1x20", job="hybrid-ai"),
        labels={"job": "hybrid-ai"},
    ),
    Case(
        "HybridAiRestarting",
        "25m",
        series("process_start_time_seconds", "100x3 200x3 300x3 400x30", job="hybrid-ai"),
        series("process_start_time_seconds", "100x10 200x30", job="hybrid-ai"),
        labels=_TARGET,
    ),
    Case(
        "HybridAiServerErrors",
        "15m",
        series("hybrid_requests_total", "0+10x30", endpoint="/v1/chat/completions", status="5xx")
        | series("hybrid_requests_total", "0+90x30", endpoint="/v1/models", status="2xx"),
        series("hybrid_requests_total", "0+1x30", endpoint="/v1/chat/completions", status="5xx")
        | series("hybrid_requests_total", "0+99x30", endpoint="/v1/models", status="2xx"),
    ),
    Case(
        "HybridAiSlow",
        "30m",
        _slow(
            "hybrid_gateway_overhead_seconds",
            {"0.5": "0+50x40", "1.0": "0+100x40", "+Inf": "0+100x40"},
            cache="miss",
        ),
        _slow(
            "hybrid_gateway_overhead_seconds",
            {"0.25": "0+99x40", "0.5": "0+99x40", "1.0": "0+100x40", "+Inf": "0+100x40"},
            cache="miss",
        ),
    ),
    Case(
        "HybridAiMemoryGrows",
        "8h",
        series("process_resident_memory_bytes", "1001000000+2000000x500", job="hybrid-ai"),
        # Fast at first, as every start is, then level.
        series(
            "process_resident_memory_bytes", "500000000+20000000x60 1700000000x500", job="hybrid-ai"
        ),
        labels=_TARGET,
    ),
    Case(
        "HybridAiFailures",
        "30m",
        series("hybrid_failures_total", "0+1x40", room="learning", kind="outbox"),
        series("hybrid_failures_total", "0x10 1 1 2 2 2x40", room="learning", kind="outbox"),
        labels={**_ONE, "room": "learning", "kind": "outbox"},
    ),
    Case(
        "HybridAiCacheUnavailable",
        "15m",
        series("hybrid_cache_lookups_total", "0+1x20", status="unavailable"),
        series("hybrid_cache_lookups_total", "0+1x20", status="miss")
        | series("hybrid_cache_lookups_total", "0 0 1 1x20", status="unavailable"),
    ),
    Case(
        "HybridAiCacheErrors",
        "30m",
        series("hybrid_cache_errors_total", "0+3x40", operation="get"),
        series("hybrid_cache_errors_total", "0+30x40", operation="decode"),
        labels={**_ONE, "operation": "get"},
    ),
    Case(
        "HybridAiStepsSkipped",
        "30m",
        series("hybrid_steps_skipped_total", "0+2x40", step="retrieval", reason="timeout"),
        series("hybrid_steps_skipped_total", "0x5 1x40", step="retrieval", reason="timeout"),
        labels={**_ONE, "step": "retrieval"},
    ),
    Case(
        "HybridAiNoBackend",
        "3m",
        series("hybrid_backend_ready", "0x20", backend="ollama")
        | series("hybrid_backend_ready", "1 0x20", backend="remote"),
        series("hybrid_backend_ready", "0x20", backend="ollama")
        | series("hybrid_backend_ready", "1x20", backend="remote"),
    ),
    Case(
        "HybridAiBackendNotReady",
        "10m",
        series("hybrid_backend_ready", "1 0x20", backend="ollama"),
        series("hybrid_backend_ready", "1x6 0 0 0 0 0 0", backend="ollama"),
        labels={**_ONE, "backend": "ollama"},
    ),
    Case(
        "HybridAiBreakerOpen",
        "20m",
        series("hybrid_breaker_open", "1x30", backend="remote"),
        series("hybrid_breaker_open", "0 1 0 0 1 0x30", backend="remote"),
        labels={**_ONE, "backend": "remote"},
    ),
    Case(
        "HybridAiBackendFailing",
        "30m",
        series("hybrid_backend_attempts_total", "0+5x40", backend="remote", outcome="timeout")
        | series("hybrid_backend_attempts_total", "0+5x40", backend="remote", outcome="ok"),
        # What the client did wrong, or gave up, says nothing about the backend.
        series("hybrid_backend_attempts_total", "0+50x40", backend="remote", outcome="rejected")
        | series("hybrid_backend_attempts_total", "0+50x40", backend="remote", outcome="cancelled")
        | series("hybrid_backend_attempts_total", "0+5x40", backend="remote", outcome="ok"),
        labels={**_ONE, "backend": "remote"},
    ),
    Case(
        "HybridAiAnswersRejected",
        "45m",
        series("hybrid_responses_rejected_total", "0+5x60", backend="ollama", rejection="loop")
        | series(
            "hybrid_backend_attempts_total", "0+10x60", backend="ollama", outcome="answer_rejected"
        ),
        series("hybrid_responses_rejected_total", "0+1x60", backend="ollama", rejection="loop")
        | series("hybrid_backend_attempts_total", "0+50x60", backend="ollama", outcome="ok"),
        labels={**_ONE, "backend": "ollama"},
    ),
    Case(
        "HybridAiBudgetSpent",
        "10m",
        series("hybrid_routing_decisions_total", "0+1x20", tier="local", reason="budget"),
        series("hybrid_routing_decisions_total", "0+1x20", tier="local", reason="confident_local"),
    ),
    Case(
        "HybridAiSpendingJumps",
        "1430m",
        series("hybrid_cost_usd_total", "0+0.001x1380 1.4+0.1x60", backend="remote"),
        series("hybrid_cost_usd_total", "0+0.1x1440", backend="remote"),
    ),
    Case(
        "HybridAiOutboxStuck",
        "30m",
        series("hybrid_outbox_oldest_timestamp_seconds", "1x60"),
        # Always some, never old ones; before that, none.
        series("hybrid_outbox_oldest_timestamp_seconds", "0x10 600+60x60"),
    ),
    Case(
        "HybridAiOutboxRefuses",
        "4m",
        series("hybrid_outbox_refused_total", "0 0 3 3x10"),
        series("hybrid_outbox_refused_total", "3x20"),
    ),
    Case(
        "HybridAiOutboxSlow",
        "45m",
        _slow("hybrid_outbox_commit_seconds", {"0.25": "0x60", "1.0": "0+9x60", "+Inf": "0+9x60"}),
        _slow("hybrid_outbox_commit_seconds", {"0.005": "0+9x60", "+Inf": "0+9x60"}),
    ),
    Case(
        "HybridAiDeadLetters",
        "10m",
        series("hybrid_outbox_deliveries_total", "0 0 1 1x20", kind="outcome", result="dead"),
        series("hybrid_outbox_deliveries_total", "0+5x20", kind="outcome", result="retried"),
        labels={**_ONE, "kind": "outcome"},
    ),
    Case(
        "HybridAiInteractionsLost",
        "5m",
        series("hybrid_interactions_lost_total", "0 0 2 2x20", cause="outbox_full"),
        series("hybrid_interactions_lost_total", "4x40", cause="outbox_full"),
        labels={**_ONE, "cause": "outbox_full"},
    ),
    Case(
        "HybridAiExtractionStalls",
        "450m",
        series("hybrid_extraction_queue_entries", "3+0.1x500", state="waiting"),
        # As many come as are worked off.
        series("hybrid_extraction_queue_entries", "9-1x8 " * 60, state="waiting"),
        labels={**_ONE, "state": "waiting"},
    ),
    Case(
        "HybridAiExtractionGivesUp",
        "30m",
        series("hybrid_extraction_queue_entries", "0x10 10x50", state="dead"),
        series("hybrid_extraction_queue_entries", "10x60", state="dead"),
        labels={**_ONE, "state": "dead"},
    ),
    Case(
        "HybridAiOutcomesFail",
        "1440m",
        series("hybrid_outcomes_total", "0+0.2x1500", outcome="failure", source="client")
        | series("hybrid_outcomes_total", "0+0.1x1500", outcome="success", source="client"),
        # What nobody judged does not count, and neither do a handful.
        series("hybrid_outcomes_total", "0+0.01x1500", outcome="failure", source="client")
        | series("hybrid_outcomes_total", "0+9x1500", outcome="unknown", source="client"),
    ),
    Case(
        "HybridAiTelemetryLost",
        "5m",
        series("hybrid_telemetry_events_lost_total", "0 0 5 5x20", cause="write_failed"),
        series("hybrid_telemetry_events_lost_total", "5x40", cause="write_failed"),
        labels={**_ONE, "cause": "write_failed"},
    ),
    Case(
        "HybridAiSpansDropped",
        "40m",
        series("hybrid_spans_dropped_total", "0+6x60", cause="export_failed"),
        # A collector that was started anew.
        series("hybrid_spans_dropped_total", "0x22 40x60", cause="export_failed"),
        labels={**_ONE, "cause": "export_failed"},
    ),
]
