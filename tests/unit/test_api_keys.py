"""The keys file: made, added to and taken from, whole or not at all, and without any key in it."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.api_keys import (
    MIN_KEY_LENGTH,
    PREFIX,
    create_key,
    list_keys,
    parse_keys,
    revoke_key,
)
from hybrid_coordinator.errors import Conflict, NotFound, SettingsError, Unprocessable

TODAY = date(2026, 11, 27)


def make(path: Path, name: str, last_day: date | None = None) -> str:
    return create_key(path, name, last_day=last_day, today=TODAY).key


def test_a_key_that_was_made_is_accepted_and_is_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys"
    key = make(path, "alice")
    text = path.read_text()
    assert key.startswith(PREFIX)
    assert len(key) >= len(PREFIX) + 43  # 256 bits in base64
    assert key not in text
    assert key.removeprefix(PREFIX) not in text
    assert KeyRing(text).identify({b"x-api-key": key.encode()}).name == "alice"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys"]


def test_other_lines_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    before = "# the team\nbob:bobs-key-0123456789\n\n  carol : carols-key-0123456789"
    path.write_text(before)
    make(path, "alice")
    assert path.read_text().startswith(f"{before}\nalice:sha256:")
    revoke_key(path, "carol")
    assert path.read_text().startswith("# the team\nbob:bobs-key-0123456789\n\nalice:sha256:")
    assert [entry.name for entry in list_keys(path)] == ["bob", "alice"]


def test_a_revoked_key_is_refused_and_its_name_may_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    make(path, "bob")
    first = make(path, "alice")
    revoke_key(path, "alice")
    second = make(path, "alice")
    ring = KeyRing(path.read_text())
    assert first != second
    assert ring.identify({b"x-api-key": second.encode()}).name == "alice"
    with pytest.raises(Exception, match="not known"):
        ring.identify({b"x-api-key": first.encode()})


def test_the_last_key_stays_since_without_one_nothing_would_start(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    make(path, "alice")
    with pytest.raises(Conflict, match="the only key"):
        revoke_key(path, "alice")
    assert [entry.name for entry in list_keys(path)] == ["alice"]


def test_a_name_that_is_taken_or_unknown_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    make(path, "alice")
    before = path.read_bytes()
    with pytest.raises(Conflict, match="revoke it first"):
        make(path, "alice")
    with pytest.raises(NotFound, match="no key 'bob'"):
        revoke_key(path, "bob")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a:b", "#a", "-a", "a\nb:c", "аlice", "é", "a" * 65, "alice\u200b", "../a"],
)
def test_a_name_that_could_be_mistaken_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        make(tmp_path / "keys", name)
    assert caught.value.field == "name"
    assert not (tmp_path / "keys").exists()


def test_a_day_that_is_over_is_refused_and_today_is_not(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with pytest.raises(Unprocessable) as caught:
        make(path, "alice", date(2026, 11, 26))
    assert caught.value.field == "expires"
    make(path, "alice", TODAY)
    (entry,) = list_keys(path)
    assert entry.last_day == TODAY
    assert entry.ends == datetime(2026, 11, 28, tzinfo=UTC).timestamp()


def test_a_file_with_a_line_at_fault_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("alice:short\n")
    for change in (lambda: make(path, "bob"), lambda: revoke_key(path, "alice")):
        with pytest.raises(SettingsError, match="line 1"):
            change()
    assert path.read_text() == "alice:short\n"


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys"
    path.mkdir(parents=True)
    with pytest.raises(SettingsError, match=f"{path} cannot be used"):
        make(path, "alice")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        list_keys(tmp_path / "bytes")


def test_a_link_stays_a_link_and_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    target = tmp_path / "secrets" / "keys"
    target.write_text("bob:bobs-key-0123456789\n")
    link = tmp_path / "keys"
    link.symlink_to(target)
    make(link, "alice")
    assert link.is_symlink()
    assert [entry.name for entry in list_keys(target)] == ["bob", "alice"]


def test_all_keys_that_are_made_at_once_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    together = threading.Barrier(12)

    def one(number: int) -> str:
        together.wait()
        return make(path, f"caller-{number}")

    with ThreadPoolExecutor(12) as pool:
        made = list(pool.map(one, range(12)))
    ring = KeyRing(path.read_text())
    for number, key in enumerate(made):
        assert ring.identify({b"x-api-key": key.encode()}).name == f"caller-{number}"
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    make(path, "alice")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left"):
        make(path, "bob")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


@given(st.text(max_size=200))
def test_any_text_is_keys_or_is_refused_by_its_line(text: str) -> None:
    try:
        entries = parse_keys(text)
    except SettingsError as error:
        said, entries = error.message, ()
    else:
        said = "API keys, line "
    assert said.startswith("API keys, line ")
    assert len({entry.digest for entry in entries}) == len(entries)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=MIN_KEY_LENGTH))
def test_a_plain_key_has_the_hash_that_is_compared(key: str) -> None:
    if key.startswith("sha256:"):
        return
    (entry,) = parse_keys(f"alice:{key}")
    assert entry.digest == hashlib.sha256(key.encode()).digest()
