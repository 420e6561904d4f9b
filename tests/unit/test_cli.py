"""The commands parse, print and exit as they say; what needs a server says how to start one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hybrid_coordinator import __version__
from hybrid_coordinator.cli.main import app
from hybrid_coordinator.cli.options import of_this_machine

runner = CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"port": 9, "state_directory": str(tmp_path)}))
    return file


def test_version_for_people_and_programs() -> None:
    assert runner.invoke(app, ["version"]).stdout == f"hybrid-coordinator {__version__}\n"
    assert json.loads(runner.invoke(app, ["version", "--json"]).stdout) == {"version": __version__}


def test_a_right_settings_file_is_called_right(config: Path) -> None:
    done = runner.invoke(app, ["check-config", str(config)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(runner.invoke(app, ["check-config", str(config), "--json"]).stdout) == {
        "ok": True,
        "errors": [],
    }


def test_a_wrong_settings_file_fails_with_every_path(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"port": "x", "cache": {"tll": 1}}))
    done = runner.invoke(app, ["check-config", str(file)])
    assert done.exit_code == 1
    assert "settings.port" in done.stderr
    assert "settings.cache.tll" in done.stderr
    as_json = runner.invoke(app, ["check-config", str(file), "--json"])
    assert as_json.exit_code == 1
    assert len(json.loads(as_json.stdout)["errors"]) == 2


def test_checking_ignores_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_AI_PORT", "nonsense")
    assert runner.invoke(app, ["check-config", str(config)]).exit_code == 0


def test_nothing_to_check_is_wrong_usage() -> None:
    assert runner.invoke(app, ["check-config"]).exit_code == 2


def test_the_schema_is_printed_as_committed() -> None:
    committed = Path(__file__).parents[2] / "coordinator" / "settings.schema.json"
    assert runner.invoke(app, ["check-config", "--schema"]).stdout == committed.read_text()


def test_asking_nobody_says_how_to_start_one(config: Path) -> None:
    done = runner.invoke(app, ["ask", "Hello?", "--config", str(config)])
    assert done.exit_code == 1
    assert "hybrid-coordinator serve" in done.stderr


def test_a_collection_that_is_none_is_refused(config: Path) -> None:
    done = runner.invoke(app, ["ingest", ".", "--collection", "x", "--config", str(config)])
    assert done.exit_code == 1
    assert "codebase-context or best-practices" in done.stderr


def test_impossible_options_are_refused_by_their_path(config: Path) -> None:
    done = runner.invoke(app, ["serve", "--host", "0.0.0.0", "--config", str(config)])
    assert done.exit_code == 78
    assert "set api_keys_file" in done.stderr


def test_every_command_has_help_and_completion_is_offered() -> None:
    listed = runner.invoke(app, ["--help"]).stdout
    for command in (
        "serve",
        "ask",
        "init",
        "check-config",
        "ingest",
        "reindex",
        "health",
        "version",
    ):
        assert command in listed
        assert runner.invoke(app, [command, "--help"]).exit_code == 0
    assert "--install-completion" in listed


def test_a_command_about_the_service_takes_the_settings_of_the_machines_service(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), "port": 18_092}))
    monkeypatch.setattr(sys.modules[of_this_machine.__module__], "SYSTEM_FILE", config)
    assert "18092" in runner.invoke(app, ["ask", "Who is there?"]).output
    own = config.with_name("own.json")
    own.write_text(json.dumps({"port": 18_093}))
    assert "18093" in runner.invoke(app, ["ask", "Who is there?", "--config", str(own)]).output
