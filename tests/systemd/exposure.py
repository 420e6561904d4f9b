"""How exposed each rendered service may be, and the table of how exposed it is.

The bars are those of the design; a service without one fails the gate, unless it is named here as
not ours. Measuring is `tests.systemd.analyze`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests.systemd.analyze import exposure

BARS = {
    "hybrid-coordinator.service": 1.2,
    "hybrid-ai-*.service": 1.2,
    "qdrant.service": 1.5,
    "redis-hybrid-ai.service": 1.5,
    "ollama.service": 2.0,
    "ollama-model-loader.service": 2.0,
    "lemonade-server.service": 2.0,
}

# nixpkgs' own, which nothing of ours changes, and what only the tests' scenarios have.
NOT_OURS = (
    "grafana.service",
    "prometheus.service",
    "redis-stores.service",
    "fake-*.service",
    "failure-hook@.service",
    "test-*.service",
)


@dataclass(frozen=True)
class Measured:
    """One service of one rendered node (`<scenario>/<node>`), and how exposed it is."""

    node: str
    service: str
    level: float
    bar: float | None
    """What the level must not exceed; None where the service is not ours."""

    @property
    def over(self) -> bool:
        """Whether the service is more exposed than it may be."""
        return self.bar is not None and self.level > self.bar


def bar_of(service: str) -> float | None:
    """The level a service must not exceed; None for one that is not ours.

    Raises AssertionError for a service that nobody has set a bar for.
    """
    if any(fnmatch(service, pattern) for pattern in NOT_OURS):
        return None
    for pattern, level in BARS.items():
        if fnmatch(service, pattern):
            return level
    raise AssertionError(f"{service} has no bar: add one to tests/systemd/exposure.py.")


def measure(rendered: Path) -> list[Measured]:
    """Every rendered service. On a node without hybrid-ai (stores for others) none is ours."""
    measured = []
    for units in sorted(rendered.glob("*/*/units")):
        ours = (units / "hybrid-ai.target").exists()
        node = str(units.parent.relative_to(rendered))
        for service, level in exposure(sorted(units.glob("*.service"))).items():
            measured.append(Measured(node, service, level, bar_of(service) if ours else None))
    return measured


def table(measured: Sequence[Measured]) -> str:
    """The levels with their bars; nodes that agree share a line."""
    grouped: dict[tuple[str, float, str], list[str]] = {}
    for one in measured:
        bar = "–" if one.bar is None else f"{one.bar:.1f}"
        grouped.setdefault((one.service, one.level, bar), []).append(one.node)
    lines = [f"{'service':32} exposure  bar  nodes"]
    for (service, level, bar), nodes in sorted(grouped.items()):
        lines.append(f"{service:32} {level:8.1f} {bar:>4}  {', '.join(nodes)}")
    return "\n".join(lines)
