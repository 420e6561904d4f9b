"""A week of replayed data: figures for the overview, and interactions and patterns in a real store.

Made by rule, so that a picture of today is a picture of tomorrow. The figures
have the shape of ``/v1/dashboard``; what the coordinator itself counts is the
matter of other tests. No tests here.
"""

from __future__ import annotations

import json
import math
import uuid
from pathlib import Path
from typing import Any, Final

from hybrid_coordinator.conversation import CacheStatus, Tier
from hybrid_coordinator.knowledge import Knowledge, NewItem
from hybrid_coordinator.settings import Collection, Settings
from hybrid_coordinator.stores import opened_stores
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.telemetry.events import (
    CacheLookup,
    ContextSearch,
    Event,
    Inference,
    InteractionRecorded,
    RoutingDecision,
    ValueScoreComputed,
)
from hybrid_coordinator.telemetry.writer import CURRENT

HOUR: Final = 3_600
RANGES: Final = {
    "1h": (HOUR, 60),
    "24h": (24 * HOUR, 900),
    "7d": (168 * HOUR, HOUR),
    "30d": (720 * HOUR, 6 * HOUR),
}
"""Seconds of each range, and of a point of its series."""

QUESTIONS: Final = (
    "How do I list failed systemd units and the time they failed?",
    "Why does nginx answer 502 after I changed the upstream's port?",
    "Write a Nix overlay that pins openssl to one version for a single package.",
    "Explain the difference between a mutex and a semaphore with an example.",
    "Rename the function parse_config to read_settings in every module.",
    "What does the error 'no space left on device' mean when df shows room?",
    "How do I undo the last commit but keep my changes?",
    "Summarise the release notes of PostgreSQL 18 for an administrator.",
)
MODELS: Final = (
    ("local:lemonade/qwen3-4b-instruct", "lemonade", "qwen3-4b-instruct"),
    ("local:lemonade/qwen3-4b-instruct", "lemonade", "qwen3-4b-instruct"),
    ("remote:anthropic/claude-sonnet", "anthropic", "claude-sonnet"),
    ("cache", "", "qwen3-4b-instruct"),
)
OUTCOMES: Final = ("success", "unknown", "success", "partial", "unknown", "failure", "success")
PATTERNS: Final = (
    ("List failed units", "Run systemctl --failed, then journalctl -u UNIT -b.", "trusted"),
    ("Undo the last commit", "git reset --soft HEAD~1 keeps the changes staged.", "trusted"),
    ("Pin one package's input", "Override the input in an overlay of that package.", "candidate"),
    ("Free inodes", "df -i shows them; remove the many small files.", "candidate"),
    ("Restart twice and hope", "Restart the service until it works.", "retired"),
)


def named(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}:{number}"))


def figures(span: str, now: float, **changes: Any) -> dict[str, Any]:
    """What ``GET /v1/dashboard?range=`` answers; ``changes`` replace whole parts."""
    seconds, width = RANGES[span]
    begin = int(now - seconds) // width * width + width
    series = [_bucket(t, width) for t in range(begin, int(now), width)]

    def total(key: str) -> Any:
        return sum(point[key] for point in series)

    local, remote, cached = total("local"), total("remote"), total("cached")
    answered = local + remote + cached
    whole = {
        "version": 1,
        "generated_at": now,
        "range_s": seconds,
        "bucket_s": width,
        "source": _SOURCE | {"since": now - 30 * 24 * HOUR, "counted_to": now - 1},
        "service": _SERVICE,
        "collections": _COLLECTIONS,
        "learning": _LEARNING | {"interactions": answered},
        "context": _CONTEXT,
        "savings": _SAVINGS
        | {
            "total_queries": answered,
            "local_routing": local,
            "remote_routing": remote,
            "cached": cached,
            "errors": total("errors"),
            "cost_usd": total("cost_usd"),
            "cost_saved_usd": total("cost_saved_usd"),
            "tokens_saved": cached * 3_010 + answered * 9_200,
            "by_cache": _saved(cached * 3_010, cached * 0.011),
            "by_local_models": _saved(None, local * 0.009),
            "by_context": _saved(answered * 9_200, remote * 0.02),
            "routes": {
                "local": _route(local, 0.0),
                "remote": _route(remote, total("cost_usd")),
                "cached": _route(cached, 0.0),
            },
        },
        "series": series,
    }
    return whole | changes


