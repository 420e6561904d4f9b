"""The board's rows about answering: service, cache, routing, backends, knowledge.

What a metric means, and what to do when it moves, is in ``docs/operations.md``.
"""

from __future__ import annotations

from queries import OURS, Panel, Row, chosen, line, mean, now, quantile, rate, share, spread, stat

_CPU = chosen("process_cpu_seconds_total", job=OURS)
_LOOKUPS = "hybrid_cache_lookups_total"
_OVERHEAD = "hybrid_gateway_overhead_seconds"

SERVICE = Row(
    "Service",
    (
        stat("Coordinators that answer", "short", now("up", job=OURS), "By Prometheus' scrape."),
        stat(
            "Errors",
            "percentunit",
            share(rate("hybrid_requests_total", status='="5xx"'), rate("hybrid_requests_total")),
            "Share of all requests that were answered with a status of 500 and more.",
        ),
        stat("Being answered", "short", now("hybrid_active_requests"), "Chat requests right now."),
        stat(
            "Started",
            "dateTimeFromNow",
            f"1000 * max({chosen('process_start_time_seconds', job=OURS)})",
            "The coordinator that was started last.",
        ),
        line(
            "Requests",
            "reqps",
            rate("hybrid_requests_total", "endpoint", "status"),
            "{{endpoint}} {{status}}",
            "By endpoint and class of status.",
        ),
        Panel(
            "Added before the first byte",
            "s",
            (
                (quantile(0.5, _OVERHEAD, "cache"), "{{cache}} p50"),
                (quantile(0.95, _OVERHEAD, "cache"), "{{cache}} p95"),
                (quantile(0.99, _OVERHEAD, "cache"), "{{cache}} p99"),
            ),
            "What the gateway itself adds, apart from the backend; by how the cache took part.",
        ),
        line(
            "Steps",
            "s",
            quantile(0.95, "hybrid_step_seconds", "step"),
            "{{step}} p95",
            "In which step that time is spent.",
        ),
        line(
            "Steps passed over",
            "ops",
            rate("hybrid_steps_skipped_total", "step", "reason"),
            "{{step}}: {{reason}}",
            "A store or the embedder was away; the questions were answered all the same.",
        ),
        line(
            "Failures that no client saw",
            "ops",
            rate("hybrid_failures_total", "room", "kind"),
            "{{room}}: {{kind}}",
            "The log has one line for each kind.",
        ),
        line(
            "Alerts that fire",
            "short",
            'count by (alertname) (ALERTS{alertname=~"HybridAi.*", alertstate="firing"})',
            "{{alertname}}",
            "What each one means, and what to do, is in docs/operations.md.",
        ),
        Panel(
            "Memory",
            "bytes",
            (
                (chosen("process_resident_memory_bytes", job=OURS), "{{instance}}"),
                (chosen("process_virtual_memory_bytes", job=OURS), "{{instance}} reserved"),
            ),
            "Of the coordinator's process.",
        ),
        line(
            "Processor",
            "percentunit",
            f"rate({_CPU}[$__rate_interval])",
            "{{instance}}",
            "100 % is one core.",
        ),
        Panel(
            "Open files",
            "short",
            (
                (chosen("process_open_fds", job=OURS), "{{instance}}"),
                (chosen("process_max_fds", job=OURS), "{{instance}} limit"),
            ),
            "Connections included.",
        ),
    ),
)

CACHE = Row(
    "Cache",
    (
        line(
            "Answered from the cache",
            "percentunit",
            share(
                rate(_LOOKUPS, status='=~"exact|semantic"'),
                rate(_LOOKUPS, status='=~"exact|semantic|miss"'),
            ),
            "hits",
            "Of the questions that were looked up.",
        ),
        line(
            "Look-ups",
            "ops",
            rate(_LOOKUPS, "status"),
            "{{status}}",
            "`unavailable`: the store is away.",
        ),
        line(
            "Entries",
            "short",
            now("hybrid_cache_entries", "instance"),
            "{{instance}}",
            "Coordinators that share a Redis each tell the same number.",
        ),
        line(
            "Near, but not the same question",
            "ops",
            rate("hybrid_cache_guard_rejections_total", "rule"),
            "{{rule}}",
            "Kept apart by a safety rule.",
        ),
        line(
            "Errors of the cache",
            "ops",
            rate("hybrid_cache_errors_total", "operation"),
            "{{operation}}",
            "Operations that failed.",
        ),
        line(
            "Waited for an equal question",
            "ops",
            rate("hybrid_single_flight_waits_total"),
            "waits",
            "What is asked twice at the same time is answered once.",
        ),
    ),
)

ROUTING = Row(
    "Routing",
    (
        line(
            "Where questions go",
            "ops",
            rate("hybrid_routing_decisions_total", "tier"),
            "{{tier}}",
            "Local or remote.",
        ),
        line(
            "Why",
            "ops",
            rate("hybrid_routing_decisions_total", "reason"),
            "{{reason}}",
            "What settled it.",
        ),
        spread(
            "Confidence that local suffices",
            "percentunit",
            "hybrid_routing_confidence_ratio",
            "From `routing.local_confidence_threshold` on the local tier answers.",
        ),
    ),
)

BACKENDS = Row(
    "Backends",
    (
        line(
            "Ready",
            "bool_yes_no",
            chosen("hybrid_backend_ready"),
            "{{backend}} {{instance}}",
            "By the last probe.",
        ),
        line(
            "Left alone after failures",
            "bool_yes_no",
            chosen("hybrid_breaker_open"),
            "{{backend}} {{instance}}",
            "Its breaker is open.",
        ),
        line(
            "Requests sent",
            "reqps",
            rate("hybrid_backend_attempts_total", "backend", "outcome"),
            "{{backend}} {{outcome}}",
            "And how they ended.",
        ),
        line(
            "Time for a whole answer",
            "s",
            quantile(0.95, "hybrid_backend_seconds", "backend"),
            "{{backend}} p95",
            "Of the backend alone.",
        ),
        line(
            "Time until the first token",
            "s",
            quantile(0.95, "hybrid_backend_first_token_seconds", "backend"),
            "{{backend}} p95",
            "Of streamed answers.",
        ),
        line(
            "Answers turned down",
            "ops",
            rate("hybrid_responses_rejected_total", "backend", "rejection"),
            "{{backend}}: {{rejection}}",
            "By validation.",
        ),
    ),
)

KNOWLEDGE = Row(
    "Knowledge",
    (
        line(
            "Items put into a prompt",
            "short",
            mean("hybrid_context_items"),
            "mean",
            "Always 0: nothing that is stored fits.",
        ),
        line(
            "Texts embedded",
            "ops",
            rate("hybrid_embedded_texts_total", "source"),
            "{{source}}",
            "`memory`: its vector was still known.",
        ),
        line(
            "Time of a batch in the embedder",
            "s",
            quantile(0.95, "hybrid_embedding_seconds"),
            "p95",
            "Questions that come together share a batch.",
        ),
    ),
)
