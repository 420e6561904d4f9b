"""An ingest reads only what changed, removes what left, and survives being killed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hybrid_coordinator.errors import HybridError, InvalidRequest
from hybrid_coordinator.ingest import Ingest, Report
from hybrid_coordinator.ingest.files import find_files, read_text
from hybrid_coordinator.ingest.items import NewItem
from hybrid_coordinator.settings import Collection


class Store:
    """A sink that keeps items, and can be made to die after some calls."""

    target = "test"

    def __init__(self) -> None:
        self.items: dict[str, NewItem] = {}
        self.calls = 0
        self.dies_at: int | None = None

    async def add(self, collection: Collection, items: Sequence[NewItem]) -> None:
        self._call()
        self.items.update({item.id: item for item in items})

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        self._call()
        for id_ in ids:
            self.items.pop(id_, None)

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self.dies_at:
            raise HybridError("killed")

    def snippets(self) -> set[str]:
        return {str(item.payload["code_snippet"]) for item in self.items.values()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").write_text("def a():\n    return 1\n")
    (folder / "b.md").write_text("# B\n\nText of b.\n")
    return folder


async def ingest(root: Path, store: Store) -> Report:
    job = Ingest(root, Collection.CODEBASE_CONTEXT, store, root.parent / "ingest.sqlite")
    return await job.run()


async def test_unchanged_files_are_not_sent_again(root: Path) -> None:
    store = Store()
    first = await ingest(root, store)
    assert (first.added, first.pieces) == (2, 2)
    calls = store.calls
    second = await ingest(root, store)
    assert (second.unchanged, second.pieces, store.calls) == (2, 0, calls)


async def test_changed_files_are_replaced_and_removed_ones_leave(root: Path) -> None:
    store = Store()
    await ingest(root, store)
    (root / "a.py").write_text("def a():\n    return 2\n")
    (root / "b.md").unlink()
    report = await ingest(root, store)
    assert (report.changed, report.removed) == (1, 1)
    assert store.snippets() == {"def a():\n    return 2"}


async def test_another_store_is_filled_from_the_start(root: Path) -> None:
    await ingest(root, Store())
    other = Store()
    other.target = "other"
    assert (await ingest(root, other)).added == 2


async def test_a_run_killed_at_any_call_is_completed_by_the_next(root: Path) -> None:
    for number in range(80):
        (root / f"m{number % 4}.py").write_text(f"def f{number}():\n    return {number}\n")
    for dies_at in range(1, 8):
        store = Store()
        store.target = f"store {dies_at}"
        await ingest(root, store)
        for name in ("a.py", "m1.py", "m2.py"):
            (root / name).write_text(f"def changed_{dies_at}():\n    return {name!r}\n")
        (root / "m3.py").unlink(missing_ok=True)
        store.dies_at = store.calls + dies_at
        try:
            await ingest(root, store)
        except HybridError:
            # And the file that was being stored changes again before the next run.
            (root / "a.py").write_text(f"def again_{dies_at}():\n    return 0\n")
        store.dies_at = None
        await ingest(root, store)
        wanted = {p.read_text().strip() for p in root.iterdir() if p.suffix in (".py", ".md")}
        assert store.snippets() == wanted, f"killed at call {dies_at}"
        (root / "m3.py").write_text("def f3():\n    return 3\n")


def paths(root: Path) -> list[str]:
    return [file.path for file in find_files(root)]


def test_gitignore_counts_at_every_level(root: Path) -> None:
    (root / "sub" / "build").mkdir(parents=True)
    for name in ("x.log", "sub/x.log", "sub/keep.log", "sub/build/out.py", "sub/c.py"):
        (root / name).write_text("text")
    (root / ".gitignore").write_text("*.log\nbuild/\n")
    (root / "sub" / ".gitignore").write_text("!keep.log\n")
    assert paths(root) == [
        ".gitignore",
        "a.py",
        "b.md",
        "sub/.gitignore",
        "sub/c.py",
        "sub/keep.log",
    ]


def test_git_itself_and_its_private_excludes_are_passed_over(root: Path) -> None:
    (root / ".git" / "info").mkdir(parents=True)
    (root / ".git" / "config").write_text("x")
    (root / ".git" / "info" / "exclude").write_text("b.md\n")
    assert paths(root) == ["a.py"]


def test_links_are_not_followed(root: Path) -> None:
    (root / "c.py").symlink_to("/etc/passwd")
    (root / "up").symlink_to("..")
    assert paths(root) == ["a.py", "b.md"]


def test_what_no_person_reads_is_no_text(root: Path) -> None:
    cases = {
        "binary.py": b"\0\1\2",
        "latin.py": b"caf\xe9",
        "minified.js": b"x" * 5000,
        "large.py": b"x = 1\n" * 200_000,
        "package-lock.json": b"{}\n",
    }
    for name, data in cases.items():
        (root / name).write_bytes(data)
        assert read_text(root / name) is None, name
    assert read_text(root / "a.py") == "def a():\n    return 1\n"
    assert read_text(root / "absent.py") is None


def test_a_folder_that_is_not_there_and_a_collection_that_takes_none_are_refused(
    root: Path,
) -> None:
    with pytest.raises(InvalidRequest, match="there is no"):
        Ingest(root / "no", Collection.CODEBASE_CONTEXT, Store(), root / "m")
    with pytest.raises(InvalidRequest, match="choose one of"):
        Ingest(root, Collection.INTERACTION_HISTORY, Store(), root / "m")