def no_figures(span: str, now: float) -> dict[str, Any]:
    """The same with every store down: nothing is known but that."""
    seconds, width = RANGES[span]
    down = {"state": "down", "detail": "connection refused"}
    unknown = dict.fromkeys(("candidate", "trusted", "retired"))
    nothing: dict[str, Any] = dict.fromkeys(_SAVINGS)
    return {
        "version": 1,
        "generated_at": now,
        "range_s": seconds,
        "bucket_s": width,
        "source": _SOURCE | {"since": None, "trouble": "telemetry cannot be read: disk full."},
        "service": {
            "state": "down",
            "parts": {"backend.lemonade": down, "cache": down, "collection.skills-patterns": down},
            "active_interactions": None,
            "extraction_queue": {"waiting": None, "dead": None},
            "outbox_depth": None,
        },
        "collections": [
            one | dict.fromkeys(("points", "vectors", "success_rate", "growth_24h", "growth_7d"))
            for one in _COLLECTIONS
        ],
        "learning": dict.fromkeys(_LEARNING)
        | {"patterns": unknown, "patterns_extracted": dict.fromkeys(("d1", "d7", "d30"))},
        "context": dict.fromkeys(_CONTEXT)
        | {"latency_ms": dict.fromkeys(("p50", "p95", "p99")), "success_by_collection": {}},
        "savings": nothing
        | {
            "routes": {},
            "formula": _SAVINGS["formula"],
            "baseline_tokens_per_query": 15_000,
            "targets": [t | {"actual": None, "met": None} for t in _SAVINGS["targets"]],
            **dict.fromkeys(("by_cache", "by_local_models", "by_context"), _saved(None, None)),
        },
        "series": [],
    }


def _bucket(t: int, width: int) -> dict[str, Any]:
    day = (t / HOUR / 24) % 7
    hour = (t / HOUR) % 24
    busy = max(0.04, math.sin((hour - 6) / 24 * 2 * math.pi)) * (0.35 if day >= 5 else 1.0)
    wave = 1 + 0.35 * math.sin(t / 977) + 0.2 * math.sin(t / 311)
    queries = round(64 * busy * wave * width / HOUR)
    local, cached = round(queries * 0.56), round(queries * 0.21)
    remote = queries - local - cached
    return {
        "t": t,
        "queries": queries,
        "local": local,
        "remote": remote,
        "cached": cached,
        "errors": 2 if t // width % 29 == 0 and queries > 8 else 0,
        "cost_usd": round(remote * 0.0123, 4),
        "cost_saved_usd": round(cached * 0.011 + local * 0.009 + remote * 0.02, 4),
        "tokens_in": (local + remote) * 2_600,
        "tokens_out": (local + remote) * 420,
    }


def _route(queries: int, cost: float) -> dict[str, Any]:
    return {
        "queries": queries,
        "tokens_in": queries * 2_600,
        "tokens_out": queries * 420,
        "cost_usd": cost,
    }


def _saved(tokens: int | None, usd: float | None) -> dict[str, Any]:
    return {"tokens": tokens, "usd": usd}


def _target(name: str, title: str, goal: float, text: str, actual: float) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "unit": "%",
        "target": goal,
        "text": text,
        "actual": actual,
        "met": actual >= goal,
    }


def _part(state: str, detail: str) -> dict[str, str]:
    return {"state": state, "detail": detail}


