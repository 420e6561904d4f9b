"""The embedded engine's own promises: generations, optimising, one owner."""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.knowledge import edge as edge_module
from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.edge_files import copy_with_holes, read_current
from hybrid_coordinator.knowledge.store import Filter, Point, SparseVector
from hybrid_coordinator.settings import Collection
from tests.unit.knowledge.conftest import EMBEDDER, SIZE, needs_edge, point, unit

pytestmark = needs_edge
SKILLS = Collection.SKILLS_PATTERNS


def generations(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / SKILLS).iterdir() if p.name.startswith("generation-"))


def many(count: int) -> list[Point]:
    random = np.random.default_rng(3)
    return [point(n, unit(*random.normal(size=SIZE)), {n % 50: 1.0}) for n in range(count)]


async def test_optimising_keeps_every_point_and_what_was_written_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EdgeStore(folder, SIZE, EMBEDDER)
    await store.init()
    await store.upsert(SKILLS, many(300))
    real = edge_module._optimise_elsewhere

    async def write_meanwhile(copy: Path, *how: str) -> None:
        await store.upsert(SKILLS, [point(1000, unit(1)), point(5, unit(1), skill_name="changed")])
        await store.delete(SKILLS, Filter(ids=(str(uuid.UUID(int=7)),)))
        await real(copy, *how)

    monkeypatch.setattr(edge_module, "_optimise_elsewhere", write_meanwhile)
    assert await store.optimise(SKILLS)
    assert generations(folder) == ["generation-000002"]
    assert await store.count(SKILLS) == 300
    assert len(await store.get(SKILLS, [str(uuid.UUID(int=n)) for n in (7, 1000)])) == 1
    (changed,) = await store.get(SKILLS, [str(uuid.UUID(int=5))])
    assert changed.payload["skill_name"] == "changed"
    hits = await store.query(SKILLS, unit(1), SparseVector((3,), (1.0,)), 5)
    assert len(hits) >= 5
    await store.aclose()
    again = EdgeStore(folder, SIZE, EMBEDDER)
    await again.init()
    assert await again.count(SKILLS) == 300
    await again.aclose()


async def test_an_optimiser_that_fails_leaves_everything_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EdgeStore(folder, SIZE, EMBEDDER)
    await store.init()
    await store.upsert(SKILLS, many(20))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StoreUnavailable, match="status 1"):
        await store.optimise(SKILLS)
    assert generations(folder) == ["generation-000001"]
    await store.upsert(SKILLS, [point(99, unit(1))])
    assert await store.count(SKILLS) == 21
    await store.aclose()


async def test_closing_in_the_middle_of_optimising_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EdgeStore(folder, SIZE, EMBEDDER, flush_seconds=0.0)
    started = asyncio.Event()

    async def never_ends(copy: Path, *how: str) -> None:
        started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(edge_module, "_optimise_elsewhere", never_ends)
    await store.init()
    await store.upsert(SKILLS, many(4100))
    await started.wait()
    await store.aclose()
    assert generations(folder) == ["generation-000001"]
    again = EdgeStore(folder, SIZE, EMBEDDER)
    await again.init()
    assert await again.count(SKILLS) == 4100
    await again.aclose()


async def test_what_a_crash_left_behind_is_removed(folder: Path) -> None:
    store = EdgeStore(folder, SIZE, EMBEDDER)
    await store.init()
    await store.upsert(SKILLS, many(3))
    await store.aclose()
    (folder / SKILLS / "generation-000002").mkdir()
    (folder / SKILLS / ".current-abc").touch()
    await (again := EdgeStore(folder, SIZE, EMBEDDER)).init()
    assert await again.count(SKILLS) == 3
    assert generations(folder) == ["generation-000001"]
    assert not (folder / SKILLS / ".current-abc").exists()
    await again.aclose()


async def test_a_first_start_that_was_killed_before_its_marker_starts_again(folder: Path) -> None:
    broken = folder / SKILLS / "generation-000001"
    broken.mkdir(parents=True)
    (broken / "half").write_text("written")
    store = EdgeStore(folder, SIZE, EMBEDDER)
    await store.init()
    await store.upsert(SKILLS, many(2))
    assert await store.count(SKILLS) == 2
    current = read_current(folder / SKILLS)
    assert current is not None
    assert (current.generation, current.size, current.embedder) == (1, SIZE, EMBEDDER)
    await store.aclose()


async def test_a_second_owner_is_told_who_has_the_folder_open(folder: Path) -> None:
    store = EdgeStore(folder, SIZE, EMBEDDER)
    await store.init()
    second = EdgeStore(folder, SIZE, EMBEDDER)
    with pytest.raises(StoreUnavailable, match="another process has"):
        await second.init()
    await second.aclose()
    await store.aclose()


def test_a_copy_keeps_its_holes_and_its_bytes(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(5 << 20)
        file.write(b"needle")
    (source / "empty").touch()
    (source / "full").write_bytes(b"x" * 3_000_000)
    copy_with_holes(source, tmp_path / "b")
    for name in ("sparse", "empty", "full"):
        assert (tmp_path / "b" / name).read_bytes() == (source / name).read_bytes()
    assert (tmp_path / "b" / "sparse").stat().st_blocks * 512 < 1 << 20


def files_with(folder: Path, text: bytes) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and text in p.read_bytes()]


async def test_after_a_purge_no_file_has_what_was_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine itself keeps it, in the segment and in the log, for an unknown time."""
    store = EdgeStore(folder, SIZE, EMBEDDER)
    await store.init()
    await store.upsert(SKILLS, many(300))
    gone = point(999, unit(1), {7: 1.0}, skill_name="Xyzzy-marker")
    await store.upsert(SKILLS, [gone])
    await store.set_payload(
        SKILLS, [str(uuid.UUID(int=4))], {"skill_name": "amended", "learned": True}
    )
    await store.delete(SKILLS, Filter(ids=(gone.id,)))
    assert files_with(folder, b"Xyzzy-marker")
    real = edge_module._optimise_elsewhere

    async def write_meanwhile(copy: Path, *how: str) -> None:
        await store.upsert(SKILLS, [point(3, unit(1), skill_name="meanwhile")])
        await real(copy, *how)

    monkeypatch.setattr(edge_module, "_optimise_elsewhere", write_meanwhile)
    before = {p.id: p for p in (await store.scroll(SKILLS, limit=1000, with_vectors=True)).points}
    assert await store.purge(SKILLS)
    assert not files_with(folder, b"Xyzzy-marker")
    # Everything else is as it was, and can still be changed: also after a restart.
    await store.set_payload(SKILLS, [str(uuid.UUID(int=5))], {"skill_name": "after"})
    await store.aclose()
    store = EdgeStore(folder, SIZE, EMBEDDER)
    await store.init()
    after = {p.id: p for p in (await store.scroll(SKILLS, limit=1000, with_vectors=True)).points}
    assert after.keys() == before.keys()
    changed = {str(uuid.UUID(int=n)): name for n, name in ((3, "meanwhile"), (5, "after"))}
    for id_, found in after.items():
        if id_ in changed:
            assert found.payload["skill_name"] == changed[id_]
        else:
            assert found.payload == before[id_].payload
        if id_ != str(uuid.UUID(int=3)):
            assert found.dense == pytest.approx(before[id_].dense, abs=1e-6)
    assert after[str(uuid.UUID(int=4))].payload["learned"] is True
    hits = await store.query(SKILLS, unit(0, 1), SparseVector((9,), (1.0,)), 5)
    assert any(hit.sparse_rank == 1 for hit in hits), "words are found as before"
    await store.aclose()
