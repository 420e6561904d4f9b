"""A machine's Prometheus as a dashboard asks it, by its HTTP API inside the machine.

Not for what the answers must be: that is the tests' matter.
"""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import quote

from tests.nixos.machine import TOOLS, Machine

__all__ = ["PROMETHEUS", "api", "ask", "query", "wait_for_result"]

PROMETHEUS = "http://127.0.0.1:9090"


def ask(machine: Machine, url: str, *headers: str) -> dict[str, Any]:
    """GET a URL inside the machine; what `tools/ask.py` says of the answer."""
    told = [f"--header={header}" for header in headers]
    command = shlex.join(["python3", f"{TOOLS}/ask.py", "GET", url, *told])
    said: dict[str, Any] = json.loads(machine.succeed(command))
    return said


def api(machine: Machine, path: str) -> Any:
    """The `data` of Prometheus' answer to `/api/v1/<path>`."""
    body = json.loads(ask(machine, f"{PROMETHEUS}/api/v1/{path}")["body"])
    assert body["status"] == "success", body
    return body["data"]


def query(machine: Machine, expression: str) -> list[dict[str, Any]]:
    """The result of an instant query."""
    result: list[dict[str, Any]] = api(machine, f"query?query={quote(expression)}")["result"]
    return result


def wait_for_result(machine: Machine, expression: str, timeout: int = 60) -> None:
    """Wait until a query has a result."""
    url = f"{PROMETHEUS}/api/v1/query?query={quote(expression)}"
    command = shlex.join(["python3", f"{TOOLS}/ask.py", "GET", url])
    pattern = shlex.quote('\\"metric\\":')
    machine.wait_until_succeeds(
        f"{command} | grep --quiet --fixed-strings {pattern}", timeout=timeout
    )
