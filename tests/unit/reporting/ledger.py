"""Two hundred telemetry events as a table, and what they come to, worked out by hand.

Prices, in US dollars per million tokens: ``big`` 3 in and 15 out, ``small`` 1 in
and 5 out. The cheapest, so the reference price, is ``small``. The baseline is
15,000 tokens a query. A sum stands beside the rows that it is of; nothing below
the table is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hybrid_coordinator.conversation import CacheStatus, Tier
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.telemetry.events import (
    CacheLookup,
    ContextSearch,
    Event,
    FineTuningUpdate,
    InteractionRecorded,
    OutcomeRecorded,
    PatternExtraction,
    ValueScoreComputed,
)

BACKENDS: Final[dict[str, Any]] = {
    "home": {"kind": "openai", "base_url": "http://127.0.0.1:9", "models": [{"name": "tiny"}]},
    "far": {
        "kind": "openai",
        "base_url": "http://127.0.0.1:9",
        "tier": "remote",
        "models": [
            {"name": "big", "input_price": 3, "output_price": 15},
            {"name": "small", "input_price": 1, "output_price": 5},
        ],
    },
}

CODE: Final = {"codebase-context": 2}
BOTH: Final = {"codebase-context": 1, "skills-patterns": 3}

# fmt: off
# name  how many  route    model    in     out  paid     saved    context  status
ANSWERS: Final = [
    ("A", 40,    "local",  "tiny",  1000,  200, 0.0,     0.0,     None,    200),
    ("B", 20,    "local",  "tiny",  3000,  400, 0.0,     0.0,     BOTH,    200),
    # local                        100000 16000 0
    ("C", 10,    "remote", "big",   2000,  500, 0.0135,  0.0,     None,    200),
    ("D", 10,    "remote", "big",   4000,  600, 0.021,   0.0,     CODE,    200),
    ("E",  5,    "remote", "small", 20000, 300, 0.0215,  0.0,     CODE,    200),
    # remote                       160000 12500 0.135 + 0.21 + 0.1075 = 0.4525
    ("F", 10,    "cached", None,    2000,  500, 0.0,     0.0135,  None,    200),
    ("G",  5,    "cached", None,    1000,  200, 0.0,     0.0,     None,    200),
    # cached                        25000  6000          0.135
    ("H",  3,    None,     None,    0,     0,   0.0,     0.0,     None,    503),
    ("I",  1,    "remote", "big",   200,   20,  0.0009,  0.0,     None,    499),
]  # 104 events; 60 local, 25 remote, 15 cached, 4 failed

#           found  latency  how many
SEARCHES: Final = [
    (True,  2.0,     30),
    (True,  20.0,    4),
    (True,  200.0,   1),
    (False, 2.0,     5),
]  # 40 events; 35 found something

#         of   which    outcome
OUTCOMES: Final = [
    ("A", (0, 6),   "success"),
    ("B", (0, 12),  "success"),
    ("B", (12, 14), "failure"),
    ("B", (14, 15), "partial"),
    ("D", (0, 3),   "success"),
    ("D", (3, 5),   "failure"),
    ("B", (12, 13), "success"),  # somebody thought again of one that was a failure
]  # 27 events of 26 answers: 22 success, 1 partial, 3 failure

#        of   which    score  high
SCORES: Final = [
    ("B", (0, 12),  0.85,  True),
    ("D", (0, 5),   0.45,  False),
    ("A", (0, 3),   0.15,  False),
]  # 20 events
# fmt: on

PATTERNS: Final = (2, 1, 0)  # 3 events
DATASET: Final = 42  # 1 event
LOOKUPS: Final = 5  # 5 events that count for nothing here

TOTAL: Final = 104 + 40 + 27 + 20 + 3 + 1 + 5

EXPECTED: Final[dict[str, Any]] = {
    "total_queries": 100,
    "local_routing": 60,
    "remote_routing": 25,
    "cached": 15,
    "errors": 4,
    "avg_tokens_local": 1933.3,  # (100000 + 16000) / 60
    "avg_tokens_remote": 6900.0,  # (160000 + 12500) / 25
    "routes": {
        "local": {"queries": 60, "tokens_in": 100_000, "tokens_out": 16_000, "cost_usd": 0.0},
        "remote": {"queries": 25, "tokens_in": 160_000, "tokens_out": 12_500, "cost_usd": 0.4525},
        "cached": {"queries": 15, "tokens_in": 25_000, "tokens_out": 6_000, "cost_usd": 0.0},
    },
    "cost_usd": 0.4534,  # 0.4525, and 0.0009 for the answer that nobody waited for
    "by_cache": {"tokens": 31_000, "usd": 0.135},
    # 0.1 million tokens in at 1 USD, 0.016 million out at 5 USD
    "by_local_models": {"tokens": 0, "usd": 0.18},
    # B: 20 · (15000 - 3000) = 240000 at 1 USD; D: 10 · (15000 - 4000) = 110000 at 3 USD;
    # E: 5 · (15000 - 20000) = -25000 at 1 USD; 0.24 + 0.33 - 0.025
    "by_context": {"tokens": 325_000, "usd": 0.545},
    "tokens_saved": 356_000,
    "cost_saved_usd": 0.86,
    "baseline_tokens_per_query": 15_000,
}

TARGETS: Final[dict[str, tuple[float, bool]]] = {
    "local_share": (70.6, True),  # 60 of 85
    "fewer_tokens": (55.2, True),  # 356000 of 356000 + 116000 + 172500
    "context_success": (80.0, False),  # 16 of 20, and more than 80 % is the target
    "cost_reduction": (65.5, True),  # 0.86 of 0.86 + 0.4534
}

LEARNING: Final[dict[str, Any]] = {
    "interactions": 104,
    "outcomes": {"success": 22, "partial": 1, "failure": 3, "unknown": 0},
    "scored": 20,
    "high_value_share": 0.6,
    "patterns_extracted": {"d1": 3, "d7": 3, "d30": 3},
    "dataset_size": 42,
    "score_histogram": [0, 3, 0, 0, 5, 0, 0, 0, 12, 0],
}

CONTEXT: Final[dict[str, Any]] = {
    "searches": 40,
    "hit_rate": 0.875,
    "success_by_collection": {
        "codebase-context": 0.8,  # B 13 of 15, D 3 of 5
        "skills-patterns": 0.8667,  # B 13 of 15
        "error-solutions": None,
        "interaction-history": None,
        "best-practices": None,
    },
}
LATENCY_MS: Final = {"p50": 2.0, "p95": 20.0, "p99": 200.0}
"""Told from bins, so at most 6 % off."""


def priced(**more: Any) -> Settings:
    """Settings with the models of the table and their prices."""
    return Settings.model_validate({"backends": BACKENDS, **more})


def events(begin: float, step: float = 1.0) -> Iterator[Event]:
    """The events of the table, ``step`` seconds apart from ``begin`` (epoch seconds) on."""
    for number, event in enumerate(_events()):
        yield event.model_copy(update={"timestamp": begin + number * step})


def answered(
    id_: str,
    *,
    route: str | None = "local",
    model: str | None = "tiny",
    tokens_in: int = 100,
    tokens_out: int = 10,
    paid: float = 0.0,
    saved: float = 0.0,
    context: dict[str, int] | None = None,
    status: int = 200,
    timestamp: float = 0.0,
) -> InteractionRecorded:
    """One request as the gateway records it."""
    known = {"local": Tier.LOCAL, "remote": Tier.REMOTE}
    return InteractionRecorded(
        timestamp=timestamp,
        interaction_id=id_,
        caller="c",
        dialect="openai",
        cache=CacheStatus.EXACT if route == "cached" else CacheStatus.MISS,
        route=known.get(route or ""),
        backend={"local": "home", "remote": "far"}.get(route or ""),
        model=model,
        reason="r",
        status=status,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=paid,
        cost_saved_usd=saved,
        context_ids=["x"] if context else [],
        context_collections=context or {},
        overhead_ms=1.0,
        latency_ms=2.0,
    )


def write_events(state: Path, written: Iterator[Event]) -> None:
    """Put events into the telemetry of a state directory, as the writer does."""
    folder = state / "telemetry"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.jsonl").open("a") as file:
        file.writelines(event.model_dump_json(exclude_none=True) + "\n" for event in written)


def _events() -> Iterator[Event]:
    for name, count, route, model, tokens_in, tokens_out, paid, saved, context, status in ANSWERS:
        for number in range(count):
            yield answered(
                f"{name}{number}",
                route=route,
                model=model,
                tokens_in=tokens_in,
                tokens_out=tokens_out,
                paid=paid,
                saved=saved,
                context=context,
                status=status,
            )
    for found, latency, count in SEARCHES:
        for _ in range(count):
            yield ContextSearch(
                timestamp=0,
                query="q",
                results_count=int(found),
                avg_score=0.5,
                latency_ms=latency,
            )
    for name, (first, last), outcome in OUTCOMES:
        for number in range(first, last):
            yield OutcomeRecorded.model_validate(
                {"timestamp": 0, "interaction_id": f"{name}{number}", "outcome": outcome}
            )
    for name, (first, last), score, high in SCORES:
        for number in range(first, last):
            yield ValueScoreComputed(
                timestamp=0, interaction_id=f"{name}{number}", score=score, high_value=high
            )
    for patterns in PATTERNS:
        yield PatternExtraction(timestamp=0, interaction_id="B0", patterns_found=patterns)
    yield FineTuningUpdate(timestamp=0, dataset_size=DATASET, new_examples=2)
    for _ in range(LOOKUPS):
        yield CacheLookup(timestamp=0, status=CacheStatus.MISS, latency_ms=0.1)
