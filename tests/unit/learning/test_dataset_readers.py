"""Who reads a set while others are written finds a whole one."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from hybrid_coordinator.learning.dataset_files import current_set
from tests.unit.learning.dataset_sets import words_in, write_set


def test_a_reader_beside_the_writer_sees_sets_of_one_run_only(tmp_path: Path) -> None:
    write_set(tmp_path, "run -1", 50)
    ended = threading.Event()

    def write() -> None:
        for number in range(40):
            write_set(tmp_path, f"run {number}", 50)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not ended.is_set():
        # A plain open always finds a whole file.
        content = (tmp_path / "dataset.jsonl").read_bytes()
        assert content.count(b"\n") == 50
        current = current_set(tmp_path)
        try:
            assert current is not None
            words = words_in(current)
        except FileNotFoundError:
            continue  # replaced since: ask again
        assert len(words) == 1
        seen |= words
    writer.join()
    assert len(seen) > 1


def test_a_set_replaced_while_it_is_looked_up_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path, "old")
    read = Path.readlink
    replaced: list[Path] = []

    def replace_after(path: Path) -> Path:
        found = read(path)
        if path.name == ".current" and not replaced:
            replaced.append(found)
            write_set(tmp_path, "new")
        return found

    monkeypatch.setattr(Path, "readlink", replace_after)
    current = current_set(tmp_path)
    assert current is not None
    assert replaced != [current.relative_to(tmp_path)]
    assert words_in(current) == {"new"}


def test_a_set_lost_from_the_disk_is_none(tmp_path: Path) -> None:
    write_set(tmp_path, "old")
    shutil.rmtree(tmp_path / ".sets")
    assert current_set(tmp_path) is None
