"""A key file is made once, whoever asks first, and never half."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.key_file import KEY_BYTES, load_or_create
from hybrid_coordinator.scrubbing import load_key


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "scrub.key"
    key = load_key(path)
    assert len(key) == KEY_BYTES
    assert load_key(path) == key == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["scrub.key"]


def test_two_files_have_two_keys(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "a.key") != load_or_create(tmp_path / "b.key")


def test_all_that_ask_at_once_get_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "scrub.key"
    together = threading.Barrier(16)

    def ask(_: int) -> bytes:
        together.wait()
        return load_or_create(path)

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["scrub.key"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scrub.key"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="restore it from a backup") as caught:
        load_or_create(path)
    assert caught.value.field == "state_directory"
    assert path.read_bytes() == content
