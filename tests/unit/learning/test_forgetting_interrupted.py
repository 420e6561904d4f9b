"""Forgetting that was interrupted goes on, and what is too old goes by itself."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.errors import NotFound, StoreUnavailable
from hybrid_coordinator.knowledge import NewItem
from hybrid_coordinator.learning.forgetting_notes import Note, Notes
from tests.unit.learning.forgetting_place import (
    ANNA,
    BEN,
    CHILD,
    HISTORY,
    ID,
    NOW,
    OTHER,
    SKILLS,
    Rooms,
    accesses,
    assert_gone,
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


async def test_with_the_store_away_it_is_noted_and_done_when_it_is_back(rooms: Rooms) -> None:
    used = await use_everywhere(rooms)

    class Away:
        async def opened(self) -> Any:
            raise StoreUnavailable("The knowledge store does not answer.")

    with pytest.raises(StoreUnavailable, match="noted") as told:
        await rooms.remade(knowledge=Away()).forget(ID, ANNA)
    assert told.value.retry_after is not None
    assert await rooms.outbox.forgotten(ID), "from now on it is refused"
    assert await rooms.stored(ID)
    with pytest.raises(NotFound):
        await rooms.forgetting.forget(ID, BEN)
    assert await rooms.remade().finish() == 1
    await assert_gone(rooms, used)


async def test_asking_again_goes_on_where_it_was_left(rooms: Rooms) -> None:
    used = await use_everywhere(rooms)

    class Failing:
        async def without(self, *ids: str) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(StoreUnavailable, match="No space left"):
        await rooms.remade(dataset=Failing()).forget(ID, ANNA)
    forgotten = await rooms.forgetting.forget(ID, ANNA)
    assert forgotten.removed["dataset"] == 6
    await assert_gone(rooms, used)


class Killed(Exception):
    """The process ends here."""


class Fuse:
    """Lets so many calls of the parts through, then ends the process before the next."""

    def __init__(self, left: int) -> None:
        self.left = left

    def burn(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def around(self, part: Any) -> Any:
        fuse = self

        class Around:
            def __getattr__(self, name: str) -> Any:
                real = getattr(part, name)
                if name == "paused":
                    return real
                if name == "erase":

                    def blocking(*args: Any) -> Any:
                        fuse.burn()
                        return real(*args)

                    return blocking

                async def call(*args: Any, **more: Any) -> Any:
                    fuse.burn()
                    return await real(*args, **more)

                return call

        return Around()


async def test_a_kill_between_any_two_steps_leaves_nothing_for_good(state: Path) -> None:
    for step in itertools.count(0):
        async with rooms_in(state / str(step)) as rooms:
            used = await use_everywhere(rooms)
            fuse = Fuse(step)
            broken = rooms.remade(**{name: fuse.around(part) for name, part in rooms.parts.items()})
            try:
                await broken.forget(ID, ANNA)
            except Killed:
                begun = bool(Notes(rooms.state / "forgetting").all())
                again = rooms.remade()
                assert await again.finish() == begun
                if not begun:
                    await again.forget(ID, ANNA)
                await assert_gone(rooms, used)
                assert await again.finish() == 0
                continue
            await assert_gone(rooms, used)
            break
    assert step > 15


async def test_finishing_goes_on_by_itself_and_failures_are_counted_once_told(
    rooms: Rooms, caplog: pytest.LogCaptureFixture
) -> None:
    """Lesson 7: a failure is neither swallowed nor repeated in the log."""
    await rooms.accept(ID)
    await rooms.deliver()

    tried: asyncio.Queue[int] = asyncio.Queue()

    class Flaky:
        calls = 0

        async def without(self, *ids: str) -> int:
            self.calls += 1
            tried.put_nowait(self.calls)
            if self.calls < 4:
                raise StoreUnavailable("The disk is full.")
            return 0

    forgetting = rooms.remade(dataset=Flaky(), pause=0.0)
    with pytest.raises(StoreUnavailable):
        await forgetting.forget(ID, ANNA)
    running = asyncio.create_task(forgetting.run())
    while await tried.get() < 4:
        forgetting.wake()
    while Notes(rooms.state / "forgetting").purges():
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    told = [r for r in caplog.records if "to be forgotten is not gone yet" in r.getMessage()]
    assert len(told) == 1
    failures = rooms.metrics.registry.get_sample_value(
        "hybrid_failures_total", {"room": "learning", "kind": "StoreUnavailable"}
    )
    assert failures == 2
    assert rooms.counted("asked") == 1
    assert Notes(rooms.state / "forgetting").all() == []


# By age.


async def test_what_is_too_old_is_forgotten_with_its_rejected_answers(rooms: Rooms) -> None:
    used = await use_everywhere(rooms)
    for number in range(10, 16):
        await rooms.accept(
            str(uuid.UUID(int=number)), caller=f"caller-{number % 3}", timestamp=NOW - 1e3
        )
    await rooms.accept(
        str(uuid.uuid5(uuid.UUID(int=10), "rejected:0")),
        caller="caller-1",
        parent=str(uuid.UUID(int=10)),
    )
    await rooms.deliver()
    assert await rooms.forgetting.expire(NOW - 1000.0) == 0
    assert await rooms.forgetting.expire(NOW - 500.0) == 6
    assert rooms.counted("age") == 6
    store = await rooms.knowledge.opened()
    assert {point.id for point in (await store.scroll(HISTORY)).points} == {ID, OTHER, CHILD}
    assert await accesses(rooms, used) == 2
    assert await rooms.forgetting.expire(NOW - 500.0) == 0


async def test_one_run_forgets_so_many_at_most_and_the_next_goes_on(rooms: Rooms) -> None:
    items = [
        NewItem({"query": f"q{n}", "timestamp": 5.0 + n}, id=str(uuid.UUID(int=n)))
        for n in range(300)
    ]
    await rooms.knowledge.add(HISTORY, items, "anna")
    assert await rooms.forgetting.expire(10_000.0, limit=200) == 200
    assert await rooms.forgetting.expire(10_000.0, limit=200) == 100
    assert await (await rooms.knowledge.opened()).count(HISTORY) == 0


async def test_without_a_time_it_counts_from_when_it_was_stored(rooms: Rooms) -> None:
    await rooms.knowledge.add(HISTORY, [NewItem({"query": "timeless"}, id=ID)], "anna")
    assert await rooms.forgetting.expire(NOW) == 0
    assert await rooms.forgetting.expire(NOW + 1.0) == 1


async def test_an_expiry_that_was_interrupted_is_finished(rooms: Rooms) -> None:
    used = await use_everywhere(rooms)
    await rooms.knowledge.amend(HISTORY, [ID], {"timestamp": 5.0})
    fuse = Fuse(8)
    broken = rooms.remade(**{name: fuse.around(part) for name, part in rooms.parts.items()})
    with pytest.raises(Killed):
        await broken.expire(10.0)
    (note,) = Notes(rooms.state / "forgetting").all()
    assert (note.cause, note.gathered) == ("age", True)
    await rooms.remade().finish()
    await assert_gone_but_cached(rooms, used)


async def assert_gone_but_cached(rooms: Rooms, used: str) -> None:
    assert rooms.counted("age") == 1
    await assert_gone(rooms, used)


# Notes.


def test_a_note_has_ids_only_and_survives(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    assert notes.all() == []
    assert notes.purges() == frozenset()
    note = Note.model_validate({"cause": "asked", "entries": [{"id": ID, "caller": "anna"}]})
    notes.put(note)
    assert Notes(tmp_path / "notes").find(ID) == (note, note.entries[0])
    assert notes.find(OTHER) is None
    notes.want_purge([HISTORY, SKILLS])
    notes.purged(HISTORY)
    assert Notes(tmp_path / "notes").purges() == {SKILLS}
    notes.purged(SKILLS)
    notes.strike(note)
    notes.strike(note)
    assert list((tmp_path / "notes").iterdir()) == []
