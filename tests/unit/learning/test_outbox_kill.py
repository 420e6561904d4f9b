"""kill -9 of a process that uses the outbox: what it acknowledged is there, once, in order."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.delivery import Deliverer
from hybrid_coordinator.learning_settings import OutboxSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.outbox_parts import FolderSink, outbox

KILLS = 6


def killed_after(seconds: float, file: Path, folder: Path) -> list[str]:
    """What a child said before it was killed so long after its start."""
    command = [sys.executable, "-m", "tests.unit.learning.outbox_child", str(file), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        said = child.stdout.read().decode().splitlines(keepends=True)
        timer.join()
    assert child.returncode == -9, "it ended by itself"
    # The last line may be cut in the middle by the kill.
    return [line.rstrip("\n") for line in said if line.endswith("\n")]


async def test_nothing_acknowledged_is_lost_or_doubled_by_kills_at_random_moments(
    tmp_path: Path,
) -> None:
    chance = random.Random(4)
    file, sink = tmp_path / "outbox.sqlite", FolderSink(tmp_path / "sink")
    interactions: dict[str, str] = {}
    outcomes: dict[str, str] = {}
    for _ in range(KILLS):
        for line in killed_after(chance.uniform(0.05, 0.6), file, sink.folder):
            kind, id_, rest = line.split(" ", 2)
            (interactions if kind == "i" else outcomes)[id_] = rest
        async with outbox(file) as box:
            waiting = await box.pending(10_000)
            assert len(waiting) == box.depth
            stored = [r.interaction_id for r in waiting if r.kind == "interaction"]
            assert len(stored) == len(set(stored)), "doubled"
            assert interactions.keys() <= {*stored, *sink.items()}, "lost"
            assert box.totals.dead == 0

    assert len(interactions) > 50
    assert len(outcomes) > 50
    settings, metrics = OutboxSettings(), Metrics()
    async with outbox(file) as box:
        for id_, outcome in outcomes.items():
            known = await box.known(id_)
            # One more post may have been kept whose acknowledgement the kill cut off.
            assert known is not None
            assert known.outcome in ({outcome, "failure"})
        await Deliverer(box, sink, settings, metrics, Activity()).flush(30)
        assert box.depth == 0
    assert interactions.items() <= sink.items().items()
    settled = sink.outcomes()
    assert all(settled[id_] in {outcome, "failure"} for id_, outcome in outcomes.items())
