"""The commands about figures, before a scripted coordinator and before none."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hybrid_coordinator.cli.main import app
from hybrid_coordinator.operator_key import operator_key
from hybrid_coordinator.reporting.documents import DOCUMENTS, TokenSavings
from tests.unit.api.scripted import ALICE, KEYS, ScriptedGateway, edge
from tests.unit.api.served_in_thread import served
from tests.unit.reporting.ledger import BACKENDS, EXPECTED, events, write_events

FILES = (
    "hybrid-coordinator.json",
    "rag-collections.json",
    "learning-metrics.json",
    "token-savings.json",
)
NOBODY = 9
"""A port that nothing listens on: discard."""


def config(state: Path, port: int, **more: Any) -> Path:
    path = state / "settings.json"
    path.write_text(json.dumps({"port": port, "state_directory": str(state), **more}))
    return path


def run(*arguments: str, config: Path) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)])


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Path]:
    key = operator_key(tmp_path)
    with served(edge(ScriptedGateway(), keys=KEYS, operator=key)) as url:
        yield config(tmp_path, int(url.rpartition(":")[2]))


def files_of(state: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in (state / "dashboard").iterdir()}


def test_savings_are_shown_with_the_rules_and_what_is_no_data_says_so(scripted: Path) -> None:
    done = run("savings", config=scripted)
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    said = " ".join(done.stdout.split())
    assert "The last 720 hours" in said
    assert "at least 70 % no data" in said
    assert "more than 80 % no data" in said
    assert "reference price is not known" in said
    assert " met" not in said.replace("not met", "")


def test_savings_for_programs_are_the_document_of_the_file(scripted: Path) -> None:
    done = run("savings", "--json", "--range", "7d", config=scripted)
    assert (done.exit_code, done.stderr) == (0, "")
    assert TokenSavings.model_validate_json(done.stdout).range_s == 7 * 86_400


@pytest.mark.parametrize("command", ["savings", "dashboard-data"])
def test_a_range_that_is_not_kept_is_refused(scripted: Path, command: str) -> None:
    done = run(command, "--range", "2d", config=scripted)
    assert done.exit_code == 1
    assert "1h, 24h, 7d, 30d" in done.stderr


@pytest.mark.parametrize("command", ["savings", "dashboard-data"])
def test_another_callers_key_is_not_enough(scripted: Path, tmp_path: Path, command: str) -> None:
    key = tmp_path / "alice"
    key.write_text(f"alice:{ALICE}\n")
    done = run(command, "--key-file", str(key), config=scripted)
    assert done.exit_code == 1
    assert "operator" in done.stderr
    assert not (tmp_path / "dashboard").exists()


def test_savings_without_a_coordinator_can_be_asked_again_later(tmp_path: Path) -> None:
    done = run("savings", config=config(tmp_path, NOBODY))
    assert done.exit_code == os.EX_TEMPFAIL
    assert "no coordinator answers" in done.stderr


def test_the_four_files_are_written_whole_and_readable_for_the_group(
    scripted: Path, tmp_path: Path
) -> None:
    done = run("dashboard-data", config=scripted)
    assert (done.exit_code, done.stderr) == (0, "")
    assert str(tmp_path / "dashboard") in done.stdout
    found = files_of(tmp_path)
    assert tuple(sorted(found)) == tuple(sorted(FILES)) == tuple(sorted(DOCUMENTS))
    for name, document in found.items():
        assert document["version"] == 1, name
        assert (tmp_path / "dashboard" / name).stat().st_mode & 0o777 == 0o640
    assert {
        "total_queries",
        "local_routing",
        "remote_routing",
        "avg_tokens_local",
        "avg_tokens_remote",
        "tokens_saved",
        "cost_saved_usd",
    } <= found["token-savings.json"].keys()
    assert found["token-savings.json"]["tokens_saved"] is None, "no data is null"


def test_without_a_coordinator_the_files_say_so_with_what_is_recorded(tmp_path: Path) -> None:

    write_events(tmp_path, events(time.time() - 300))
    done = run("dashboard-data", "--json", config=config(tmp_path, NOBODY, backends=BACKENDS))
    assert done.exit_code == os.EX_TEMPFAIL
    assert "the service is down" in done.stderr
    assert len(json.loads(done.stdout)["files"]) == len(FILES)
    found = files_of(tmp_path)
    service = found["hybrid-coordinator.json"]["service"]
    assert service["state"] == "down"
    assert "no coordinator answers" in service["parts"]["coordinator"]["detail"]
    assert service["active_interactions"] is None
    assert service["extraction_queue"] == {"waiting": None, "dead": None}
    saved = found["token-savings.json"]
    assert {name: saved[name] for name in EXPECTED} == EXPECTED
    assert [c["points"] for c in found["rag-collections.json"]["collections"]] == [None] * 5
    assert found["learning-metrics.json"]["patterns"] == {
        "candidate": None,
        "trusted": None,
        "retired": None,
    }


def test_where_the_store_cannot_be_used_either_the_files_say_so(tmp_path: Path) -> None:
    (tmp_path / "reporting.sqlite").mkdir()
    done = run("dashboard-data", config=config(tmp_path, NOBODY))
    assert done.exit_code == os.EX_TEMPFAIL
    found = files_of(tmp_path)
    assert "reporting.sqlite" in found["hybrid-coordinator.json"]["source"]["trouble"]
    assert found["token-savings.json"]["total_queries"] is None


def test_files_that_cannot_be_written_are_a_failure_that_leaves_the_old_ones(
    scripted: Path, tmp_path: Path
) -> None:
    run("dashboard-data", config=scripted)
    before = {path: path.read_text() for path in (tmp_path / "dashboard").iterdir()}
    (tmp_path / "dashboard").rename(tmp_path / "kept")
    (tmp_path / "dashboard").write_text("in the way")
    done = run("dashboard-data", config=scripted)
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    kept = {tmp_path / "dashboard" / p.name: p.read_text() for p in (tmp_path / "kept").iterdir()}
    assert kept == before


def test_nobody_but_the_owner_of_the_state_writes_the_files_lesson_8(
    scripted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    done = run("dashboard-data", config=scripted)
    assert done.exit_code == 1
    assert "hybrid-ai-dashboard-data.service" in done.stderr
    assert not (tmp_path / "dashboard").exists()


def test_a_state_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = config(tmp_path, NOBODY)
    tree = {**json.loads(path.read_text()), "state_directory": str(tmp_path / "gone")}
    path.write_text(json.dumps(tree))
    done = run("dashboard-data", config=path)
    assert done.exit_code == 1
    assert "gone" in done.stderr
