"""``hybrid-coordinator health`` as a process: exit statuses, JSON, and what the journal gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.health.scenes import put_systemctl, ready_document

NO_SYSTEMD = "echo 'System has not been booted with systemd as init' >&2; exit 1"


class Site:
    """A coordinator and a backend in one, in threads: ``documents`` by path."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document = site.documents.get(self.path)
                body = json.dumps(document).encode()
                self.send_response(404 if document is None else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def well(self) -> None:
        self.documents = {
            "/health": {"status": "ok"},
            "/ready": ready_document(backend__a=("ready", "m")),
            "/v1/models": {"data": [{"id": "m"}]},
        }


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    made.well()
    thread = threading.Thread(
        target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Command:
    """The command with a settings file; ``journal`` runs it with stderr as the journal's."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.config = folder / "settings.json"
        self.path = put_systemctl(folder / "bin", NO_SYSTEMD)
        self.write(
            port=site.port,
            state_directory=str(self.state),
            backends={"a": {"kind": "openai", "base_url": site.url}},
            health={"min_free_fraction": 0.0, "min_free_bytes": 0, "start_grace": 0},
        )

    def write(self, **tree: Any) -> None:
        self.config.write_text(json.dumps(tree))

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "--config", str(self.config), *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": self.path, **environment},
            timeout=60,
            check=False,
        )

    def journal(self, log: Path) -> tuple[int, list[str]]:
        """The exit status and the new lines in the journal."""
        with log.open("wb") as stream:
            device = os.fstat(stream.fileno())
            done = subprocess.run(
                [*COMMAND, "--config", str(self.config)],
                stdout=subprocess.PIPE,
                stderr=stream,
                env={
                    **os.environ,
                    "PATH": self.path,
                    "JOURNAL_STREAM": f"{device.st_dev}:{device.st_ino}",
                },
                timeout=60,
                check=False,
            )
        assert done.stdout == b""
        return done.returncode, log.read_text().splitlines()


COMMAND = [sys.executable, "-m", "hybrid_coordinator", "health"]


@pytest.fixture
def command(tmp_path: Path, site: Site) -> Command:
    return Command(tmp_path, site)


def test_well_is_0_and_one_line_a_part(command: Command) -> None:
    done = command()
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == [
        *("coordinator", "embedder", "knowledge", "cache", "backend.a", "disk", "outbox"),
        *("keys", "timers", "units"),
    ]
    assert lines[-1] == "ok: all 7 parts are well"
    assert not (command.state / "health.json").exists()


def test_a_warning_is_not_0_lesson_14(command: Command, site: Site) -> None:
    site.documents["/ready"] = ready_document(cache=("degraded", "no room"))
    done = command()
    assert done.returncode == 1
    assert "warning   cache" in done.stdout


def test_a_job_does_not_fail_over_what_still_starts_but_says_so(
    command: Command, site: Site, tmp_path: Path
) -> None:
    tree = json.loads(command.config.read_text())
    health = {**tree["health"], "start_grace": 300}
    command.write(**{**tree, "health": health, "backends": {"a": {"kind": "embedded"}}})
    site.documents["/ready"] = ready_document(ready=False, backend__a=("down", "loading m"))
    status, lines = command.journal(tmp_path / "log")
    assert status == 0, lines
    assert any("backend.a is warning: starting: loading m" in line for line in lines)
    assert command().returncode == 1


def test_a_dead_coordinator_is_2(command: Command, site: Site) -> None:
    done = command("--url", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert done.stdout.startswith("critical  coordinator")
    assert "Traceback" not in done.stderr


def test_json_is_one_document_that_says_the_same_lesson_14(command: Command, site: Site) -> None:
    document = json.loads(command("--json").stdout)
    assert (document["version"], document["status"], document["exit_status"]) == (1, "ok", 0)
    del site.documents["/v1/models"]
    done = command("--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_status"] == 2
    (bad,) = [part for part in document["parts"] if part["level"] == "critical"]
    assert bad["name"] == "backend.a"


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"port": "x"}, "services.hybrid-ai.coordinator.settings.port"),
        ({"health": {"timout": 1}}, "settings.health.timout"),
        ({"port": 0}, "--url"),
    ],
)
def test_wrong_settings_are_3_and_name_the_option(
    command: Command, tree: dict[str, Any], said: str
) -> None:
    command.write(**tree)
    done = command()
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("unknown: ")
    assert said in done.stderr
    done = command("--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_status"] == 3
    assert said in document["trouble"]


def test_a_missing_settings_file_is_3(command: Command) -> None:
    command.config.unlink()
    assert command().returncode == 3


def test_wrong_usage_is_3_and_not_critical(command: Command) -> None:
    for wrong in (["--jsn"], ["--timeout", "soon"], ["--timeout", "0"], ["extra"]):
        done = command(*wrong)
        assert done.returncode == 3, done
        assert done.stderr


def test_the_journal_gets_each_change_once_with_its_priority(
    command: Command, site: Site, tmp_path: Path
) -> None:
    log = tmp_path / "journal"
    assert command.journal(log) == (0, ["<6>ok: all 7 parts are well"])
    del site.documents["/v1/models"]
    status, lines = command.journal(log)
    assert status == 2
    assert lines[0].startswith("<3>backend.a is critical: ")
    assert lines[1:] == ["<3>critical: 1 of 7 parts not well (failed: backend.a)"]
    assert command.journal(log) == (2, lines[1:])
    site.well()
    status, lines = command.journal(log)
    assert status == 0
    assert lines[0].startswith("<5>backend.a is ok: ")
    assert lines[1:] == ["<6>ok: all 7 parts are well"]
    site.documents["/ready"] = ready_document(cache=("degraded", "no room"))
    status, lines = command.journal(log)
    assert (status, lines[0]) == (1, "<4>cache is warning: no room")


def test_the_journal_gets_wrong_settings_as_an_error(command: Command, tmp_path: Path) -> None:
    command.write(port="x")
    status, lines = command.journal(tmp_path / "journal")
    assert status == 3
    assert len(lines) == 1
    assert lines[0].startswith("<3>unknown: services.hybrid-ai.coordinator.settings.port")


def test_what_a_person_runs_takes_no_change_from_the_journal(
    command: Command, site: Site, tmp_path: Path
) -> None:
    log = tmp_path / "journal"
    command.journal(log)
    del site.documents["/v1/models"]
    for arguments in ([], ["--json"]):
        assert "backend.a" in command(*arguments).stdout
    assert command.journal(log)[1][0].startswith("<3>backend.a is critical")


def test_the_coordinators_lock_is_not_touched(command: Command, tmp_path: Path) -> None:
    import fcntl

    with (command.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert command.journal(tmp_path / "journal")[0] == 0
    assert sorted(found.name for found in command.state.iterdir()) == ["health.json", "lock"]


BROKEN = """
import sys
import hybrid_coordinator.health as jobs
async def broken(*args, **named):
    raise ZeroDivisionError("of ours")
jobs.check_health = broken
from hybrid_coordinator.cli import main
sys.argv = ["hybrid-coordinator", "health", *sys.argv[1:]]
main()
"""


def test_a_check_that_breaks_is_3_and_no_mere_warning(command: Command, tmp_path: Path) -> None:
    """Python's own exit status for it, 1, would read as a warning."""
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    done = subprocess.run(
        [sys.executable, str(script), "--config", str(command.config), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "ZeroDivisionError('of ours')" in json.loads(done.stdout)["trouble"]
    assert "Traceback" in done.stderr


HANGING_NAMES = """
import socket, sys, threading
real = socket.getaddrinfo
def getaddrinfo(host, *rest, **named):
    if host in ("nowhere.example", b"nowhere.example"):
        threading.Event().wait()
    return real(host, *rest, **named)
socket.getaddrinfo = getaddrinfo
from hybrid_coordinator.cli import main
sys.argv = ["hybrid-coordinator", "health", *sys.argv[1:]]
main()
"""


def test_a_name_server_that_never_answers_does_not_keep_the_process(
    command: Command, tmp_path: Path, site: Site
) -> None:
    command.write(
        port=site.port,
        state_directory=str(command.state),
        backends={"a": {"kind": "openai", "base_url": site.url}},
        qdrant={"url": "http://nowhere.example:6333"},
        redis={"url": "redis://nowhere.example"},
        health={"min_free_fraction": 0.0, "min_free_bytes": 0, "timeout": 2},
    )
    script = tmp_path / "hanging.py"
    script.write_text(HANGING_NAMES)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script), "--config", str(command.config), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": command.path},
        timeout=30,
        check=False,
    )
    # Python itself takes its time to start on a busy machine.
    assert time.monotonic() - began < 15
    assert done.returncode == 1, done.stderr
    levels = {part["name"]: part["level"] for part in json.loads(done.stdout)["parts"]}
    assert levels["qdrant"] == levels["redis"] == "warning"
    assert levels["backend.a"] == "ok"
