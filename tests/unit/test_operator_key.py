"""The operator's key: who can read it, and that there is only ever one."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.operator_key import FILE, operator_key, read_operator_key


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    before = os.umask(0)
    try:
        key = operator_key(state)
    finally:
        os.umask(before)
    assert len(key) == 64
    assert stat.S_IMODE((state / FILE).stat().st_mode) == 0o600
    assert operator_key(state) == read_operator_key(state) == key
    assert [path.name for path in state.iterdir()] == [FILE]


def test_all_who_make_it_at_the_same_time_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(operator_key, [tmp_path] * 64))
    assert keys == {read_operator_key(tmp_path)}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_what_others_could_read_is_worth_nothing_any_more(tmp_path: Path, mode: int) -> None:
    leaked = operator_key(tmp_path)
    (tmp_path / FILE).chmod(mode)
    assert read_operator_key(tmp_path) is None
    fresh = operator_key(tmp_path)
    assert fresh != leaked
    assert read_operator_key(tmp_path) == fresh


@pytest.mark.parametrize("text", [b"", b"short", b"\xff" * 64, b"x" * 63 + b"\n", b" " * 64])
def test_a_damaged_file_is_replaced(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE).write_bytes(text)
    (tmp_path / FILE).chmod(0o600)
    assert read_operator_key(tmp_path) is None
    assert len(operator_key(tmp_path)) == 64


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("a" * 64)
    elsewhere.chmod(0o600)
    state = tmp_path / "state"
    state.mkdir()
    (state / FILE).symlink_to(elsewhere)
    assert read_operator_key(state) is None
    assert operator_key(state) != "a" * 64
    assert not (state / FILE).is_symlink()
    assert elsewhere.read_text() == "a" * 64


def test_a_pipe_does_not_keep_anybody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE, 0o600)
    assert read_operator_key(tmp_path) is None


def test_without_one_a_command_has_none_and_makes_none(tmp_path: Path) -> None:
    assert read_operator_key(tmp_path / "nowhere") is None
    assert read_operator_key(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_who_may_not_read_it_has_none(tmp_path: Path) -> None:
    operator_key(tmp_path)
    (tmp_path / FILE).chmod(0)
    assert read_operator_key(tmp_path) is None


def test_a_state_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(SettingsError, match="state") as caught:
        operator_key(tmp_path / "state")
    assert caught.value.field == "state_directory"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_somebody_else_put_there_is_not_trusted(tmp_path: Path) -> None:
    planted = tmp_path / FILE
    planted.write_text("a" * 64)
    planted.chmod(0o600)
    os.chown(planted, 12345, 12345)
    assert read_operator_key(tmp_path) is None
    assert operator_key(tmp_path) != "a" * 64


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_reads_the_key_of_the_services_user(tmp_path: Path) -> None:
    key = operator_key(tmp_path)
    os.chown(tmp_path / FILE, 12345, 12345)
    os.chown(tmp_path, 12345, 12345)
    assert read_operator_key(tmp_path) == key
