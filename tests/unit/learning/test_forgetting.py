"""What was forgotten is nowhere."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.conversation import LOOPBACK_CALLER, Caller
from hybrid_coordinator.errors import NotFound
from hybrid_coordinator.knowledge import NewItem
from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.learning.forgetting_notes import Notes
from tests.unit.knowledge.conftest import needs_edge
from tests.unit.learning.forgetting_place import (
    ANNA,
    BEN,
    HISTORY,
    ID,
    MARKER,
    SIZE,
    Rooms,
    StubEmbedder,
    accesses,
    assert_gone,
    files_with,
    opened,
    rooms_in,
    use_everywhere,
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory, in memory where that is possible: every room syncs a lot."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="hybrid-ai-test-") as made:
        yield Path(made)


@pytest.fixture
async def rooms(state: Path) -> AsyncIterator[Rooms]:
    async with rooms_in(state) as made:
        yield made


async def test_everything_of_an_interaction_goes_and_is_counted_by_place(rooms: Rooms) -> None:
    used = await use_everywhere(rooms)
    assert await accesses(rooms, used) == 2
    forgotten = await rooms.forgetting.forget(ID.upper(), ANNA)
    assert forgotten.interaction_id == ID
    removed = dict(forgotten.removed)
    assert removed.pop("outbox") >= 2
    assert removed == {
        "cache": 1,
        "interaction-history": 2,
        "queue": 1,
        "patterns": 1,
        "evidence": 1,
        "dataset": 6,
        "telemetry": 1,
    }
    await assert_gone(rooms, used)
    assert rooms.counted("asked") == 1


async def emptied(log: Path) -> None:
    """Wait until a log of SQLite was written into its file, as it is when nobody writes."""
    async with asyncio.timeout(10):
        while log.stat().st_size:
            await asyncio.sleep(0.05)


@needs_edge
async def test_no_file_of_the_state_directory_has_its_text_any_more(state: Path) -> None:
    """Every byte, also those of logs and free pages."""
    store = EdgeStore(state / "knowledge", SIZE, StubEmbedder.name)
    async with opened(state, store) as rooms:
        used = await use_everywhere(rooms)
        # Delivered at once, and also something that never was.
        undelivered = str(uuid.UUID(int=3))
        await rooms.accept(undelivered, query=f"{MARKER} undelivered")
        places = {name.split("/")[0] for name in files_with(state, MARKER)}
        assert places >= {"fine-tuning", "knowledge", "telemetry"}
        assert any(place.startswith("outbox") for place in places)
        await rooms.forgetting.forget(undelivered, ANNA)
        await rooms.forgetting.forget(ID, ANNA)
        await rooms.forgetting.finish()
        await assert_gone(rooms, used)
        await emptied(state / "outbox.sqlite-wal")
        assert files_with(state, MARKER) == []
        assert Notes(state / "forgetting").purges() == frozenset()
    assert files_with(state, MARKER) == []


@pytest.mark.parametrize(
    ("interaction_id", "caller"),
    [
        (str(uuid.UUID(int=77)), ANNA),
        (str(uuid.UUID(int=77)), LOOPBACK_CALLER),
        ("no id at all", ANNA),
        (ID, BEN),
        (ID, Caller(id="", name="")),
    ],
)
async def test_what_is_unknown_or_anothers_is_not_found_and_stays(
    interaction_id: str, caller: Caller, rooms: Rooms
) -> None:
    """Lesson 25: never "done" for what was not there."""
    await rooms.accept(ID)
    await rooms.deliver()
    with pytest.raises(NotFound):
        await rooms.forgetting.forget(interaction_id, caller)
    assert await rooms.stored(ID)
    assert await rooms.outbox.known(ID) is not None


async def test_an_operator_may_forget_anybodys(rooms: Rooms) -> None:
    await rooms.accept(ID)
    await rooms.deliver()
    await rooms.forgetting.forget(ID, LOOPBACK_CALLER)
    assert not await rooms.stored(ID)


async def test_one_that_only_the_store_knows_is_forgotten_by_its_owner_only(rooms: Rooms) -> None:
    await rooms.knowledge.add(HISTORY, [NewItem({"query": "old"}, id=ID)], "anna")
    with pytest.raises(NotFound):
        await rooms.forgetting.forget(ID, BEN)
    await rooms.forgetting.forget(ID, ANNA)
    assert not await rooms.stored(ID)


async def test_a_second_time_there_is_nothing_to_forget(rooms: Rooms) -> None:
    await rooms.accept(ID)
    await rooms.forgetting.forget(ID, ANNA)
    with pytest.raises(NotFound):
        await rooms.forgetting.forget(ID, ANNA)
    assert rooms.counted("asked") == 1


async def test_a_late_delivery_cannot_bring_it_back(rooms: Rooms) -> None:
    """Neither one that was waiting, nor one under way, nor a report that comes again."""
    await rooms.accept(ID)
    started, allowed = asyncio.Event(), asyncio.Event()
    real = rooms.knowledge.add

    async def slowly(*args: Any, **more: Any) -> Any:
        started.set()
        await allowed.wait()
        return await real(*args, **more)

    rooms.knowledge.add = slowly  # type: ignore[method-assign]
    delivery = asyncio.create_task(rooms.deliver())
    await started.wait()
    forgetting = asyncio.create_task(rooms.forgetting.forget(ID, ANNA))
    await asyncio.sleep(0)
    allowed.set()
    await forgetting
    await delivery
    with pytest.raises(NotFound):
        await rooms.accept(ID)
    await rooms.deliver()
    assert not await rooms.stored(ID)
