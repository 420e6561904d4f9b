"""A real Prometheus reads a real coordinator: every expression of board and alerts means something.

An expression with a misspelt metric is valid PromQL and says "no data" for ever; so each name must
be one that the coordinator exports.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import running
from tests.integration.served import Served, fake_backend, serving
from tests.testbed.process import wait_until
from tests.testbed.prometheus import VERSIONS, PrometheusServer, prometheus_server
from tests.testbed.requirement import require
from tests.unit.monitoring.documented import declared_metrics

MONITORING = Path(__file__).parents[2] / "modules" / "monitoring"
RULES = MONITORING / "alerts.yml"
BOARD = json.loads((MONITORING / "grafana" / "hybrid-ai.json").read_text("utf-8"))
_VARIABLES = {"$__rate_interval": "10s", "$__range": "30s", "$instance": ".*"}
_SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")
_KEYWORDS = {"and", "or", "unless", "bool", "by", "on", "without"}
NOT_OURS = {"up", "ALERTS"}
"""Prometheus' own."""


class Scraped:
    """The coordinator's metrics as it tells them, and the Prometheus that reads them."""

    def __init__(self, coordinator: Served, prometheus: PrometheusServer, told: str) -> None:
        self.coordinator = coordinator
        self.prometheus = prometheus
        self.exported = {
            family.name + suffix
            for family in text_string_to_metric_families(told)
            for suffix in _SUFFIXES
        }
        # Some gauges are told only once there is something to tell.
        self.exported |= declared_metrics()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=VERSIONS)
async def scraped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scraped]:
    """A coordinator that was asked some questions and scraped since."""
    require("prometheus")
    async with (
        running(FakeOpenAI()) as url,
        serving(
            tmp_path_factory.mktemp("state"), backends={"local": fake_backend(url)}
        ) as coordinator,
        coordinator.client() as client,
    ):
        job = {
            "job_name": "hybrid-ai",
            "static_configs": [{"targets": [coordinator.url.removeprefix("http://")]}],
        }
        with await asyncio.to_thread(
            prometheus_server, request.param, [job], [RULES]
        ) as prometheus:
            for number in range(6):
                body = {
                    "model": "auto",
                    "stream": number % 2 == 0,
                    "messages": [{"role": "user", "content": f"What is number {number // 2}?"}],
                }
                answer = await client.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
            # A rate needs two readings.
            counted = (
                "sum(hybrid_cache_lookups_total) >= 6"
                " and min(count_over_time(hybrid_cache_lookups_total[1m])) >= 3"
            )
            arrived = await asyncio.to_thread(
                wait_until, lambda: bool(prometheus.query(counted)), 30
            )
            assert arrived, coordinator.log
            yield Scraped(coordinator, prometheus, (await client.get("/metrics")).text)


def _expressions() -> list[tuple[str, str]]:
    """Title and expression of every query of the board, and of every alert."""
    found = [
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in BOARD["panels"]
        for target in panel.get("targets", [])
    ]
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return found + [(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "expression", [pytest.param(text, id=title) for title, text in _expressions()]
)
async def test_prometheus_evaluates_an_expression_whose_metrics_exist(
    expression: str, scraped: Scraped
) -> None:
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    named = _metrics_of(expression)
    assert named, "the expression names no metric"
    assert named - NOT_OURS <= scraped.exported
    result = await asyncio.to_thread(scraped.prometheus.api, "query", query=expression)
    assert result["resultType"] in ("vector", "scalar")


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_asked_is_seen_on_the_board(scraped: Scraped) -> None:
    for title in ("Requests", "Look-ups", "Where questions go", "Ready", "Memory"):
        [panel] = [panel for panel in BOARD["panels"] if panel["title"] == title]
        expression = panel["targets"][0]["expr"]
        for variable, value in _VARIABLES.items():
            expression = expression.replace(variable, value)
        assert await asyncio.to_thread(scraped.prometheus.query, expression), title


@pytest.mark.asyncio(loop_scope="module")
async def test_prometheus_has_loaded_every_alert_and_none_fires_of_a_healthy_coordinator(
    scraped: Scraped,
) -> None:
    expected = {rule["alert"] for group in _groups() for rule in group["rules"]}

    def evaluated() -> bool:
        return all(rule["lastEvaluation"] > "2" for rule in _loaded(scraped.prometheus))

    assert await asyncio.to_thread(wait_until, evaluated, 30)
    loaded = await asyncio.to_thread(_loaded, scraped.prometheus)
    assert {rule["name"] for rule in loaded} == expected
    for rule in loaded:
        assert rule["health"] == "ok", rule
        assert rule["state"] == "inactive", rule


@pytest.mark.asyncio(loop_scope="module")
async def test_a_coordinator_that_ends_is_about_to_be_reported(scraped: Scraped) -> None:
    # The last test of the file: nobody answers afterwards.
    await asyncio.to_thread(scraped.coordinator.stop)

    def pending() -> bool:
        states = {rule["name"]: rule["state"] for rule in _loaded(scraped.prometheus)}
        return bool(states["HybridAiDown"] == "pending")

    assert await asyncio.to_thread(wait_until, pending, 30)


def _metrics_of(expression: str) -> set[str]:
    """The names in PromQL that are no function, label, keyword or number."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\b(?:by|on|without)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]", "", bare)
    return set(re.findall(r"\b([a-zA-Z_]\w*)\b(?!\s*\()", bare)) - _KEYWORDS


def _groups() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return groups


def _loaded(prometheus: PrometheusServer) -> list[dict[str, Any]]:
    return [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]