_SOURCE: Final[dict[str, Any]] = {"events": 31_234, "skipped_lines": 0, "trouble": ""}
_SERVICE: Final[dict[str, Any]] = {
    "state": "degraded",
    "parts": {
        "backend.lemonade": _part("ready", "qwen3-4b-instruct"),
        "backend.ollama": _part("down", "/api/tags does not answer (connection refused)"),
        "backend.anthropic": _part("ready", "claude-sonnet"),
        "cache": _part("ready", "redis, 8123 answers"),
        "embedder": _part("ready", "bundled, 384 dimensions"),
        "collection.codebase-context": _part("ready", "18230 points"),
        "collection.skills-patterns": _part("ready", "412 points"),
        "learning": _part("ready", "everything kept is in the store"),
    },
    "active_interactions": 3,
    "extraction_queue": {"waiting": 12, "dead": 1},
    "outbox_depth": 4,
}
_COLLECTIONS: Final[list[dict[str, Any]]] = [
    {
        "name": name,
        "points": points,
        "vectors": points,
        "success_rate": rate,
        "growth_24h": day,
        "growth_7d": week,
    }
    for name, points, rate, day, week in (
        ("codebase-context", 18_230, 0.87, 120, 2_230),
        ("skills-patterns", 412, 0.91, 6, 44),
        ("error-solutions", 655, 0.78, -2, 31),
        ("interaction-history", 9_123, 0.82, 950, 6_100),
        ("best-practices", 0, None, 0, None),
    )
]
_LEARNING: Final[dict[str, Any]] = {
    "outcomes": {"success": 812, "partial": 96, "failure": 71, "unknown": 333},
    "scored": 979,
    "high_value_share": 0.214,
    "patterns_extracted": {"d1": 9, "d7": 61, "d30": 214},
    "patterns": {"candidate": 301, "trusted": 97, "retired": 14},
    "dataset_size": 843,
    "score_histogram": [3, 12, 40, 88, 150, 197, 280, 141, 52, 16],
}
_CONTEXT: Final[dict[str, Any]] = {
    "searches": 4_462,
    "latency_ms": {"p50": 3.1, "p95": 8.4, "p99": 17.0},
    "hit_rate": 0.71,
    "success_by_collection": {one["name"]: one["success_rate"] for one in _COLLECTIONS},
}
_SAVINGS: Final[dict[str, Any]] = {
    "avg_tokens_local": 2_900.0,
    "avg_tokens_remote": 3_600.0,
    "baseline_tokens_per_query": 15_000,
    "formula": [
        "A cached answer saves the tokens it took and the money it cost when it was made.",
        "A local answer saves the price of the same tokens at the reference model.",
        "A question answered with context saves 15000 tokens less the tokens of its prompt.",
        "Failed requests save nothing.",
    ],
    "targets": [
        _target("local_share", "Queries answered locally", 70.0, "at least 70 %", 56.5),
        _target("fewer_tokens", "Fewer tokens", 40.0, "at least 40 %", 77.1),
        _target("context_success", "Context success", 80.0, "more than 80 %", 84.6),
        _target("cost_reduction", "Lower cost", 40.0, "40–60 %", 52.7),
    ],
}


async def replay(settings: Settings, caller: str, now: float, number: int = 70) -> None:
    """Put a week of interactions, what was learned, and their telemetry into a state directory."""
    async with opened_stores(settings, Metrics(), lambda _: None) as stores:
        await _fill(stores.knowledge, caller, now, number)
    events = [event for index in range(number) for event in _events(index, now, number)]
    folder = settings.state_directory / "telemetry"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [event.model_dump_json(exclude_none=True) for event in events]
    Path(folder / CURRENT).write_text("\n".join(lines) + "\n", encoding="utf-8")


async def _fill(knowledge: Knowledge, caller: str, now: float, number: int) -> None:
    history = [
        NewItem(_interaction(index, now, number), id=named("interaction", index))
        for index in range(number)
    ]
    await knowledge.add(Collection.INTERACTION_HISTORY, history, caller, announce=False)
    for index, (title, text, status) in enumerate(PATTERNS):
        payload = {
            "skill_name": title,
            "usage_pattern": text,
            "status": status,
            "learned": True,
            "source_interactions": [named("interaction", index), named("interaction", index + 8)],
            "access_count": 3 * index,
            "outcome_count": 2 * index,
            "success_rate": 0.8 if index else None,
            "last_accessed": now - 600,
        }
        item = NewItem(payload, id=named("pattern", index), created=now - index * 20 * HOUR)
        await knowledge.add(Collection.SKILLS_PATTERNS, [item], caller, announce=False)


def _time(index: int, now: float, number: int) -> float:
    return now - 120 - index * 7 * 24 * HOUR / number


def _interaction(index: int, now: float, number: int) -> dict[str, Any]:
    route, backend, model = MODELS[index % len(MODELS)]
    outcome = OUTCOMES[index % len(OUTCOMES)]
    paid = route.startswith("remote")
    return {
        "query": QUESTIONS[index % len(QUESTIONS)],
        "response": "First look at what is there.\n\n1. systemctl --failed\n2. journalctl -b",
        "timestamp": _time(index, now, number),
        "agent_type": "shell",
        "model_used": model,
        "backend": backend,
        "route": route,
        "cache_status": "exact" if route == "cache" else "miss",
        "outcome": outcome,
        "outcome_source": "" if outcome == "unknown" else "client",
        "context_provided": [named("pattern", 0), named("pattern", 1)],
        "context_first": named("pattern", 0),
        "tokens_used": 1_480 + 13 * index,
        "input_tokens": 1_200,
        "output_tokens": 280 + 13 * index,
        "cost_usd": 0.0078 if paid else 0.0,
        "latency_ms": 3.0 if route == "cache" else 840.0 + 9 * index,
        "value_score": 0.62,
        "value_parts": {"outcome_quality": 1.0, "user_feedback": 0.5, "reusability": 0.4},
        "scored": now if outcome != "unknown" else 0.0,
        "extraction": "done" if index < 5 else "",
    }


def _events(index: int, now: float, number: int) -> list[Event]:
    route, backend, model = MODELS[index % len(MODELS)]
    id_, at = named("interaction", index), _time(index, now, number)
    tier = Tier.REMOTE if route.startswith("remote") else Tier.LOCAL
    cached = route == "cache"
    status = CacheStatus.EXACT if cached else CacheStatus.MISS
    found: list[Event] = [
        CacheLookup(timestamp=at, interaction_id=id_, status=status, latency_ms=0.4),
    ]
    if not cached:
        found += [
            ContextSearch(
                timestamp=at,
                interaction_id=id_,
                query="scrubbed",
                results_count=2,
                avg_score=0.61,
                latency_ms=2.9,
            ),
            RoutingDecision(
                timestamp=at,
                interaction_id=id_,
                tier=tier,
                backend=backend,
                model=model,
                reason="confident" if tier is Tier.LOCAL else "complex",
                confidence=0.81 if tier is Tier.LOCAL else 0.32,
                threshold=0.55,
            ),
            Inference(
                timestamp=at,
                interaction_id=id_,
                backend=backend,
                model=model,
                tier=tier,
                outcome="ok",
                first_token_ms=160.0,
                latency_ms=820.0,
            ),
        ]
    found += [
        InteractionRecorded(
            timestamp=at,
            interaction_id=id_,
            caller="loopback",
            dialect="openai",
            cache=status,
            reason="confident",
            status=200,
            overhead_ms=6.0,
            latency_ms=840.0,
        ),
        ValueScoreComputed(timestamp=at, interaction_id=id_, score=0.62),
    ]
    return found


def as_event(data: dict[str, Any]) -> str:
    """Figures as the stream sends them."""
    return f"event: figures\ndata: {json.dumps(data)}\n\n"
