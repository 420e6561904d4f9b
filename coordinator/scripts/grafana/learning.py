"""The board's rows about what is learned, what waits, what it costs, and what is told of it.

What a metric means, and what to do when it moves, is in ``docs/operations.md``.
"""

from __future__ import annotations

from queries import Panel, Row, chosen, line, now, quantile, rate, share, spread, stat, total

_COST = "hybrid_cost_usd_total"
_SAVED = "hybrid_cache_cost_saved_usd_total"
_TOKENS = "hybrid_tokens_total"
_OLDEST = chosen("hybrid_outbox_oldest_timestamp_seconds")

LEARNING = Row(
    "Learning",
    (
        line(
            "Interactions kept",
            "ops",
            rate("hybrid_interactions_total", "source"),
            "{{source}}",
            "The gateway's own, and those that clients report.",
        ),
        line(
            "How answers turned out",
            "ops",
            rate("hybrid_outcomes_total", "outcome", "source"),
            "{{outcome}} ({{source}})",
            "And who says so.",
        ),
        spread(
            "Value scores",
            "percentunit",
            "hybrid_value_score_ratio",
            "From `learning.high_value_threshold` on a pattern is extracted.",
        ),
        line(
            "Extraction queue",
            "short",
            now("hybrid_extraction_queue_entries", "state"),
            "{{state}}",
            "`dead`: given up on.",
        ),
        line(
            "Extractions",
            "ops",
            rate("hybrid_extractions_total", "result"),
            "{{result}}",
            "By the service itself; those of the timer's job are in telemetry.",
        ),
        line(
            "Patterns",
            "ops",
            rate("hybrid_patterns_total", "collection", "status"),
            "{{collection}}: {{status}}",
            "Learned items that changed their status.",
        ),
        line(
            "Examples in the last data set",
            "short",
            now("hybrid_dataset_examples", "format"),
            "{{format}}",
            "For training.",
        ),
        line(
            "Replaced by placeholders",
            "ops",
            rate("hybrid_scrubbed_total", "kind"),
            "{{kind}}",
            "Secrets and personal data, before anything is stored.",
        ),
        line(
            "Forgotten",
            "ops",
            rate("hybrid_interactions_forgotten_total", "cause"),
            "{{cause}}",
            "With everything that was derived from it.",
        ),
        line(
            "Experiments",
            "ops",
            rate("hybrid_experiment_requests_total", "experiment", "variant"),
            "{{experiment}}: {{variant}}",
            "Requests that took part.",
        ),
    ),
)

OUTBOX = Row(
    "Outbox",
    (
        line(
            "Records that wait for Qdrant",
            "short",
            now("hybrid_outbox_records", "instance"),
            "{{instance}}",
            "On disk, so nothing is lost.",
        ),
        line(
            "Their size",
            "bytes",
            now("hybrid_outbox_bytes", "instance"),
            "{{instance}}",
            "On disk.",
        ),
        line(
            "Age of the oldest",
            "s",
            f"(time() - {_OLDEST}) * ({_OLDEST} > bool 0)",
            "{{instance}}",
            "0: none waits.",
        ),
        line(
            "Delivered to Qdrant",
            "ops",
            rate("hybrid_outbox_deliveries_total", "kind", "result"),
            "{{kind}} {{result}}",
            "`dead`: set aside, since Qdrant will never take it.",
        ),
        line(
            "Time until it is on disk",
            "s",
            quantile(0.99, "hybrid_outbox_commit_seconds"),
            "p99",
            "From handing a record over.",
        ),
        Panel(
            "Not kept",
            "ops",
            (
                (rate("hybrid_outbox_refused_total"), "refused: the outbox is full"),
                (rate("hybrid_interactions_lost_total", "cause"), "lost: {{cause}}"),
            ),
            "Refused: the client was told so. Lost: the answer was given, nothing is learned.",
        ),
    ),
)

MONEY = Row(
    "Savings and cost",
    (
        stat("Spent", "currencyUSD", total(_COST), "In the time shown, by the declared prices."),
        stat("Saved by the cache", "currencyUSD", total(_SAVED), "What those answers had cost."),
        stat(
            "Local tokens",
            "percentunit",
            share(total(_TOKENS, tier='="local"'), total(_TOKENS)),
            "Share of all tokens that no one had to be paid for.",
        ),
        stat("Tokens", "short", total(_TOKENS), "In and out, in the time shown."),
        line(
            "Spending an hour",
            "currencyUSD",
            f"3600 * {rate(_COST, 'backend')}",
            "{{backend}}",
            "At the present pace.",
        ),
        line(
            "Saved an hour by the cache",
            "currencyUSD",
            f"3600 * {rate(_SAVED)}",
            "cache",
            "At the present pace.",
        ),
        line(
            "Tokens a second",
            "short",
            rate(_TOKENS, "direction", "tier"),
            "{{tier}} {{direction}}",
            "By tier and direction.",
        ),
    ),
)

TELEMETRY = Row(
    "Telemetry",
    (
        line(
            "Events written",
            "ops",
            rate("hybrid_telemetry_events_total", "type"),
            "{{type}}",
            "To the state directory's `telemetry/`.",
        ),
        line(
            "Events lost",
            "ops",
            rate("hybrid_telemetry_events_lost_total", "cause"),
            "{{cause}}",
            "`write_failed`: the disk is full or not writable.",
        ),
        Panel(
            "Spans of traces",
            "ops",
            (
                (rate("hybrid_spans_sent_total"), "sent"),
                (rate("hybrid_spans_dropped_total", "cause"), "dropped: {{cause}}"),
            ),
            "Where `tracing.endpoint` is set.",
        ),
    ),
)
