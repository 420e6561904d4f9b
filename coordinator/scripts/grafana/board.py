"""Writes the Grafana board, ``modules/monitoring/grafana/hybrid-ai.json``; ``--print`` shows it.

Panels are read from ``service`` and ``learning``, laid out, and put into the JSON that Grafana
provisions. The same panels always give the same bytes; a test compares them with the file.

    make board
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import FIGURES
from learning import LEARNING, MONEY, OUTBOX, TELEMETRY
from queries import Panel, Row
from service import BACKENDS, CACHE, KNOWLEDGE, ROUTING, SERVICE

BOARD = (
    Path(__file__).resolve().parents[3] / "modules" / "monitoring" / "grafana" / "hybrid-ai.json"
)
ROWS = (SERVICE, CACHE, ROUTING, BACKENDS, KNOWLEDGE, LEARNING, OUTBOX, MONEY, FIGURES, TELEMETRY)

_WIDTH = 24
_HEIGHTS = {"timeseries": 8, "heatmap": 8, "stat": 4}
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    },
    "heatmap": {
        "calculate": False,
        "color": {
            "exponent": 0.5,
            "fill": "blue",
            "mode": "scheme",
            "reverse": False,
            "scheme": "Blues",
            "steps": 32,
        },
        "tooltip": {"show": True, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "unit": "percentunit"},
    },
}
_LINES = {"drawStyle": "line", "fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}


def board() -> dict[str, Any]:
    """The whole board."""
    return {
        "uid": "hybrid-ai",
        "title": "hybrid-ai",
        "description": "The gateway, its stores and backends, and what it learns and costs.",
        "tags": ["hybrid-ai"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {"list": [_source_variable(), _instance_variable()]},
        "panels": list(_laid_out()),
    }


def _laid_out() -> Iterator[dict[str, Any]]:
    """Every row's heading and its panels, each at its place, with ids that count up."""
    number, top = 1, 0
    for row in ROWS:
        yield _heading(row, number, top)
        number, top = number + 1, top + 1
        left = tallest = 0
        for panel in row.panels:
            height = _HEIGHTS[panel.kind]
            if left + panel.width > _WIDTH or (tallest and height != tallest):
                left, top = 0, top + tallest
            yield _panel(panel, number, {"h": height, "w": panel.width, "x": left, "y": top})
            number, left, tallest = number + 1, left + panel.width, height
        top += tallest


def _heading(row: Row, number: int, top: int) -> dict[str, Any]:
    return {
        "type": "row",
        "id": number,
        "title": row.title,
        "collapsed": False,
        "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": top},
        "panels": [],
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "noValue": "no data"}
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": _LINES}
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [
            _target(panel, chr(ord("A") + index), *query)
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


def _target(panel: Panel, letter: str, expression: str, legend: str) -> dict[str, Any]:
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": expression,
        "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        "legendFormat": legend or "__auto",
        "range": True,
    }


def _source_variable() -> dict[str, Any]:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "current": {"text": "hybrid-ai", "value": "hybrid-ai"},
        "includeAll": False,
        "multi": False,
    }


def _instance_variable() -> dict[str, Any]:
    query = "label_values(hybrid_active_requests, instance)"
    return {
        "type": "query",
        "name": "instance",
        "label": "Coordinator",
        "datasource": _SOURCE,
        "query": query,
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def main() -> None:
    """Write the board, or print it."""
    text = json.dumps(board(), indent=2, ensure_ascii=False) + "\n"
    if "--print" in sys.argv[1:]:
        sys.stdout.write(text)
    else:
        BOARD.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
