"""How the learning commands show what the coordinator said: tables that fit 80 columns."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hybrid_coordinator.learning.experiments import ExperimentReport
from hybrid_coordinator.learning.records import DatasetReport, QueuedExtraction, QueueView

_NO_DATA = "no data"


def show_dataset(report: DatasetReport) -> None:
    """Where the training data is, its files, and what was left out."""
    _line(f"{report.dataset_size} examples, {report.new_examples} of them new: {report.path}")
    _line(f"manifest: {report.manifest_path}")
    rows = ((name, str(about.get("examples", ""))) for name, about in report.files.items())
    _table(("file", "examples"), rows, right=(1,))
    left_out = ((reason, str(count)) for reason, count in report.left_out.items())
    _table(("left out because", "interactions"), left_out, right=(1,))


def show_queue(view: QueueView) -> None:
    """Counts, then the entries and why the dead ones were given up."""
    since = "" if view.oldest is None else f", the oldest since {_time(view.oldest)}"
    _line(f"{view.waiting} waiting{since}; {view.claimed} in work; {view.dead} given up")
    _table(
        ("interaction", "score", "tries", "in the queue since"),
        (
            (entry.interaction_id, f"{entry.score:.2f}", str(entry.tries), _time(entry.enqueued))
            for entry in view.entries
        ),
        right=(1, 2),
    )
    _table(
        ("given up", "tries", "why"),
        ((entry.interaction_id, str(entry.tries), _why(entry)) for entry in view.dead_letters),
        right=(1,),
    )


def show_experiments(reports: Sequence[ExperimentReport]) -> None:
    """One paragraph and one table an experiment."""
    if not reports:
        _line("no experiment is declared: see services.hybrid-ai.coordinator.settings.experiments")
    for report in reports:
        winner = f", {report.winner} won" if report.winner is not None else ""
        _line(f"{report.name}: {report.decision.value}{winner}. {report.why}")
        _table(
            ("variant", "asked", "known", "success, 95 %", "best", "tokens", "US$"),
            (
                (
                    v.variant,
                    str(v.interactions),
                    str(v.outcomes),
                    f"{v.mean:.0%} ({v.low:.0%}-{v.high:.0%})",
                    f"{v.best:.0%}",
                    _NO_DATA if v.tokens_mean is None else f"{v.tokens_mean:.0f}",
                    _NO_DATA if v.cost_usd is None else f"{v.cost_usd:.4f}",
                )
                for v in report.variants
            ),
            right=(1, 2, 4, 5, 6),
        )


def _why(entry: QueuedExtraction) -> str:
    return entry.reason or "unknown"


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _line(text: str) -> None:
    Console(highlight=False).print(text, markup=False, soft_wrap=True)


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, head in enumerate(heads):
        table.add_column(
            head, justify="right" if index in right else "left", overflow="fold", no_wrap=False
        )
    for row in rows:
        table.add_row(*row)
    if table.row_count:
        Console(highlight=False, markup=False).print(table)
