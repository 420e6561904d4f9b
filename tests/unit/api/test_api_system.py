"""The endpoints about the whole system: operators only, and what the commands print."""

from __future__ import annotations

import pytest

from hybrid_coordinator.analysis.report import Analysis, State
from hybrid_coordinator.health_report import Level, Report
from tests.unit.api.scripted import ALICE, KEYS, OPERATOR, client, edge

PATHS = ["/v1/system/health", "/v1/system/analysis"]


async def test_the_health_report_is_told_with_200_whatever_it_says() -> None:
    async with client(edge()) as http:
        answer = await http.get("/v1/system/health")
    report = Report.model_validate_json(answer.content)
    assert (answer.status_code, report.status) == (200, Level.WARNING)
    assert answer.json()["exit_status"] == 1
    assert answer.json()["summary"].endswith("(needs a look: redis)")


async def test_the_analysis_has_its_proposals_as_option_lines() -> None:
    async with client(edge()) as http:
        answer = await http.get("/v1/system/analysis")
    analysis = Analysis.model_validate_json(answer.content)
    assert analysis.findings[0].state is State.CHANGE
    line = "services.hybrid-ai.coordinator.settings.cache.max_entries = 200;"
    assert answer.json()["findings"][0]["proposal"]["line"] == line


@pytest.mark.parametrize("path", PATHS)
async def test_only_an_operator_may_ask(path: str) -> None:
    async with client(edge(keys=KEYS, operator=OPERATOR)) as http:
        assert (await http.get(path)).status_code == 401
        as_alice = await http.get(path, headers={"authorization": f"Bearer {ALICE}"})
        as_operator = await http.get(path, headers={"authorization": f"Bearer {OPERATOR}"})
    assert (as_alice.status_code, as_operator.status_code) == (403, 200)
