"""What must hold of every rendered unit, read from the committed files: no Nix is needed."""

from __future__ import annotations

import re
import subprocess

import pytest

from hybrid_coordinator.cli.main import SYSTEM_FILE
from tests.nix.units import Node, Unit, nodes

ALL = nodes()
OURS = [node for node in ALL if node.has_coordinator]
STORES_AND_BACKENDS = {
    "qdrant.service",
    "redis-hybrid-ai.service",
    "ollama.service",
    "lemonade-server.service",
}
_STORE_PATH = re.compile(r"/nix/store/([0-9a-z]{32}-[\w.+-]+)")

every_node = pytest.mark.parametrize("node", ALL, ids=[node.name for node in ALL])
every_machine = pytest.mark.parametrize("node", OURS, ids=[node.name for node in OURS])


def _jobs(node: Node) -> list[Unit]:
    return [u for name, u in node.units.items() if re.fullmatch(r"hybrid-ai-.+\.service", name)]


def test_every_scenario_of_the_issue_is_rendered() -> None:
    scenarios = {node.name.split("/")[0] for node in ALL}
    assert scenarios == {"minimal", "full", "remote-stores", "two-coordinators", "upgrade"}


@every_machine
def test_the_coordinator_says_when_it_is_ready_and_is_watched(node: Node) -> None:
    service = node.coordinator
    assert service.value("Service", "Type") == "notify-reload"
    assert service.value("Service", "NotifyAccess") == "main"
    assert service.value("Service", "WatchdogSec") == "30"
    assert service.value("Service", "Restart") == "always"


@every_machine
def test_the_settings_are_where_the_commands_look_for_them(node: Node) -> None:
    command = node.coordinator.value("Service", "ExecStart") or ""
    assert command.endswith(f" --config {SYSTEM_FILE}")


@every_machine
def test_open_answers_may_end_before_systemd_kills_the_coordinator(node: Node) -> None:
    grace = node.settings["server"]["grace_period"]
    timeout = node.coordinator.value("Service", "TimeoutStopSec")
    assert timeout is not None
    assert int(timeout) == grace + 15


@every_machine
def test_the_socket_listens_where_the_settings_say(node: Node) -> None:
    socket = node.units["hybrid-coordinator.socket"]
    settings = node.settings
    assert socket.values("Socket", "ListenStream") == [f"{settings['host']}:{settings['port']}"]
    assert socket.value("Socket", "Accept") == "false"
    assert socket.value("Socket", "NoDelay") == "true"
    assert socket.name in node.coordinator.units("Requires")


@every_machine
def test_no_unit_requires_a_store_or_a_backend(node: Node) -> None:
    for unit in node.units.values():
        if unit.name.startswith("ollama-model-loader"):  # nixpkgs': it loads into that server
            continue
        for key in ("Requires", "Requisite", "BindsTo"):
            assert not unit.units(key) & STORES_AND_BACKENDS, f"{unit.name} {key}"
    assert not [link for link in node.data("links") if ".requires/" in link and "test-" not in link]


@every_machine
def test_the_coordinator_wants_what_runs_here_and_starts_after_it(node: Node) -> None:
    here = STORES_AND_BACKENDS & node.units.keys()
    assert node.coordinator.units("Wants") & STORES_AND_BACKENDS == here
    assert here <= node.coordinator.units("After")


@every_machine
def test_one_target_holds_every_part(node: Node) -> None:
    links = node.data("links")
    assert "multi-user.target.wants/hybrid-ai.target" in links
    parts = (STORES_AND_BACKENDS & node.units.keys()) | {
        "hybrid-coordinator.service",
        "hybrid-coordinator.socket",
        "hybrid-ai-dashboard-data.timer",
        "hybrid-ai-health-check.timer",
        "hybrid-ai-pattern-extraction.timer",
    }
    for name in parts:
        assert f"hybrid-ai.target.wants/{name}" in links
        assert "hybrid-ai.target" in node.units[name].units("PartOf"), name


@every_machine
def test_every_secret_of_the_settings_is_a_credential_of_the_service(node: Node) -> None:
    loaded = dict(
        value.split(":", 1) for value in node.coordinator.values("Service", "LoadCredential")
    )
    wanted = _secret_names(node.settings)
    assert wanted <= loaded.keys()
    for file in loaded.values():
        assert file.startswith("/")
        assert not file.startswith("/nix/store")


