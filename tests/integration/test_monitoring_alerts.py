"""The alert rules by promtool: they are well formed, each fires when it must and is silent else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.alert_cases import CASES, Case, Series
from tests.testbed.prometheus import VERSIONS, Version, promtool
from tests.testbed.requirement import require

RULES = Path(__file__).parents[2] / "modules" / "monitoring" / "alerts.yml"


@pytest.fixture(scope="module", autouse=True)
def _prometheus() -> None:
    require("prometheus")


def rules() -> dict[str, Any]:
    """Every alert of the rules file by its name."""
    content = yaml.safe_load(RULES.read_text("utf-8"))
    return {rule["alert"]: rule for group in content["groups"] for rule in group["rules"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_promtool_finds_nothing_wrong_with_the_rules(version: Version) -> None:
    checked = promtool(version, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_scene_and_says_how_bad_it_is_and_what_it_means() -> None:
    alerts = rules()
    assert alerts.keys() == {case.alert for case in CASES}
    for name, rule in alerts.items():
        assert name.startswith("HybridAi")
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert set(rule["annotations"]) == {"summary", "description"}, name


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES, ids=[f"{case.alert}-{case.at}" for case in CASES])
def test_an_alert_fires_in_its_scene_and_not_in_one_close_to_it(
    case: Case, version: Version, tmp_path: Path
) -> None:
    rule = rules()[case.alert]
    fired = {
        "exp_labels": {**case.labels, **rule["labels"]},
        "exp_annotations": {
            name: _expanded(text, case.labels) for name, text in rule["annotations"].items()
        },
    }
    # This rule alone: a day of all of them takes seconds. JSON is YAML.
    alone = tmp_path / "rule.yml"
    alone.write_text(json.dumps({"groups": [{"name": "one", "rules": [rule]}]}), "utf-8")
    file = tmp_path / "test.yml"
    scenes = [_scene(case, case.fires, [fired]), _scene(case, case.silent, [])]
    file.write_text(json.dumps({"rule_files": [str(alone)], "tests": scenes}), "utf-8")
    tested = promtool(version, "test", "rules", str(file))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def _scene(case: Case, scraped: Series, expected: list[Any]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in scraped.items()],
        "alert_rule_test": [
            {"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}
        ],
    }


def _expanded(text: str, labels: dict[str, str]) -> str:
    """An annotation as Prometheus expands it for these labels."""
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
