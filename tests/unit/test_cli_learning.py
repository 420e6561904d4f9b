"""The commands about learning, before a scripted coordinator and before none."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hybrid_coordinator.cli.client import Connection
from hybrid_coordinator.cli.main import app
from hybrid_coordinator.conversation import OPERATOR_CALLER
from hybrid_coordinator.errors import CollectionMismatch, OutboxFull, StoreUnavailable
from hybrid_coordinator.learning.records import (
    DatasetFormat,
    DatasetRequest,
    ExtractionReport,
    NewInteraction,
    Outcome,
    OutcomeSource,
    PostedOutcome,
)
from hybrid_coordinator.operator_key import operator_key
from hybrid_coordinator.settings import Settings
from tests.unit.api.scripted import ALICE, KEYS, ScriptedGateway, edge
from tests.unit.api.scripted_learning import DEAD_ID, TRACKED_ID
from tests.unit.api.served_in_thread import served

COMMANDS: dict[str, list[str]] = {
    "extract-patterns": [],
    "dataset": [],
    "queue": [],
    "experiments": [],
    "forget": [TRACKED_ID],
    "outcome": [TRACKED_ID, "success"],
}


class Desk:
    """A scripted coordinator, and the settings file of its service."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.gateway = ScriptedGateway()
        self.gateway.kept["operator", TRACKED_ID] = NewInteraction("q", "r")
        self.config = state / "settings.json"
        self.url = ""

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self.config)])

    def said(self, *arguments: str) -> str:
        """What a command that works says, without the spaces of a table."""
        done = self.run(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        assert max(map(len, done.stdout.splitlines())) <= 100
        return " ".join(done.stdout.split())

    def told(self, *arguments: str) -> Any:
        """What it tells programs."""
        done = self.run(*arguments, "--json")
        assert (done.exit_code, done.stderr) == (0, "")
        return json.loads(done.stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    key = operator_key(tmp_path)
    with served(edge(made.gateway, keys=KEYS, operator=key)) as url:
        made.url = url
        port = int(url.rpartition(":")[2])
        made.config.write_text(json.dumps({"port": port, "state_directory": str(tmp_path)}))
        yield made


def test_extraction_says_what_it_did(desk: Desk) -> None:
    assert desk.said("extract-patterns", "--limit", "3") == (
        "3 interactions read: 1 patterns stored, 1 merged, nothing in 1, 0 to be tried again, "
        "0 given up"
    )
    assert desk.told("extract-patterns") == dataclasses.asdict(desk.gateway.extracted)
    assert desk.gateway.calls == [("extract", 3), ("extract", None)]


def test_a_queue_that_waits_for_a_model_is_no_failure(desk: Desk) -> None:
    desk.gateway.extracted = ExtractionReport(
        waiting=4, retired=2, expired=1, reason="no local model is ready"
    )
    said = desk.said("extract-patterns")
    assert "4 wait: no local model is ready" in said
    assert "2 patterns retired, 1 old interactions forgotten" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_where_no_coordinator_runs_it_may_work_later(tmp_path: Path, command: str) -> None:
    config = tmp_path / "settings.json"
    config.write_text(json.dumps({"port": 9, "state_directory": str(tmp_path)}))
    arguments = [command, *COMMANDS[command], "--config", str(config)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == os.EX_TEMPFAIL
    assert "no coordinator answers at http://127.0.0.1:9" in done.stderr
    assert done.stdout == ""


def test_a_coordinator_that_cannot_now_is_told_from_one_that_never_will(desk: Desk) -> None:
    desk.gateway.error = StoreUnavailable("Qdrant cannot be reached.")
    away = desk.run("extract-patterns")
    desk.gateway.error = OutboxFull("The outbox is full.", retry_after=90)
    full = desk.run("outcome", TRACKED_ID, "success")
    desk.gateway.error = None
    unknown = desk.run("forget", DEAD_ID)
    assert (away.exit_code, away.stderr) == (os.EX_TEMPFAIL, "Qdrant cannot be reached.\n")
    assert (full.exit_code, full.stderr) == (os.EX_TEMPFAIL, "The outbox is full.\n")
    assert (unknown.exit_code, unknown.stderr) == (1, "There is no such interaction.\n")
    assert CollectionMismatch.status == 503


def test_the_training_data_is_where_it_says(desk: Desk) -> None:
    said = desk.said("dataset", "--min-score", "0.8", "--format", "openai", "--format", "sharegpt")
    assert "5 examples, 2 of them new: /state/fine-tuning/dataset.jsonl" in said
    assert "dataset.jsonl 5" in said
    assert "low score 3" in said
    assert desk.told("dataset")["manifest_path"] == "/state/fine-tuning/manifest.json"
    chosen = DatasetRequest((DatasetFormat.OPENAI, DatasetFormat.SHAREGPT), 0.8)
    assert desk.gateway.calls == [
        ("training_data", chosen, OPERATOR_CALLER),
        ("training_data", DatasetRequest(), OPERATOR_CALLER),
    ]


def test_a_format_that_is_none_is_refused_by_name(desk: Desk) -> None:
    done = desk.run("dataset", "--format", "csv")
    assert done.exit_code == 1
    assert "formats[0]" in done.stderr


def test_the_queue_shows_what_waits_and_what_was_given_up(desk: Desk) -> None:
    said = desk.said("queue")
    assert "1 waiting, the oldest since 2023-11-14" in said
    assert "0 in work; 1 given up" in said
    assert f"{TRACKED_ID} 0.90 0" in said
    assert f"{DEAD_ID} 3 it was no JSON" in said
    assert desk.told("queue", "--limit", "5")["dead_letters"][0]["interaction_id"] == DEAD_ID


def test_dead_letters_are_replayed_all_or_by_id(desk: Desk) -> None:
    assert "1 dead letters" in desk.said("queue", "--replay")
    assert desk.told("queue", "--replay", DEAD_ID) == {"replayed": 1}
    assert [call[1] for call in desk.gateway.calls] == [(), (DEAD_ID,)]
    assert desk.run("queue", DEAD_ID).exit_code == 2


def test_experiments_show_intervals_and_what_is_not_known_lesson_13(desk: Desk) -> None:
    said = desk.said("experiments")
    assert "prompt: decided, short-prompt won. p = 0.99" in said
    assert "plain 60 60 50% (38%-62%) 1% no data no data" in said
    assert "short-prompt 60 60 80% (68%-88%) 99% 812 0.0020" in said
    assert desk.told("experiments")[0]["variants"][0]["tokens_mean"] is None


def test_tables_fit_a_terminal_of_80_columns(desk: Desk) -> None:
    for command in ("queue", "experiments", "dataset"):
        lines = desk.run(command).stdout.splitlines()
        assert max(map(len, lines)) <= 80, command
    assert TRACKED_ID in desk.run("queue").stdout


def test_forgetting_says_what_was_removed(desk: Desk) -> None:
    desk.gateway.kept["operator", DEAD_ID] = NewInteraction("q", "r")
    assert desk.said("forget", TRACKED_ID) == (
        f"{TRACKED_ID} is forgotten: 1 in interaction-history, 2 in patterns"
    )
    assert desk.told("forget", DEAD_ID)["removed"]["patterns"] == 2


def test_an_outcome_is_posted(desk: Desk) -> None:
    assert desk.said("outcome", TRACKED_ID, "success") == f"{TRACKED_ID}: success is noted"
    assert "nothing changed" in desk.said("outcome", TRACKED_ID, "success")
    refused = desk.run("outcome", TRACKED_ID, "failure")
    assert refused.exit_code == 1
    assert "replace" in refused.stderr
    desk.said("outcome", TRACKED_ID, "failure", "--feedback", "-1", "--replace")
    assert desk.gateway.said[TRACKED_ID] == PostedOutcome(Outcome.FAILURE, -1, replace=True)
    told = desk.told("outcome", TRACKED_ID, "--feedback", "1", "--source", "thumbs", "--replace")
    assert told["user_feedback"] == 1
    assert desk.gateway.said[TRACKED_ID].source is OutcomeSource.THUMBS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "outcome, user_feedback or both"),
        (["great"], "'outcome'"),
        (["--feedback", "2"], "'user_feedback'"),
        (["success", "--source", "me"], "'source'"),
    ],
)
def test_what_is_no_outcome_is_refused_by_name(desk: Desk, arguments: list[str], says: str) -> None:
    done = desk.run("outcome", TRACKED_ID, *arguments)
    assert done.exit_code == 1
    assert says in done.stderr


