"""The Grafana board: what its source makes, every metric on it, and nothing Grafana does not know.

There is no Grafana among this project's parts. Judge is Grafana's own model of a dashboard (its
"foundation" package): what that does not read, Grafana does not either.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import heatmap, stat, timeseries, units

from tests.unit.monitoring.documented import documented_metrics

ROOT = Path(__file__).parents[3]
BOARD = ROOT / "modules" / "monitoring" / "grafana" / "hybrid-ai.json"
SOURCE = ROOT / "coordinator" / "scripts" / "grafana" / "board.py"
OPTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "heatmap": heatmap.Options.from_json,
    "stat": stat.Options.from_json,
    "timeseries": timeseries.Options.from_json,
}


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BOARD.read_text("utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def test_the_file_is_what_its_source_makes() -> None:
    made = subprocess.run(
        [sys.executable, str(SOURCE), "--print"], capture_output=True, text=True, check=True
    )
    assert made.stdout == BOARD.read_text("utf-8"), "run make board"


def test_every_documented_metric_is_on_the_board() -> None:
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for panel in panels()
        for target in panel["targets"]
        for name in re.findall(r"\b(?:hybrid|process)_\w+", target["expr"])
    }
    assert documented_metrics() - asked == set()


def test_grafanas_own_model_reads_the_whole_board() -> None:
    plugins.register_default_plugins()
    ours = board()
    read = json.loads(json.dumps(grafana.Dashboard.from_json(ours), cls=JSONEncoder))
    assert list(_lost(ours, read)) == []


def test_a_field_that_grafana_does_not_know_is_found() -> None:
    plugins.register_default_plugins()
    ours = board()
    ours["panels"][1]["tittle"] = "misspelt"
    read = json.loads(json.dumps(grafana.Dashboard.from_json(ours), cls=JSONEncoder))
    assert list(_lost(ours, read)) == ["panels/1/tittle"]


@pytest.mark.parametrize("kind", sorted(OPTIONS))
def test_every_option_of_a_panel_is_one_of_its_plugin(kind: str) -> None:
    found = [panel["options"] for panel in panels() if panel["type"] == kind]
    assert found
    for options in found:
        read = json.loads(json.dumps(OPTIONS[kind](options), cls=JSONEncoder))
        assert list(_lost(options, read)) == []


def test_every_unit_is_one_of_grafanas() -> None:
    known = {value for name, value in vars(units).items() if not name.startswith("_")}
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in panels()} <= known


def test_panels_lie_side_by_side_and_every_one_has_its_own_number() -> None:
    everything = board()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for panel in everything:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in combinations(everything, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def test_every_panel_says_what_it_shows_and_what_it_shows_without_data() -> None:
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"] == "no data"


def test_every_query_goes_to_the_chosen_source() -> None:
    names = {variable["name"] for variable in board()["templating"]["list"]}
    for panel in panels():
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            used = set(re.findall(r"\$(\w+)", target["expr"]))
            assert used <= names | {"__rate_interval", "__range"}, target["expr"]


def _lost(ours: Any, read: Any, where: str = "") -> Iterator[str]:
    """Where Grafana's model did not keep what the board says."""
    if isinstance(ours, dict) and isinstance(read, dict):
        for key, value in ours.items():
            at = f"{where}/{key}".lstrip("/")
            if key in read:
                yield from _lost(value, read[key], at)
            elif value not in (None, [], {}):
                yield at
    elif isinstance(ours, list) and isinstance(read, list) and len(ours) == len(read):
        for number, (one, other) in enumerate(zip(ours, read, strict=True)):
            yield from _lost(one, other, f"{where}/{number}")
    elif ours != read:
        yield where


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )
