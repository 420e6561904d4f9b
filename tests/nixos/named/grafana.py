"""grafana-provisioned: Grafana has its source and its board, Prometheus the rules, without a hand.

Both are asked by their HTTP APIs, so that it is what they loaded that counts, not what was written.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from tests.nixos.machine import Machine, Machines
from tests.nixos.prometheus import PROMETHEUS, api, ask, query, wait_for_result
from tests.nixos.registry import named

GRAFANA = "http://127.0.0.1:3000"
_LOGIN = base64.b64encode(b"admin:only-for-tests").decode()
_VARIABLES = {"$__rate_interval": "30s", "$__range": "5m", "$instance": ".*"}


@named("grafana-provisioned", scenarios=("full",))
def grafana_provisioned(machines: Machines) -> None:
    """The source that Grafana was given answers every query of the board; alerts are judged."""
    machine = machines["machine"]
    machine.wait_for_unit("prometheus.service")
    machine.wait_for_unit("grafana.service")
    machine.wait_for_open_port(3000)

    source = _grafana(machine, "datasources/uid/hybrid-ai")
    assert source["type"] == "prometheus"
    assert source["url"] == PROMETHEUS, source
    assert source["jsonData"]["timeInterval"] == "2s", source

    found = _grafana(machine, "dashboards/uid/hybrid-ai")
    assert found["meta"]["provisioned"] is True, found["meta"]
    panels = [panel for panel in found["dashboard"]["panels"] if panel["type"] != "row"]
    assert len(panels) > 40, [panel["title"] for panel in panels]

    wait_for_result(machine, 'up{job="hybrid-ai"} == 1')
    for panel in panels:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in _VARIABLES.items():
                expression = expression.replace(variable, value)
            query(machine, expression)  # raises where Prometheus refuses it

    rules = _rules(machine)
    assert len(rules) > 20, sorted(rules)
    assert all(re.fullmatch(r"HybridAi\w+", name) for name in rules), sorted(rules)
    assert rules["HybridAiDown"]["state"] == "inactive", rules["HybridAiDown"]
    wrong = {name: rule for name, rule in rules.items() if rule["health"] == "err"}
    assert not wrong, wrong


def _grafana(machine: Machine, path: str) -> Any:
    said = ask(machine, f"{GRAFANA}/api/{path}", f"Authorization: Basic {_LOGIN}")
    assert said["status"] == 200, said
    return json.loads(said["body"])


def _rules(machine: Machine) -> dict[str, Any]:
    """The alerts that the running Prometheus has loaded, by name."""
    groups = api(machine, "rules?type=alert")["groups"]
    return {rule["name"]: rule for group in groups for rule in group["rules"]}