def test_a_command_is_the_operators_where_it_may_read_the_key(desk: Desk, tmp_path: Path) -> None:
    assert desk.run("extract-patterns").exit_code == 0
    desk.state.joinpath("operator.key").unlink()
    without = desk.run("extract-patterns")
    key_file = tmp_path / "alice"
    key_file.write_text(f"alice:{ALICE}")
    as_alice = desk.run("extract-patterns", "--key-file", str(key_file))
    assert (without.exit_code, as_alice.exit_code) == (1, 1)
    assert "API key is needed" in without.stderr
    assert "service's user or root" in as_alice.stderr


def test_the_operators_key_is_shown_to_this_machine_only(tmp_path: Path) -> None:
    key = operator_key(tmp_path)
    settings = Settings(state_directory=tmp_path)
    assert Connection.find(settings, None, None).key == key
    assert Connection.find(settings, "http://127.0.0.1:1234/", None).key == key
    assert Connection.find(settings, "http://localhost", None).key == key
    assert Connection.find(settings, "http://[::1]:8092", None).key == key
    for url in ("https://example.org", "http://127.0.0.1.example.org", "http://10.0.0.1:8092"):
        assert Connection.find(settings, url, None).key is None


def test_a_key_file_wins_over_the_operators_key(tmp_path: Path) -> None:
    operator_key(tmp_path)
    key_file = tmp_path / "keys"
    key_file.write_text(KEYS)
    settings = Settings(state_directory=tmp_path)
    assert Connection.find(settings, None, key_file).key == ALICE
    assert Connection.find(settings, "https://example.org", key_file).key == ALICE


def test_the_learning_commands_have_help() -> None:
    listed = CliRunner().invoke(app, ["--help"]).stdout
    for command in (*COMMANDS, "mcp"):
        assert command in listed
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
