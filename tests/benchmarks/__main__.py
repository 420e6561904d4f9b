"""``make bench``: this gateway beside LiteLLM and Portkey, and its own steps, in one run.

Every figure is a ratio or a difference to something measured in the same run on
the same machine; nothing here passes or fails. ``--quick`` shortens each
measurement for a first look.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import augmentation, gateways, learning_cost, learning_retrieval
from tests.benchmarks.load import Load, first_token_ms, latencies_ms, wrk
from tests.benchmarks.stub_upstream import MODEL

CONNECTIONS = (1, 16, 64)
PATH = "/v1/chat/completions"

# A conversation, new in each request: the exact tier is asked and written, the
# semantic tier and with it the embedder do not apply.
CONVERSATION: dict[str, object] = {
    "model": MODEL,
    "messages": [
        {"role": "user", "content": "What is a flake?"},
        {"role": "assistant", "content": "A flake is a Nix project with pinned inputs."},
        {"role": "user", "content": "And how do I update its inputs? (@@)"},
    ],
}
QUESTION: dict[str, object] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "How do I update the inputs of flake @@?"}],
}
REPEATED: dict[str, object] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is NixOS?"}],
}
PARAPHRASES = (
    "What exactly is NixOS?",
    "what's nixos",
    "Can you tell me what NixOS is?",
    "what is NixOS ?",
)

Starter = Callable[[], AbstractContextManager[gateways.Running]]
console = Console(width=132)


@dataclass(frozen=True, slots=True)
class Row:
    """What one gateway reached: loads by number of connections, first token, memory."""

    name: str
    loads: dict[int, Load]
    first_token: float
    memory: float


def measure(name: str, start: Starter, body: dict[str, object], seconds: int) -> Row:
    """Start a gateway, load it, and end it."""
    with start() as gateway:
        url = gateway.url + PATH
        wrk(url, body, connections=8, seconds=2, headers=gateway.headers)  # warm
        token = first_token_ms(url, body, runs=10 * seconds, headers=gateway.headers)
        loads = {}
        for connections in CONNECTIONS:
            console.print(f"  {name}, {connections} connections", style="dim")
            loads[connections] = wrk(
                url, body, connections=connections, seconds=seconds, headers=gateway.headers
            )
        return Row(name, loads, token, gateway.memory_mib())


def direct(stub: str, wait: int, seconds: int) -> Row:
    """The stub without any gateway."""
    url = f"{stub}/{wait}{PATH}"
    loads = {c: wrk(url, CONVERSATION, connections=c, seconds=seconds) for c in CONNECTIONS}
    return Row("no gateway", loads, first_token_ms(url, CONVERSATION, runs=10 * seconds), 0.0)


def table(title: str, base: Row, rows: list[Row]) -> Table:
    """One table: our figures plain, others with their ratio to ours."""
    mine = rows[0]
    out = Table(title=title)
    out.add_column("gateway")
    for connections in CONNECTIONS:
        out.add_column(f"req/s, {connections} conn.", justify="right")
    out.add_column("added p50, 1 conn.", justify="right")
    out.add_column("added p99, 1 conn.", justify="right")
    out.add_column("added first token", justify="right")
    out.add_column("memory", justify="right")
    for row in [*rows, base]:
        cells = [row.name]
        for c in CONNECTIONS:
            load = row.loads[c]
            failed = f" ({load.failures} failed)" if load.failures else ""
            cells.append(f"{load.rate:,.0f}{_ratio(load.rate, mine.loads[c].rate)}{failed}")
        if row is base:
            cells += [f"(p50 {base.loads[1].p50:.2f} ms)", f"(p99 {base.loads[1].p99:.2f} ms)"]
            cells += [f"({base.first_token:.2f} ms)", ""]
        else:
            ours, nothing = _latencies(mine), _latencies(base)
            for value, our, none in zip(_latencies(row), ours, nothing, strict=True):
                cells.append(f"{value - none:.2f} ms{_ratio(value - none, our - none)}")
            cells.append(f"{row.memory:.0f} MiB{_ratio(row.memory, mine.memory)}")
        out.add_row(*cells)
    return out


def _latencies(row: Row) -> tuple[float, float, float]:
    return row.loads[1].p50, row.loads[1].p99, row.first_token


def _ratio(value: float, mine: float) -> str:
    return "" if value == mine or mine <= 0 else f" (×{value / mine:.2f})"


def cache_hits(start: Starter, runs: int) -> Table:
    """Latency of exact and semantic hits, one request after the other."""
    out = Table(title="cache hits, one connection")
    for column in ("what", "p50", "p99", "hits"):
        out.add_column(column, justify="left" if column == "what" else "right")
    with start() as gateway:
        url = gateway.url + PATH
        latencies_ms(url, [REPEATED])
        paraphrases = [
            {
                **REPEATED,
                "messages": [{"role": "user", "content": PARAPHRASES[n % 4] + " " * (n // 4)}],
            }
            for n in range(runs)
        ]
        for what, bodies in (("exact", [REPEATED] * runs), ("semantic", paraphrases)):
            times, caches = latencies_ms(url, bodies)
            hits = sum(cache == what for cache in caches)
            out.add_row(what, *_percentiles(times), f"{hits}/{runs}")
    return out


def _percentiles(times: list[float]) -> tuple[str, str]:
    cut = statistics.quantiles(times, n=100)
    return f"{statistics.median(times):.2f} ms", f"{cut[98]:.2f} ms"


def main() -> None:
    """Run every measurement and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter measurements")
    parser.add_argument("--only-ours", action="store_true", help="no other gateway")
    options = parser.parse_args()
    seconds = 2 if options.quick else 8
    console.print(f"machine: {_machine()}")
    with tempfile.TemporaryDirectory() as folder, gateways.upstream() as stub:
        state = Path(folder)
        for wait in (0, 20):
            console.print(f"upstream that answers after {wait} ms", style="bold")
            base = direct(stub, wait, seconds)
            ours = partial(gateways.ours, stub, wait, _fresh(state))
            rows = [
                measure("this gateway", ours, CONVERSATION, seconds),
                measure("… every question new", ours, QUESTION, seconds),
                measure("… the same question", ours, REPEATED, seconds),
            ]
            if not options.only_ours:
                rows += [
                    measure(n, partial(start, stub, wait, state), CONVERSATION, seconds)
                    for n, start in (("LiteLLM", gateways.litellm), ("Portkey", gateways.portkey))
                ]
            console.print(table(f"upstream of {wait} ms", base, rows))
        console.print(cache_hits(partial(gateways.ours, stub, 0, _fresh(state)), 100 * seconds))
        augmentation.run(console, state, sizes=(1_000,) if options.quick else (10_000, 100_000))
        rounds, run_seconds = (1, 2) if options.quick else (4, 5)
        learning_cost.run(console, stub, state, rounds=rounds, seconds=run_seconds)
    learning_retrieval.run(console)


def _fresh(state: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=state))


def _machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    cores = sum(line.startswith("processor") for line in open("/proc/cpuinfo"))  # noqa: PTH123, SIM115
    return f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
