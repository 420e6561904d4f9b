"""A process that fills and empties an outbox until it is killed, and says what it was promised.

``python -m tests.unit.learning.outbox_child FILE FOLDER``. Each line on stdout is
written after the outbox has acknowledged: ``i ID`` an interaction, ``o ID
OUTCOME`` an outcome. Delivers into a ``FolderSink`` all the while.
"""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from pathlib import Path

from hybrid_coordinator.errors import OutboxFull
from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.delivery import Deliverer
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.records import PostedOutcome
from hybrid_coordinator.learning_settings import OutboxSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.outbox_parts import ALICE, FAILURE, SUCCESS, FolderSink, tracked

CLIENTS = 16


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def client(box: Outbox) -> None:
    while True:
        one = tracked(query=f"question {uuid.uuid4()}")
        try:
            await box.accept_interaction(one)
            say(f"i {one.id} {one.item.query}")
            for posted in (SUCCESS, PostedOutcome(FAILURE.outcome, replace=True)):
                receipt = await box.accept_outcome(one.id, ALICE, posted)
                say(f"o {one.id} {receipt.outcome.value}")
        except OutboxFull:
            await asyncio.sleep(0.01)


async def main(file: Path, folder: Path) -> None:
    # Small, so that the kill also meets a full one.
    settings = OutboxSettings(max_records=500)
    metrics = Metrics()
    box = Outbox(file, settings, metrics)
    await box.start()
    say("ready")
    deliverer = Deliverer(box, FolderSink(folder), settings, metrics, Activity())
    async with asyncio.TaskGroup() as group:
        group.create_task(deliverer.run())
        for _ in range(CLIENTS):
            group.create_task(client(box))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
