"""How ``hybrid-coordinator savings`` looks: three tables that fit 80 columns, then the rules.

What is no data says so; nothing is computed here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hybrid_coordinator.reporting.figures import DashboardData, Saved, Target

_NO_DATA = "no data"


def show_savings(data: DashboardData) -> None:
    """Queries by route, what was saved by which means, the targets, and how it is counted."""
    saved, source = data.savings, data.source
    since = "" if source.since is None else f", recorded since {_time(source.since)}"
    _line(f"The last {data.range_s // 3600} hours{since}.")
    if source.trouble:
        _line(f"Not all is known: {source.trouble}")
    _table(
        ("answered by", "queries", "tokens in", "tokens out", "US$ paid"),
        (
            (name, f"{r.queries:,}", f"{r.tokens_in:,}", f"{r.tokens_out:,}", f"{r.cost_usd:.4f}")
            for name, r in saved.routes.items()
        ),
    )
    _table(
        ("saved by", "tokens", "US$"),
        (
            ("cache", *_saved(saved.by_cache)),
            ("local models", *_saved(saved.by_local_models)),
            ("stored knowledge", *_saved(saved.by_context)),
            ("all", *_saved(Saved(tokens=saved.tokens_saved, usd=saved.cost_saved_usd))),
        ),
    )
    _table(
        ("target", "wanted", "actual", ""),
        ((t.title, t.text, _percent(t), _met(t)) for t in saved.targets),
    )
    for sentence in saved.formula:
        _line(sentence)


def _saved(saved: Saved) -> tuple[str, str]:
    tokens = _NO_DATA if saved.tokens is None else f"{saved.tokens:,}"
    return tokens, _NO_DATA if saved.usd is None else f"{saved.usd:.4f}"


def _percent(target: Target) -> str:
    return _NO_DATA if target.actual is None else f"{target.actual:g} %"


def _met(target: Target) -> str:
    return {True: "met", False: "not met", None: ""}[target.met]


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    if table.row_count:
        Console(highlight=False, markup=False).print(table)


def _line(text: str) -> None:
    Console(highlight=False, markup=False).print(text)
