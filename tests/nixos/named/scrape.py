"""scrape: Prometheus reads /metrics, through the IP filters and with its key (lesson 11).

Asked is Prometheus, not the coordinator: what it says is what a dashboard gets.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any
from urllib.parse import quote

from tests.nixos.coordinator import Coordinator
from tests.nixos.machine import TOOLS, Machine, Machines
from tests.nixos.registry import named

PROMETHEUS = "http://127.0.0.1:9090"


@named("scrape", scenarios=("full",))
def scrape(machines: Machines) -> None:
    """The target is up, and a question that was answered is in Prometheus' numbers."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    machine.wait_for_unit("prometheus.service")
    machine.wait_for_open_port(9090)
    instance = f'instance="{coordinator.address}"'
    _wait_for(machine, f"up{{{instance}}} == 1")
    up = _query(machine, "up")
    assert up, "Prometheus has no target"
    down = [result["metric"] for result in up if result["value"][1] != "1"]
    assert not down, f"Prometheus cannot read {down}"

    counted = f'sum(hybrid_requests_total{{endpoint=~".*chat/completions",{instance}}})'
    before = _number(_query(machine, counted))
    coordinator.answered("Does Prometheus count this question?", fresh=True)
    _wait_for(machine, f"{counted} > {before}")
    names = {result["metric"]["__name__"] for result in _query(machine, f"{{{instance}}}")}
    ours = {name for name in names if name.startswith("hybrid_")}
    assert len(ours) > 10, f"Prometheus has {sorted(ours)}"
    told = coordinator.request("GET", "/metrics").text
    missing = sorted({m for m in re.findall(r"^(hybrid_\w+)[{ ]", told, re.M) if m not in names})
    assert not missing, f"Prometheus has not what /metrics says: {missing}"


def _query(machine: Machine, query: str) -> list[dict[str, Any]]:
    said = json.loads(machine.succeed(_command(query)))
    body = json.loads(said["body"])
    assert body["status"] == "success", body
    result: list[dict[str, Any]] = body["data"]["result"]
    return result


def _command(query: str) -> str:
    url = f"{PROMETHEUS}/api/v1/query?query={quote(query)}"
    return shlex.join(["python3", f"{TOOLS}/ask.py", "GET", url])


def _wait_for(machine: Machine, query: str) -> None:
    """Wait until a query has a result."""
    pattern = shlex.quote('\\"metric\\":')
    machine.wait_until_succeeds(
        f"{_command(query)} | grep --quiet --fixed-strings {pattern}", timeout=60
    )


def _number(result: list[dict[str, Any]]) -> float:
    return float(result[0]["value"][1]) if result else 0.0
