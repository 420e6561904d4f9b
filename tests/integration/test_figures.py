"""Figures of a real coordinator: equal wherever they are shown, live, counted once, and open
when every store is down.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, running
from tests.integration.served import Served, fake_backend, serving
from tests.unit.reporting.ledger import (
    BACKENDS,
    CONTEXT,
    EXPECTED,
    LEARNING,
    TARGETS,
    events,
    write_events,
)

NOBODY = "http://127.0.0.1:9"


def gauges(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and the values of their labels."""
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told(served: Served, span: str = "30d") -> dict[str, Any]:
    answer = httpx.get(f"{served.url}/v1/dashboard?range={span}", timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@asynccontextmanager
async def stream(served: Served, span: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The figures that the stream tells."""
    async with (
        served.client() as http,
        http.stream("GET", f"/v1/dashboard/events?range={span}") as answer,
    ):
        assert answer.status_code == 200

        async def figures() -> AsyncIterator[dict[str, Any]]:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

        yield figures()


def test_the_hand_worked_savings_are_equal_in_files_metrics_command_and_endpoint_lesson_15(
    tmp_path: Path,
) -> None:
    write_events(tmp_path, events(time.time() - 400))
    with Served(tmp_path, backends=BACKENDS) as served:
        data = told(served)
        command = served.cli("savings", "--json", "--range", "30d", "--url", served.url)
        job = served.cli("dashboard-data", "--url", served.url)
        metrics = gauges(httpx.get(f"{served.url}/metrics").text)
    assert {name: data["savings"][name] for name in EXPECTED} == EXPECTED
    assert {name: data["learning"][name] for name in LEARNING} == LEARNING
    assert {name: data["context"][name] for name in CONTEXT} == CONTEXT
    # The same numbers, and not only where they were worked out.
    assert command.returncode == 0, command.stderr
    shown = json.loads(command.stdout)
    assert {name: shown[name] for name in data["savings"]} == data["savings"]
    assert job.returncode == 0, job.stderr
    file = json.loads((tmp_path / "dashboard" / "token-savings.json").read_text())
    assert {name: file[name] for name in data["savings"]} == data["savings"]
    learning = json.loads((tmp_path / "dashboard" / "learning-metrics.json").read_text())
    assert {name: learning[name] for name in LEARNING} == LEARNING
    span = ("30d",)
    for route in ("local", "remote", "cached"):
        there = EXPECTED["routes"][route]
        assert metrics["hybrid_report_queries", *span, route] == there["queries"]
        assert metrics["hybrid_report_tokens", "in", *span, route] == there["tokens_in"]
        assert metrics["hybrid_report_tokens", "out", *span, route] == there["tokens_out"]
    assert metrics["hybrid_report_queries", *span, "failed"] == EXPECTED["errors"]
    assert metrics["hybrid_report_cost_usd", *span] == EXPECTED["cost_usd"]
    for by, name in (("cache", "by_cache"), ("context", "by_context")):
        assert metrics["hybrid_report_tokens_saved", by, *span] == EXPECTED[name]["tokens"]
        assert metrics["hybrid_report_cost_saved_usd", by, *span] == EXPECTED[name]["usd"]
    assert metrics["hybrid_report_tokens_saved", "all", *span] == EXPECTED["tokens_saved"]
    assert metrics["hybrid_report_cost_saved_usd", "all", *span] == EXPECTED["cost_saved_usd"]
    for target, (actual, met) in TARGETS.items():
        assert metrics["hybrid_report_target_percent", *span, target] == actual
        assert metrics["hybrid_report_target_met", *span, target] == met
    assert not any(
        key[0] == "hybrid_report_success_ratio" and "best-practices" in key for key in metrics
    ), "no data is no sample"


async def test_a_question_is_in_the_figures_within_one_interval_and_only_once_after_a_kill(
    tmp_path: Path,
) -> None:
    async with running(FakeOpenAI(default=Answer(text="Paris, of course."))) as url:
        options: dict[str, Any] = {
            "backends": {"fake": fake_backend(url)},
            "reporting": {"interval": 1},
        }
        async with serving(tmp_path, **options) as served, asyncio.timeout(60):
            async with stream(served, "1h") as figures:
                assert (await anext(figures))["savings"]["total_queries"] == 0
                for question in ("What is the capital of France?", "How many moons has Mars?"):
                    answer = await asyncio.to_thread(served.chat, question)
                    assert answer.status_code == 200, answer.text
                again = await asyncio.to_thread(served.chat, "How many moons has Mars?")
                assert again.headers["x-hybrid-cache"] == "exact"
                while (data := await anext(figures))["savings"]["total_queries"] < 3:
                    pass
            assert (data["savings"]["local_routing"], data["savings"]["cached"]) == (2, 1)
            assert data["service"]["active_interactions"] == 0
            assert data["service"]["parts"]["backend.fake"]["state"] == "ready"
            assert sum(point["queries"] for point in data["series"]) == 3
            history = {c["name"]: c for c in data["collections"]}["interaction-history"]
            assert history["points"] is not None
            assert history["growth_24h"] is None
            served.process.kill()
        async with serving(tmp_path, **options) as served:
            data = await asyncio.to_thread(told, served, "1h")
            assert data["savings"]["total_queries"] == 3


async def test_success_is_told_by_the_collection_that_was_in_the_prompt(tmp_path: Path) -> None:
    question = "How do I close the shutters before a storm from the west?"
    practice = {
        "title": "Close the shutters before a storm",
        "category": "house",
        "description": "Before a storm from the west, close the shutters and bolt them.",
    }
    async with running(FakeOpenAI(default=Answer(text="Bolt them."))) as url:
        options: dict[str, Any] = {"backends": {"fake": fake_backend(url)}}
        async with serving(tmp_path, **options) as served, served.client() as http:
            items = {"items": [{"payload": practice}]}
            stored = await http.post("/v1/knowledge/best-practices", json=items)
            assert stored.status_code == 200, stored.text
            answer = await asyncio.to_thread(served.chat, question)
            id_ = answer.headers["x-hybrid-interaction-id"]
            posted = await http.post(f"/v1/interactions/{id_}/outcome", json={"outcome": "success"})
            assert posted.status_code == 200, posted.text
            async with asyncio.timeout(60), stream(served, "1h") as figures:
                while (data := await anext(figures))["learning"]["outcomes"]["success"] == 0:
                    pass
    assert data["context"]["success_by_collection"] == {
        "best-practices": 1.0,
        "codebase-context": None,
        "error-solutions": None,
        "interaction-history": None,
        "skills-patterns": None,
    }
    assert data["context"]["hit_rate"] == 1.0
    assert data["context"]["latency_ms"]["p50"] > 0
    used = data["savings"]["routes"]["local"]["tokens_in"]
    assert data["savings"]["by_context"]["tokens"] == 15_000 - used


async def test_an_open_stream_ends_with_a_reload_and_holds_up_no_stop(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"backends": BACKENDS, "reporting": {"baseline_tokens": 15_000}}
    async with serving(tmp_path, **settings) as served, asyncio.timeout(60):
        async with stream(served, "24h") as figures:
            await anext(figures)
            tree = json.loads(served.config.read_text())
            tree["reporting"]["baseline_tokens"] = 9_000
            served.config.write_text(json.dumps(tree))
            served.process.send_signal(signal.SIGHUP)
            assert [data async for data in figures] == [], "told to come back"
        assert told(served)["savings"]["baseline_tokens_per_query"] == 9_000
        async with stream(served, "24h") as figures:
            await anext(figures)
            began = time.monotonic()
            served.process.terminate()
            assert [data async for data in figures] == []
            assert await asyncio.to_thread(served.process.wait, 30) == 0
            assert time.monotonic() - began < 10, "less than the grace period of 30 s"


def test_the_dashboard_opens_with_every_store_down_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "reporting.sqlite").mkdir(parents=True)
    with Served(
        tmp_path,
        backends=BACKENDS,
        qdrant={"url": NOBODY},
        redis={"url": "redis://127.0.0.1:9"},
    ) as served:
        data = told(served)
        health = httpx.get(f"{served.url}/health")
        ended = served.stop()
    assert health.status_code == 200
    assert data["service"]["state"] == "down"
    parts = data["service"]["parts"]
    assert parts["backend.home"]["state"] == "down"
    assert parts["cache"]["state"] == "degraded"
    assert parts["collection.codebase-context"]["state"] == "degraded"
    assert [c["points"] for c in data["collections"]] == [None] * 5
    assert data["learning"]["patterns"] == {"candidate": None, "trusted": None, "retired": None}
    assert data["savings"]["total_queries"] is None
    assert "reporting.sqlite" in data["source"]["trouble"]
    assert ended == 0
    assert served.log.count("figures are not counted at present") == 1, "logged once (lesson 7)"


def test_with_telemetry_off_the_figures_say_why_there_are_none(tmp_path: Path) -> None:
    with Served(tmp_path, backends=BACKENDS, telemetry={"enable": False}) as served:
        data = told(served)
    assert "telemetry.enable is false" in data["source"]["trouble"]
    assert data["savings"]["total_queries"] is None, "not counted is no zero (lesson 13)"
