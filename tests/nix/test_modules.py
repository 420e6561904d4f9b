"""What options come to: parts here, elsewhere or off, renamed options, and the template's host.

Evaluates our modules on the stand-ins of NixOS. What every scenario's units have in common is in
`test_units.py`; what is refused is in `test_wrong_hosts.py`.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.nix.evaluation import build, coordinator, evaluate
from tests.nix.requirement import need_library
from tests.nix.units import parse

need_library()

_UNITS_OF = {
    "qdrant": {"qdrant.service"},
    "redis": {"redis-hybrid-ai.service"},
    "ollama": {"ollama.service", "ollama-model-loader.service"},
    "lemonade": {"lemonade-server.service"},
}
_ALWAYS = {
    "hybrid-ai.target",
    "hybrid-coordinator.service",
    "hybrid-coordinator.socket",
    "hybrid-ai-dashboard-data.service",
    "hybrid-ai-dashboard-data.timer",
    "hybrid-ai-health-check.service",
    "hybrid-ai-health-check.timer",
    "hybrid-ai-pattern-extraction.service",
    "hybrid-ai-pattern-extraction.timer",
}
_EXTRACTION = {unit for unit in _ALWAYS if "pattern-extraction" in unit}
_ELSEWHERE = {
    "qdrant": "http://10.0.0.5:6333",
    "redis": "redis://10.0.0.5:6379",
    "ollama": "http://10.0.0.5:11434",
    "lemonade": "http://10.0.0.5:13305",
}


def _host(options: str) -> Any:
    """A host with these lines inside `services.hybrid-ai`; a module as Nix text."""
    return _node(f"{{ services.hybrid-ai = {{ enable = true; {options} }}; }}")


def _node(module: str) -> Any:
    return evaluate(
        'let node = import "${here}/evaluate.nix" { modules = [ "${here}/../../modules" '
        f"({module}) ]; }}; in {{ inherit (node) failed warnings units links store host; "
        "settings = if node.config.services.hybrid-ai.enable "
        'then builtins.readFile "${node.config.services.hybrid-ai.coordinator.settingsFile}" '
        'else "null"; }'
    )


def _settings(node: Any) -> Any:
    return json.loads(node["settings"])


def test_enable_alone_turns_everything_on() -> None:
    node = _host("")
    assert node["failed"] == []
    assert node["warnings"] == []
    assert _ALWAYS | {unit for units in _UNITS_OF.values() for unit in units} == set(node["units"])


def test_without_enable_nothing_is_added_to_the_machine() -> None:
    node = _node("{ services.hybrid-ai.coordinator.port = 9000; }")
    assert node["units"] == {}
    assert node["host"]["etc"] == {}
    assert node["host"]["systemPackages"] == []


@pytest.mark.parametrize("part", _UNITS_OF)
def test_a_part_that_is_off_leaves_no_unit(part: str) -> None:
    node = _host(f"{part}.enable = false;")
    assert node["failed"] == []
    assert not _UNITS_OF[part] & node["units"].keys()
    assert not [link for link in node["links"] if link.rsplit("/", 1)[1] in _UNITS_OF[part]]
    coordinator = parse("x", node["units"]["hybrid-coordinator.service"])
    assert not _UNITS_OF[part] & (coordinator.units("Wants") | coordinator.units("After"))


@pytest.mark.parametrize(("part", "url"), _ELSEWHERE.items())
def test_a_part_can_be_somewhere_else(part: str, url: str) -> None:
    node = _host(f'{part}.url = "{url}";')
    assert node["failed"] == []
    assert not _UNITS_OF[part] & node["units"].keys()
    settings = _settings(node)
    if part in ("qdrant", "redis"):
        assert settings[part]["url"] == url
    else:
        assert settings["backends"][part]["base_url"] == url


def test_a_coordinator_that_only_knows_this_machine_has_no_other_network() -> None:
    local = parse("x", _host("ollama.enable = false;")["units"]["hybrid-coordinator.service"])
    assert local.values("Service", "IPAddressDeny") == ["any"]
    elsewhere = _host('qdrant.url = "http://10.0.0.5:6333";')["units"]["hybrid-coordinator.service"]
    assert parse("x", elsewhere).values("Service", "IPAddressDeny") == []


def test_everything_can_be_off_but_the_coordinator_and_a_remote_api() -> None:
    off = " ".join(f"{part}.enable = false;" for part in _UNITS_OF)
    node = _host(
        f'{off} coordinator.remote = {{ kind = "anthropic"; models = [ {{ name = "m"; }} ]; }};'
        ' coordinator.remoteApiKeyFile = "/run/secrets/remote"; jobs.healthCheck.enable = false;'
        " jobs.patternExtraction.enable = false; jobs.dashboardData.enable = false;"
    )
    assert node["failed"] == []
    assert set(node["units"]) == {
        "hybrid-ai.target",
        "hybrid-coordinator.service",
        "hybrid-coordinator.socket",
    }


def test_a_secret_by_its_path_in_the_settings_becomes_a_credential() -> None:
    node = _host(
        'coordinator.settings.backends.mistral = { kind = "openai"; tier = "remote";'
        ' base_url = "https://api.example.org"; api_key_file = "/run/secrets/mistral";'
        ' models = [ { name = "m"; } ]; };'
    )
    assert node["failed"] == []
    name = _settings(node)["backends"]["mistral"]["api_key_file"]
    unit = parse("x", node["units"]["hybrid-coordinator.service"])
    assert f"{name}:/run/secrets/mistral" in unit.values("Service", "LoadCredential")


def test_settings_are_free_in_form_and_reach_the_file_as_they_are() -> None:
    node = _host("coordinator.settings.routing.local_confidence_threshold = 0.8;")
    assert _settings(node)["routing"] == {"local_confidence_threshold": 0.8}


@pytest.mark.parametrize("option", ["enable", "pattern_extraction_enabled"])
def test_where_nothing_is_to_be_learned_no_timer_extracts_patterns(option: str) -> None:
    node = _host(f"coordinator.settings.learning.{option} = false;")
    assert node["failed"] == []
    assert set(node["units"]) >= _ALWAYS - _EXTRACTION
    assert not _EXTRACTION & node["units"].keys()
    assert not [link for link in node["links"] if "pattern-extraction" in link]
    assert _settings(node)["learning"] == {option: False}


def test_what_a_host_leaves_open_of_learning_is_the_coordinators_default() -> None:
    node = _host("coordinator.settings.learning.share = true;")
    assert _settings(node)["learning"] == {"share": True}


def test_patterns_are_extracted_by_the_clock_or_by_an_interval_of_the_host() -> None:
    name = "hybrid-ai-pattern-extraction.timer"
    by_clock = parse(name, _host("")["units"][name])
    assert by_clock.value("Timer", "OnCalendar") == "hourly"
    assert by_clock.value("Timer", "Persistent") == "true"
    assert by_clock.value("Timer", "RandomizedDelaySec") == "5min"
    by_interval = _host('jobs.patternExtraction.interval = "10min";')
    assert by_interval["failed"] == []
    timer = parse(name, by_interval["units"][name])
    assert timer.value("Timer", "OnUnitInactiveSec") == "10min"
    assert timer.value("Timer", "OnCalendar") is None


def test_a_job_without_a_coordinator_or_stopped_with_it_has_not_failed() -> None:
    units = _host("")["units"]
    job = parse("x", units["hybrid-ai-pattern-extraction.service"])
    assert job.values("Service", "SuccessExitStatus") == ["75", "SIGTERM"]
    check = parse("x", units["hybrid-ai-health-check.service"])
    assert check.values("Service", "SuccessExitStatus") == ["SIGTERM"]


def test_a_host_setting_wins_over_the_sandbox() -> None:
    node = _node(
        "{ services.hybrid-ai.enable = true;"
        " systemd.services.hybrid-coordinator.serviceConfig.ProtectHome = false; }"
    )
    unit = parse("x", node["units"]["hybrid-coordinator.service"])
    assert unit.values("Service", "ProtectHome") == ["false"]


def test_a_named_relaxation_changes_what_it_names() -> None:
    key = "IPAddressDeny"
    before = parse("x", _host("")["units"]["qdrant.service"])
    after = parse("x", _host('relaxations.qdrant = [ "network" ];')["units"]["qdrant.service"])
    assert before.values("Service", key) == ["any"]
    assert after.values("Service", key) == []


_RENAMED = {
    "host": ("host", '"127.0.0.2"', ("host",), "127.0.0.2"),
    "port": ("port", "9000", ("port",), 9000),
    "settings": ("settings.log_level", '"debug"', ("log_level",), "debug"),
    "qdrantUrl": ("qdrantUrl", '"http://10.0.0.5:6333"', ("qdrant", "url"), "http://10.0.0.5:6333"),
    "redisUrl": ("redisUrl", '"redis://10.0.0.5"', ("redis", "url"), "redis://10.0.0.5"),
    "lemonade.baseUrl": (
        "lemonade.baseUrl",
        '"http://10.0.0.5:1"',
        ("backends", "lemonade", "base_url"),
        "http://10.0.0.5:1",
    ),
    "ollama.baseUrl": (
        "ollama.baseUrl",
        '"http://10.0.0.5:2"',
        ("backends", "ollama", "base_url"),
        "http://10.0.0.5:2",
    ),
    "ollama.loadModels": (
        "ollama.loadModels",
        '[ "gemma3" ]',
        ("backends", "ollama", "models"),
        [{"name": "gemma3"}],
    ),
}


@pytest.mark.parametrize("old", _RENAMED)
def test_an_old_name_still_works_and_says_its_new_one(old: str) -> None:
    option, value, path, expected = _RENAMED[old]
    node = _host(f"{option} = {value};")
    assert node["failed"] == []
    [warning] = [text for text in node["warnings"] if "renamed" in text]
    assert f"services.hybrid-ai.{old}'" in warning
    found = _settings(node)
    for key in path:
        found = found[key]
    assert found == expected


def test_a_changed_socket_is_stopped_at_a_switch_of_the_system() -> None:
    # NixOS' switch leaves a socket as it is, and the service would go on at the old address.
    script = evaluate(
        'let node = import "${here}/evaluate.nix" { modules = [ "${here}/../../modules"'
        " { services.hybrid-ai.enable = true; } ]; }; in"
        " node.config.system.activationScripts.hybrid-coordinator-socket.text"
    )
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert "stop hybrid-coordinator.socket hybrid-coordinator.service" in script


def test_the_templates_host_can_be_built() -> None:
    node = evaluate('(import "${here}/host.nix" { path = import "${here}/template.nix"; }).data')
    assert node["failed"] == []
    assert node["warnings"] == []
    assert "hybrid-coordinator.service" in node["units"]


def test_the_settings_of_the_templates_host_are_accepted() -> None:
    build(
        '(import "${here}/host.nix" { path = import "${here}/template.nix";'
        " inherit folder digest; }).settings",
        **coordinator(),
    )
