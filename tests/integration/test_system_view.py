"""Health and analysis of a real coordinator: HTTP and the commands say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.served import Served
from tests.unit.health.scenes import BACKEND


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    health = {"min_free_fraction": 0.0, "min_free_bytes": 0}
    made = Served(tmp_path / "state", health=health, backends={"away": BACKEND})
    with made:
        yield made


def test_http_and_command_find_the_same(served: Served) -> None:
    told = httpx.get(f"{served.url}/v1/system/health", timeout=30).json()
    done = served.cli("health", "--url", served.url, "--json")
    printed = json.loads(done.stdout)
    levels = {part["name"]: part["level"] for part in told["parts"]}
    assert levels == {part["name"]: part["level"] for part in printed["parts"]}
    assert levels["backend.away"] == "critical"
    assert (told["exit_status"], done.returncode) == (2, 2)


def test_an_analysis_of_a_fresh_service_says_no_data_and_proposes_nothing(
    served: Served,
) -> None:
    told = httpx.get(f"{served.url}/v1/system/analysis", timeout=30).json()
    states = {finding["topic"]: finding["state"] for finding in told["findings"]}
    assert states["learning.high_value_threshold"] == "no data"
    assert "change" not in states.values()
    done = served.cli("analysis", "--url", served.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("0 changes proposed")
