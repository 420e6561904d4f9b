"""The outbox's file: full disks, damage, a second process, other versions."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.learning import outbox_writer
from hybrid_coordinator.learning.outbox import RESERVE, Outbox
from hybrid_coordinator.learning.outbox_schema import MIGRATIONS, free_bytes
from hybrid_coordinator.learning_settings import OutboxSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.outbox_parts import ALICE, SUCCESS, fill, outbox, tracked


async def test_a_full_disk_refuses_keeps_nothing_half_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    async with outbox(tmp_path / "o.sqlite", metrics=metrics) as box:
        # SQLite's own limit gives the very error that a full disk does.
        await box._do(lambda db: db.execute("PRAGMA max_page_count = 60").fetchone())
        accepted: list[str] = []
        with pytest.raises(StoreUnavailable, match="no room on the disk") as caught:
            await fill(box, 20_000, accepted)
        assert (caught.value.status, caught.value.retry_after) == (503, 5.0)
        with pytest.raises(StoreUnavailable):
            await box.accept_interaction(tracked(response="x" * 20_000))
        assert len([r for r in caplog.records if "refuses" in r.message]) == 1
        assert [r.interaction_id for r in await box.pending(100)] == accepted
        assert len(accepted) == box.depth > 3
        failures = metrics.registry.get_sample_value(
            "hybrid_failures_total", {"room": "learning", "kind": "outbox"}
        )
        assert failures == 2
        # What is small may still fit, and what was delivered makes room.
        assert (await box.accept_outcome(accepted[0], ALICE, SUCCESS)).changed
        await box.done([r.seq for r in await box.pending(2)])
        assert await box.accept_interaction(tracked(response="x" * 20_000))


async def test_new_records_leave_the_room_that_letting_go_of_old_ones_takes(
    tmp_path: Path,
) -> None:
    free = 2 * RESERVE
    box = Outbox(tmp_path / "o.sqlite", OutboxSettings(), Metrics(), free=lambda _: free)
    await box.start()
    one = tracked()
    assert await box.accept_interaction(one)
    free = RESERVE - 1
    with pytest.raises(StoreUnavailable, match="no room on the disk"):
        await box.accept_interaction(tracked())
    with pytest.raises(StoreUnavailable, match="no room on the disk"):
        await box.accept_outcome(one.id, ALICE, SUCCESS)
    await box.delivered(await box.pending(10))
    assert box.depth == 0
    await box.aclose()


def test_the_room_on_a_disk_is_what_the_system_says(tmp_path: Path) -> None:
    found = free_bytes(tmp_path)
    assert 0 < found <= shutil.disk_usage(tmp_path).total


async def test_of_those_who_commit_together_only_the_one_that_does_not_fit_is_refused(
    tmp_path: Path,
) -> None:
    async with outbox(tmp_path / "o.sqlite") as box:
        await box._do(lambda db: db.execute("PRAGMA max_page_count = 30").fetchone())
        small, large = [tracked() for _ in range(5)], tracked(response="\x00" * 32_000)
        results = await asyncio.gather(
            *(box.accept_interaction(each) for each in (*small[:2], large, *small[2:])),
            return_exceptions=True,
        )
        assert [r is True for r in results] == [True, True, False, True, True, True]
        assert isinstance(results[2], StoreUnavailable)
        assert box.depth == 5


REFUSED_BY_THE_SYSTEM = """
import asyncio, resource, sys
from pathlib import Path
from hybrid_coordinator.errors import StoreUnavailable
from tests.unit.learning.outbox_parts import outbox, tracked

async def main():
    async with outbox(Path(sys.argv[1])) as box:
        first = tracked()
        await box.accept_interaction(first)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        accepted = 1
        try:
            while True:
                await box.accept_interaction(tracked(response="x" * 20_000))
                accepted += 1
        except StoreUnavailable as error:
            assert error.status == 503, error
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert box.depth == len(await box.pending(1000)) == accepted > 1
        assert await box.accept_interaction(tracked(response="x" * 20_000))
        print(accepted + 1)

