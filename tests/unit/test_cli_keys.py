"""``hybrid-coordinator keys``: what each command prints, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.cli.main import app


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["keys", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "keys")


def test_create_prints_the_key_alone_and_says_how_it_takes_effect(file: str) -> None:
    status, out, err = run("create", "alice", "--file", file)
    key = out.strip()
    assert status == 0
    assert KeyRing(Path(file).read_text()).identify({b"x-api-key": key.encode()}).name == "alice"
    assert "not shown again" in err
    assert "systemctl restart" in err
    assert key not in err


def test_list_shows_whose_keys_there_are_and_none_of_them(file: str) -> None:
    key = json.loads(run("create", "alice", "--file", file, "--json")[1])["key"]
    run("create", "bob", "--file", file, "--expires", "2099-01-31")
    Path(file).write_text(Path(file).read_text() + "carol:carols-key-0123456789\n")
    rows = json.loads(run("list", "--file", file, "--json")[1])
    assert [(row["name"], row["kept_as"], row["last_day"]) for row in rows] == [
        ("alice", "hash", ""),
        ("bob", "hash", "2099-01-31"),
        ("carol", "plain text", ""),
    ]
    status, shown, _ = run("list", "--file", file)
    assert status == 0
    assert "carol" in shown
    assert key not in shown
    assert "carols-key" not in shown


def test_an_expired_key_is_listed_as_expired(file: str) -> None:
    Path(file).write_text(f"alice:sha256:{'0' * 64}:2020-01-31\n")
    (row,) = json.loads(run("list", "--file", file, "--json")[1])
    assert row["state"] == "expired"


def test_revoke_takes_it_out(file: str) -> None:
    run("create", "alice", "--file", file)
    run("create", "bob", "--file", file)
    status, out, _ = run("revoke", "alice", "--file", file)
    assert status == 0
    assert "'alice' is revoked" in out
    assert [row["name"] for row in json.loads(run("list", "--file", file, "--json")[1])] == ["bob"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("revoke", "nobody"), 1, "no key 'nobody'"),
        (("create", "two words"), 1, "letters, digits"),
        (("create", "alice", "--expires", "2020-01-31"), 1, "is over"),
        (("create", "alice", "--expires", "soon"), 2, "soon"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    file: str, arguments: tuple[str, ...], status: int, says: str
) -> None:
    found, _, err = run(*arguments, "--file", file)
    assert (found, says in err) == (status, True), err


def test_the_file_of_the_settings_is_the_default_and_a_credential_is_not_one(
    tmp_path: Path, file: str
) -> None:
    config = tmp_path / "settings.json"
    config.write_text(json.dumps({"api_keys_file": file}))
    assert run("create", "alice", "--config", str(config))[0] == 0
    assert "alice" in Path(file).read_text()
    config.write_text(json.dumps({"api_keys_file": "api-keys"}))
    status, _, err = run("list", "--config", str(config))
    assert status == 1
    assert "services.hybrid-ai.coordinator.apiKeysFile" in err
    config.write_text("{}")
    assert "--file" in run("list", "--config", str(config))[2]
