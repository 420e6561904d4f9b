"""Which metrics there are, by the code, and which the documents tell of, by their tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import Metric

from hybrid_coordinator.telemetry import Metrics

DOCS = Path(__file__).parents[3] / "docs"


def documented_metrics(document: str = "metrics.md") -> set[str]:
    """The metrics that have a row in a table of the document."""
    return {
        name
        for row in (DOCS / document).read_text("utf-8").splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`((?:hybrid|process)_\w+)`", row.split("|")[1])
    }


def declared_metrics() -> set[str]:
    """Every metric of the coordinator, by the name that Prometheus knows, samples or not."""
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in _families(Metrics())
    }


def _families(holder: object) -> Iterator[Metric]:
    """What the attributes of a room's metrics declare, and those of rooms within it."""
    for value in vars(holder).values():
        describe: Any = getattr(value, "describe", None)
        if describe is not None:
            yield from describe()
        elif type(value).__name__ == "ProcessCollector":
            yield from value.collect()
        elif type(value).__module__.startswith("hybrid_coordinator.telemetry"):
            yield from _families(value)