def test_the_full_scenario_has_every_kind_of_secret() -> None:
    [full] = [node for node in OURS if node.name == "full/machine"]
    assert _secret_names(full.settings) >= {"api-keys", "remote-api-key", "qdrant-api-key"}


@every_node
def test_no_rendered_file_holds_a_secret(node: Node) -> None:
    for unit in node.units.values():
        for name in unit.environment():
            assert not re.search(r"KEY|TOKEN|PASSWORD|SECRET", name), f"{unit.name}: {name}"
        assert not unit.values("Service", "SetCredential")
    for path, text in node.texts().items():
        assert not re.search(r"\bsk-[\w-]{8,}", text), path
        assert not re.search(r"[a-z]+://[^/\s:@]*:[^/\s@]+@", text), path
        # 24 random bytes or more, as hexadecimal digits.
        assert not re.search(r"(?<![0-9a-z])[0-9a-f]{48,}(?![0-9a-z])", text), path


@every_machine
def test_a_job_runs_as_the_services_user_with_its_state_and_secrets(node: Node) -> None:
    jobs = _jobs(node)
    assert {job.name for job in jobs} == {
        "hybrid-ai-dashboard-data.service",
        "hybrid-ai-health-check.service",
        "hybrid-ai-pattern-extraction.service",
    }
    for job in jobs:
        assert job.value("Service", "Type") == "oneshot"
        for key in ("User", "DynamicUser", "StateDirectory", "StateDirectoryMode"):
            assert job.value("Service", key) == node.coordinator.value("Service", key), job.name
        assert job.values("Service", "LoadCredential") == node.coordinator.values(
            "Service", "LoadCredential"
        )


@every_machine
def test_every_job_has_a_timer_that_fires(node: Node) -> None:
    for job in _jobs(node):
        timer = node.units[job.name.replace(".service", ".timer")]
        keys = timer.sections["Timer"].keys()
        assert keys & {"OnCalendar", "OnUnitActiveSec", "OnUnitInactiveSec"}


def test_a_failure_of_a_part_of_ours_calls_the_hook() -> None:
    [full] = [node for node in OURS if node.name == "full/machine"]
    ours = [full.coordinator, full.units["lemonade-server.service"], *_jobs(full)]
    for unit in ours:
        assert unit.units("OnFailure") == {"failure-hook@%n.service"}, unit.name


@every_node
def test_all_that_is_named_of_the_store_is_there(node: Node) -> None:
    packages = {path.removeprefix("/nix/store/") for path in node.data("packages")}
    linked = {path.split("/")[3] for path in node.data("store-links")}
    store = node.folder / "store"
    generated = {path.name for path in store.iterdir()} if store.is_dir() else set()
    named = {name for text in node.texts().values() for name in _STORE_PATH.findall(text)}
    assert named <= packages | linked | generated
    assert generated <= named


@every_node
def test_a_generated_script_can_be_run_by_a_program_that_is_there(node: Node) -> None:
    for path, text in node.texts().items():
        if text.startswith("#!"):
            interpreter = text.splitlines()[0].removeprefix("#!").split()[0]
            assert interpreter.split("/bin/")[0] in node.data("packages"), path
            assert (node.folder / path).stat().st_mode & 0o111, path


@every_node
def test_a_generated_script_is_right_by_the_shell(node: Node) -> None:
    for path, text in node.texts().items():
        if text.startswith("#!"):
            read = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
            assert read.returncode == 0, f"{path}: {read.stderr}"


@every_node
def test_every_link_leads_to_a_unit(node: Node) -> None:
    for link, target in node.data("links").items():
        assert target == "/dev/null" or target.removeprefix("../") in node.units, link


@every_node
def test_nothing_of_this_machine_is_rendered(node: Node) -> None:
    for path, text in node.texts().items():
        assert not re.search(r"/(root|work|home|tmp)/|\.cache|\.venv", text), path


def _secret_names(value: object) -> set[str]:
    """Every `…_file` of the settings that names a secret."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            if re.fullmatch(r"api_keys?_file", key):
                assert isinstance(inner, str)
                found.add(inner)
            else:
                found |= _secret_names(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= _secret_names(inner)
    return found
