"""The board's row of figures that the dashboard shows too, with the same numbers: savings, targets.

What a metric means, and what to do when it moves, is in ``docs/operations.md``.
"""

from __future__ import annotations

from queries import Panel, Row, chosen, line

_DAY = '="24h"'
_WEEK = '="7d"'


def _day(metric: str, legend: str, title: str, unit: str, description: str) -> Panel:
    return line(title, unit, chosen(metric, range=_DAY), legend, description)


FIGURES = Row(
    "Figures of the last day",
    (
        _day("hybrid_report_queries", "{{route}}", "Questions", "short", "By who answered them."),
        _day(
            "hybrid_report_tokens",
            "{{route}} {{direction}}",
            "Tokens",
            "short",
            "Of `cached`: what the answer took when it was made.",
        ),
        _day(
            "hybrid_report_tokens_saved",
            "{{by}}",
            "Tokens saved",
            "short",
            "By the cache and by stored knowledge.",
        ),
        _day("hybrid_report_cost_usd", "paid", "Paid", "currencyUSD", "By the declared prices."),
        _day(
            "hybrid_report_cost_saved_usd",
            "{{by}}",
            "Money saved",
            "currencyUSD",
            "By cache, local models and stored knowledge.",
        ),
        Panel(
            "Targets of the last week",
            "percent",
            (
                (chosen("hybrid_report_target_percent", range=_WEEK), "{{target}}"),
                (
                    f"100 * {chosen('hybrid_report_target_met', range=_WEEK)}",
                    "{{target}}: 100 where it is met",
                ),
            ),
            "The actual values.",
        ),
        Panel(
            "Searches for stored knowledge",
            "short",
            (
                (chosen("hybrid_report_context_searches", range=_DAY), "searches"),
                (chosen("hybrid_report_patterns_extracted", range=_DAY), "patterns found"),
            ),
            "And the patterns that were found.",
        ),
        _day(
            "hybrid_report_context_latency_seconds",
            "p{{quantile}}",
            "How long they took",
            "s",
            "At most 6 % off.",
        ),
        Panel(
            "Shares",
            "percentunit",
            (
                (chosen("hybrid_report_context_hit_ratio", range=_DAY), "searches with a hit"),
                (chosen("hybrid_report_high_value_ratio", range=_DAY), "answers of high value"),
                (chosen("hybrid_report_success_ratio", range=_DAY), "success with {{collection}}"),
            ),
            "Of searches, of scored answers, and of told outcomes.",
        ),
        line(
            "Stored items",
            "short",
            chosen("hybrid_collection_points"),
            "{{collection}}",
            "By collection.",
        ),
        line(
            "Stored patterns",
            "short",
            chosen("hybrid_patterns_stored"),
            "{{status}}",
            "By how far they have come.",
        ),
        Panel(
            "Telemetry that was counted",
            "short",
            (
                (chosen("hybrid_report_events"), "events"),
                (chosen("hybrid_report_skipped_lines"), "lines that were none"),
            ),
            "Since the store of figures began.",
        ),
    ),
)
