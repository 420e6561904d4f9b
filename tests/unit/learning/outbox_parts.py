"""What the tests of the outbox and of delivering share."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import Outcome, PostedOutcome, Tracked
from hybrid_coordinator.learning_settings import OutboxSettings
from hybrid_coordinator.telemetry.metrics import Metrics

ALICE = Caller(id="alice", name="Alice")
BOB = Caller(id="bob", name="Bob")
SUCCESS = PostedOutcome(Outcome.SUCCESS)
FAILURE = PostedOutcome(Outcome.FAILURE)


class Clock:
    """A clock that goes where it is told to, also backwards."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def tracked(
    id_: str | None = None, *, caller: str = "alice", query: str = "q", response: str = "r"
) -> Tracked:
    item = InteractionHistory(query=query, response=response, timestamp=1_000_000.0)
    return Tracked(id_ or str(uuid.uuid4()), caller, item)


@asynccontextmanager
async def outbox(
    path: Path,
    *,
    metrics: Metrics | None = None,
    now: Clock | None = None,
    clock: Clock | None = None,
    boot: str = "this one",
    max_records: int = 100_000,
    max_bytes: int = 64 * 1024 * 1024,
) -> AsyncIterator[Outbox]:
    settings = OutboxSettings(max_records=max_records, max_bytes=max_bytes)
    opened = Outbox(
        path,
        settings,
        metrics or Metrics(),
        now=now or Clock(),
        clock=clock or Clock(),
        boot=lambda: boot,
    )
    await opened.start()
    try:
        yield opened
    finally:
        await opened.aclose()


async def fill(box: Outbox, size: int, accepted: list[str] | None = None) -> None:
    """Put in interactions with answers of a size until the outbox refuses one."""
    while True:
        one = tracked(response="x" * size)
        await box.accept_interaction(one)
        if accepted is not None:
            accepted.append(one.id)


class FolderSink:
    """Keeps each interaction as a file and each outcome as another: the same again is no change.

    A settle without the interaction before it is an error, so order is checked on the way.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def store(self, interactions: Sequence[Tracked]) -> None:
        for each in interactions:
            self._write(f"{each.id}.item", each.item.query)

    async def settle(self, interaction_id: str, caller: str, state: OutcomeState) -> None:
        if not (self.folder / f"{interaction_id}.item").exists():
            raise AssertionError("an outcome came before its interaction")
        self._write(f"{interaction_id}.outcome", state.effective().outcome.value)

    def items(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in self.folder.glob("*.item")}

    def outcomes(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in self.folder.glob("*.outcome")}

    def _write(self, name: str, text: str) -> None:
        # As a store does it: either the old or the new is there, whenever the process ends.
        temporary = self.folder / f".{name}"
        temporary.write_text(text)
        temporary.replace(self.folder / name)
