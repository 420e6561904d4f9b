"""What a panel of the board is made of: its question, and PromQL in the few forms there are.

Not for which panels there are (``service``, ``learning``), nor for Grafana's JSON (``board``).
"""

from __future__ import annotations

from dataclasses import dataclass

THIRD = 8
QUARTER = 6
"""Widths of panels; the board is 24 wide."""

OURS = '="hybrid-ai"'
"""The job of the metrics that every Python process has."""


@dataclass(frozen=True)
class Panel:
    """One panel. ``queries`` are PromQL and the legend of its series; ``unit`` is Grafana's."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    description: str
    kind: str = "timeseries"
    width: int = THIRD


@dataclass(frozen=True)
class Row:
    """A heading and the panels below it, side by side as far as they fit."""

    title: str
    panels: tuple[Panel, ...]


def chosen(metric: str, **labels: str) -> str:
    """A metric of the chosen instances; a label's value starts with its operator."""
    told = "".join(f",{name}{value}" for name, value in labels.items())
    return f'{metric}{{instance=~"$instance"{told}}}'


def rate(metric: str, *by: str, **labels: str) -> str:
    """What is counted a second, summed by ``by``."""
    return f"sum{_by(by)} (rate({chosen(metric, **labels)}[$__rate_interval]))"


def share(part: str, whole: str) -> str:
    """One rate as a share of another."""
    return f"{part} / {whole}"


def total(metric: str, *by: str, **labels: str) -> str:
    """What was counted in the whole time that is shown, summed by ``by``."""
    return f"sum{_by(by)} (increase({chosen(metric, **labels)}[$__range]))"


def quantile(portion: float, metric: str, *by: str) -> str:
    """A quantile of a histogram, by ``by``."""
    return f"histogram_quantile({portion}, {rate(metric + '_bucket', 'le', *by)})"


def mean(metric: str) -> str:
    """The mean of a histogram."""
    return share(rate(metric + "_sum"), rate(metric + "_count"))


def now(metric: str, *by: str, **labels: str) -> str:
    """A gauge, summed by ``by``."""
    return f"sum{_by(by)} ({chosen(metric, **labels)})"


def line(title: str, unit: str, expression: str, legend: str, description: str) -> Panel:
    """A panel of one query."""
    return Panel(title, unit, ((expression, legend),), description)


def stat(title: str, unit: str, expression: str, description: str) -> Panel:
    """One number."""
    return Panel(title, unit, ((expression, ""),), description, kind="stat", width=QUARTER)


def spread(title: str, unit: str, metric: str, description: str) -> Panel:
    """How a histogram's values lie, over time."""
    buckets = f"sum by (le) (increase({chosen(metric + '_bucket')}[$__rate_interval]))"
    return Panel(title, unit, ((buckets, "{{le}}"),), description, kind="heatmap")


def _by(names: tuple[str, ...]) -> str:
    return f" by ({', '.join(names)})" if names else ""
