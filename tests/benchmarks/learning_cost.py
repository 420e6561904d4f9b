"""What learning costs a request: this gateway with learning on beside the same with it off.

    python -m tests.benchmarks.learning_cost [--quick]    (from the repository's root)

Each run is a new process with an empty store; runs alternate, so that a machine
that slows down slows both. Every request is another conversation, answered by
the stub, and with learning on each is kept, embedded and stored while the next
ones are served.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from tests.benchmarks import gateways
from tests.benchmarks.load import Load, wrk
from tests.benchmarks.stub_upstream import MODEL

_CONNECTIONS = (1, 16)
_WAITS = (0, 20)
_PATH = "/v1/chat/completions"
_BODY: dict[str, object] = {
    "model": MODEL,
    "messages": [
        {"role": "user", "content": "What is a flake?"},
        {"role": "assistant", "content": "A flake is a Nix project with pinned inputs."},
        {"role": "user", "content": "And how do I update its inputs? (@@)"},
    ],
}


@dataclass
class _Runs:
    """What was measured of one way of running: loads by connections, and what was kept."""

    loads: dict[int, list[Load]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Processor time of the gateway for one request, ms, what goes on beside it included."""
    kept: float = 0.0
    lost: float = 0.0


def run(console: Console, stub: str, state: Path, *, rounds: int, seconds: int) -> None:
    """Print one table an upstream's wait: on, off, and the ratio of the medians."""
    for wait in _WAITS:
        runs = {True: _Runs(), False: _Runs()}
        for number in range(rounds):
            # On before off and off before on by turns.
            for learning in (True, False) if number % 2 == 0 else (False, True):
                what = "on" if learning else "off"
                console.print(f"  upstream of {wait} ms, learning {what}", style="dim")
                _measure(stub, wait, state, runs[learning], seconds, learning=learning)
        console.print(_table(wait, runs[True], runs[False]))
        on = runs[True]
        console.print(
            f"interactions kept {on.kept:,.0f}, not kept because the outbox was full or the "
            f"service too busy {on.lost:,.0f}"
        )


def _measure(
    stub: str, wait: int, state: Path, into: _Runs, seconds: int, *, learning: bool
) -> None:
    folder = Path(tempfile.mkdtemp(dir=state))
    with gateways.ours(stub, wait, folder, learning={"enable": learning}) as gateway:
        url = gateway.url + _PATH
        wrk(url, _BODY, connections=8, seconds=2)  # warm
        for connections in _CONNECTIONS:
            before = _cpu_ms(gateway.pid)
            load = wrk(url, _BODY, connections=connections, seconds=seconds)
            into.loads[connections].append(load)
            served = max(load.rate * seconds, 1.0)
            into.cpu[connections].append((_cpu_ms(gateway.pid) - before) / served)
        counted = _counters(gateway.url)
        into.kept += counted["hybrid_interactions_total"]
        into.lost += counted["hybrid_interactions_lost_total"]


def _cpu_ms(pid: int) -> float:
    """Processor time that a process has used, all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _counters(url: str) -> dict[str, float]:
    """The gateway's counters, their labels summed up."""
    totals: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=10).text):
        for sample in family.samples:
            totals[sample.name] += sample.value
    return totals


def _table(wait: int, on: _Runs, off: _Runs) -> Table:
    table = Table(title=f"learning, upstream of {wait} ms (medians of {len(on.loads[1])} runs)")
    for column in ("connections", "what", "learning on", "off", "on / off", "failed"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for connections in _CONNECTIONS:
        with_it, without = on.loads[connections], off.loads[connections]
        failed = sum(load.failures for load in (*with_it, *without))
        rows: tuple[tuple[str, Iterable[float], Iterable[float]], ...] = (
            ("requests/s", (x.rate for x in with_it), (x.rate for x in without)),
            ("p50, ms", (x.p50 for x in with_it), (x.p50 for x in without)),
            ("p99, ms", (x.p99 for x in with_it), (x.p99 for x in without)),
            ("CPU a request, ms", on.cpu[connections], off.cpu[connections]),
        )
        for number, (what, one, other) in enumerate(rows):
            a, b = statistics.median(one), statistics.median(other)
            table.add_row(
                f"{connections}" if number == 0 else "",
                what,
                f"{a:,.2f}",
                f"{b:,.2f}",
                f"×{a / b:.2f}" if b else "",
                f"{failed}" if number == 0 else "",
            )
    return table


def main() -> int:
    """Start the stub and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter measurements")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder, gateways.upstream() as stub:
        rounds, seconds = (1, 2) if quick else (4, 5)
        run(Console(highlight=False), stub, Path(folder), rounds=rounds, seconds=seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
