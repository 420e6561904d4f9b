"""scrape: Prometheus reads /metrics, through the IP filters and with its key (lesson 11).

Asked is Prometheus, not the coordinator: what it says is what a dashboard gets.
"""

from __future__ import annotations

import re
from typing import Any

from tests.nixos.coordinator import Coordinator
from tests.nixos.machine import Machines
from tests.nixos.prometheus import query, wait_for_result
from tests.nixos.registry import named


@named("scrape", scenarios=("full",))
def scrape(machines: Machines) -> None:
    """The target is up, and a question that was answered is in Prometheus' numbers."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    machine.wait_for_unit("prometheus.service")
    machine.wait_for_open_port(9090)
    instance = f'instance="{coordinator.address}"'
    wait_for_result(machine, f"up{{{instance}}} == 1")
    up = query(machine, "up")
    assert up, "Prometheus has no target"
    down = [result["metric"] for result in up if result["value"][1] != "1"]
    assert not down, f"Prometheus cannot read {down}"

    counted = f'sum(hybrid_requests_total{{endpoint=~".*chat/completions",{instance}}})'
    before = _number(query(machine, counted))
    coordinator.answered("Does Prometheus count this question?", fresh=True)
    wait_for_result(machine, f"{counted} > {before}")
    names = {result["metric"]["__name__"] for result in query(machine, f"{{{instance}}}")}
    ours = {name for name in names if name.startswith("hybrid_")}
    assert len(ours) > 10, f"Prometheus has {sorted(ours)}"
    told = coordinator.request("GET", "/metrics").text
    missing = sorted({m for m in re.findall(r"^(hybrid_\w+)[{ ]", told, re.M) if m not in names})
    assert not missing, f"Prometheus has not what /metrics says: {missing}"


def _number(result: list[dict[str, Any]]) -> float:
    return float(result[0]["value"][1]) if result else 0.0