asyncio.run(main())
"""


async def test_a_write_that_the_system_refuses_is_survived(tmp_path: Path) -> None:
    file = tmp_path / "o.sqlite"
    command = [sys.executable, "-c", REFUSED_BY_THE_SYSTEM, str(file)]
    child = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    async with outbox(file) as box:
        assert box.depth == int(child.stdout)


async def test_a_damaged_file_is_named_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "o.sqlite"
    async with outbox(file) as box:
        for _ in range(20):
            await box.accept_interaction(tracked(response="x" * 10_000))
    content = bytearray(file.read_bytes())
    content[8192:40_960] = b"\xa5" * (40_960 - 8192)
    file.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="damaged") as caught:
        async with outbox(file):
            pass
    assert str(file) in caught.value.message


async def test_a_file_that_is_no_outbox_is_named_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "o.sqlite"
    file.write_bytes(b"no database at all, but long enough to look like a file of some kind" * 9)
    with pytest.raises(StoreUnavailable, match="damaged") as caught:
        async with outbox(file):
            pass
    assert str(file) in caught.value.message


async def test_a_second_process_is_refused_and_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid_coordinator.learning.outbox_schema._BUSY_SECONDS", 0.05)
    file = tmp_path / "o.sqlite"
    async with outbox(file) as box:
        with pytest.raises(StoreUnavailable, match="in use by another process") as caught:
            async with outbox(file):
                pass
        assert str(file) in caught.value.message
        assert await box.accept_interaction(tracked())
    async with outbox(file) as box:
        assert box.depth == 1


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "o.sqlite"
    async with outbox(file) as box:
        await box.accept_interaction(tracked())
    with sqlite3.connect(file) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    before = file.read_bytes()
    with pytest.raises(StoreUnavailable, match="newer version"):
        async with outbox(file):
            pass
    assert file.read_bytes() == before


async def test_a_migration_that_fails_leaves_the_file_as_it_was_lesson_26(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "o.sqlite"
    kept = tracked()
    async with outbox(file) as box:
        await box.accept_interaction(kept)
    broken = "CREATE TABLE extra (x); INSERT INTO nowhere VALUES (1);"
    schema = "hybrid_coordinator.learning.outbox_schema.MIGRATIONS"
    monkeypatch.setattr(schema, (*MIGRATIONS, broken))
    with pytest.raises(StoreUnavailable, match="nowhere"):
        async with outbox(file):
            pass
    monkeypatch.setattr(schema, (*MIGRATIONS, "CREATE TABLE extra (x);"))
    async with outbox(file) as box:
        assert [r.interaction_id for r in await box.pending(10)] == [kept.id]
        version = await box._do(lambda db: db.execute("PRAGMA user_version").fetchone()[0])
        assert version == len(MIGRATIONS) + 1


async def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    async with outbox(tmp_path / "new" / "o.sqlite") as box:
        await box.accept_interaction(tracked())
        for path in (tmp_path / "new").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


async def test_every_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    async with outbox(tmp_path / "o.sqlite") as box:
        found = await box._do(
            lambda db: [
                db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous")
            ]
        )
        assert found == ["wal", 2]


async def test_the_log_is_emptied_when_there_is_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_writer, "IDLE", 0.05)
    one = tracked(query="secret words")
    async with outbox(tmp_path / "o.sqlite") as box:
        await box.accept_interaction(one)
        log = tmp_path / "o.sqlite-wal"
        await box.forget(one.id)
        async with asyncio.timeout(10):
            while log.stat().st_size:
                await asyncio.sleep(0.02)
        assert b"secret words" not in (tmp_path / "o.sqlite").read_bytes()
        assert await box.accept_interaction(tracked())


async def test_an_outbox_that_is_closed_says_so(tmp_path: Path) -> None:
    async with outbox(tmp_path / "o.sqlite") as box:
        given = [asyncio.create_task(box.accept_interaction(tracked())) for _ in range(20)]
        await asyncio.sleep(0)
        await box.aclose()
        # Whoever was in time is answered, and what was acknowledged is there.
        results = await asyncio.gather(*given, return_exceptions=True)
        with pytest.raises(StoreUnavailable, match="not open"):
            await box.accept_interaction(tracked())
    async with outbox(tmp_path / "o.sqlite") as box:
        assert box.depth == sum(r is True for r in results)
