"""The list of named tests: complete, consistent, and unforgiving where it is not."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.nixos import registry
from tests.nixos.enabled import ENABLED, QEMU
from tests.nixos.machine import Machines
from tests.nixos.registry import NamedTest, NamedTestsFailed, UndefinedTest, collect, plan, run

NIXOS = Path(registry.__file__).parent

REQUIRED = {
    "boots": True,
    "answers": False,
    "notify": True,
    "watchdog": True,
    "restart-without-drop": False,
    "reload": False,
    "credentials": False,
    "sandbox": True,
    "timers": False,
    "scrape": False,
    "grafana-provisioned": False,
    "degraded": False,
    "kill": True,
    "remote-stores": False,
    "upgrade": False,
    "first-boot": False,
    "bad-settings": False,
    "extraction-runs": True,
    "outbox-survives-kill": True,
    "queue-waits-for-model": False,
}
"""The tests that were asked for, and whether QEMU has to run them too."""


class FakeMachine:
    """A machine whose journal says what it is told to."""

    def __init__(self, name: str = "machine") -> None:
        self.name = name
        self.export = ""
        self.failed: list[str] = []
        self.listed = ""

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        (command,) = commands
        if "--lines=1" in command:
            return "__CURSOR=s=1\n"
        if "--output=json" in command:
            lines = (json.dumps({"UNIT": unit, "MESSAGE": "it failed"}) for unit in self.failed)
            return "\n".join(lines)
        return self.export

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        return 0, self.listed

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: int = 900) -> None:
        assert unit == "multi-user.target"


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, NamedTest]:
    """A registry of its own, and the scenario ``minimal`` to enable tests in."""
    tests: dict[str, NamedTest] = {}
    monkeypatch.setattr(registry, "collect", lambda: tests)
    return tests


def script(machines: Machines) -> None:
    """Does nothing, well."""


def test_every_test_that_was_asked_for_is_defined_with_its_qemu_mark() -> None:
    tests = collect()
    assert {name: tests[name].qemu for name in REQUIRED} == REQUIRED


def test_every_test_that_was_asked_for_is_enabled_somewhere() -> None:
    enabled = {name for names in ENABLED.values() for name in names}
    assert set(REQUIRED) <= enabled
    assert set(collect()) == enabled, "a test is defined that no scenario runs"


def test_every_enabled_test_is_defined_for_its_scenario() -> None:
    for scenario, names in ENABLED.items():
        assert [test.name for test in plan(scenario)] == list(names)


def test_qemu_runs_exactly_the_tests_that_were_marked() -> None:
    assert set(QEMU) == {name for name, qemu in REQUIRED.items() if qemu}
    assert set(QEMU) == {test.name for test in plan("minimal", qemu=True)}


def test_every_scenario_is_a_module_and_every_module_a_scenario() -> None:
    modules = {file.stem for file in (NIXOS / "scenarios").glob("*.nix")} - {"common"}
    assert set(ENABLED) == modules


def test_an_enabled_name_that_is_not_defined_is_an_error_before_anything_runs(
    declared: dict[str, NamedTest], machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    declared["boots"] = NamedTest(
        "boots", lambda machines: ran.append(1), frozenset({"minimal"}), True, frozenset()
    )
    monkeypatch.setattr(registry, "ENABLED", {"minimal": ("boots", "flies")})
    with pytest.raises(UndefinedTest, match="'flies' is enabled in the scenario 'minimal'"):
        run({"machine": machine}, "minimal")  # type: ignore[dict-item]
    assert ran == []


@pytest.mark.parametrize(
    ("scenario", "names", "qemu", "message"),
    [
        ("maximal", (), False, "there is no scenario 'maximal'"),
        ("minimal", ("flies",), False, "'flies' is enabled .* but not defined"),
        ("minimal", ("scrape",), False, "'scrape' is not for the scenario 'minimal'"),
        ("minimal", ("answers",), True, "'answers' is not declared for QEMU"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_sentence(
    scenario: str, names: tuple[str, ...], qemu: bool, message: str
) -> None:
    with pytest.raises(UndefinedTest, match=message):
        plan(scenario, names, qemu=qemu)


def test_two_tests_of_one_name_are_refused() -> None:
    registry.named("boots-twice", scenarios=("minimal",))(script)
    other: Any = lambda machines: None  # noqa: E731
    other.__module__ = "somewhere.else"
    try:
        with pytest.raises(UndefinedTest, match="two tests are called 'boots-twice'"):
            registry.named("boots-twice", scenarios=("minimal",))(other)
    finally:
        registry._registered.pop("boots-twice")


def _run(
    declared: dict[str, NamedTest],
    monkeypatch: pytest.MonkeyPatch,
    machine: FakeMachine,
    tests: Mapping[str, Any],
    fails: frozenset[str] = frozenset(),
) -> list[str]:
    for name, body in tests.items():
        declared[name] = NamedTest(name, body, frozenset({"minimal"}), False, fails)
    monkeypatch.setattr(registry, "ENABLED", {"minimal": tuple(tests)})
    said: list[str] = []
    try:
        run({"machine": machine}, "minimal", say=said.append)  # type: ignore[dict-item]
    except NamedTestsFailed as error:
        said.append(f"raised: {error}")
    return said


def test_each_test_is_a_line_and_a_failure_does_not_keep_the_others_from_running(
    declared: dict[str, NamedTest], machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(machines: Machines) -> None:
        raise AssertionError("the port is closed")

    said = _run(declared, monkeypatch, machine, {"one": broken, "two": script})
    assert said[0].startswith("[named] minimal one … FAILED")
    assert "the port is closed" in said[1]
    assert said[2].startswith("[named] minimal two … ok")
    assert said[3] == "raised: of the scenario 'minimal' these tests failed: one"


def test_a_unit_that_failed_in_the_journal_fails_the_test_that_ran(
    declared: dict[str, NamedTest], machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.failed = ["redis-hybrid-ai.service"]
    said = _run(declared, monkeypatch, machine, {"one": script})
    assert "redis-hybrid-ai.service: it failed" in said[1]
    assert said[-1].startswith("raised:")


def test_a_unit_that_the_test_makes_fail_is_no_failure_unless_it_is_left_so(
    declared: dict[str, NamedTest], machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = frozenset({"hybrid-coordinator.service"})
    machine.failed = ["hybrid-coordinator.service"]
    said = _run(declared, monkeypatch, machine, {"one": script}, fails)
    assert len(said) == 1
    assert "ok" in said[0]
    machine.listed = "hybrid-coordinator.service loaded failed failed Gateway\n"
    said = _run(declared, monkeypatch, machine, {"one": script}, fails)
    assert "is in the state 'failed'" in said[1]


def test_a_traceback_in_the_journal_fails_the_test_that_ran(
    declared: dict[str, NamedTest], machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.export = 'MESSAGE=oops\nTraceback (most recent call last):\n  File "x.py"\n'
    said = _run(declared, monkeypatch, machine, {"one": script})
    assert "a traceback was logged" in said[1]


def scripts() -> list[Path]:
    return sorted(NIXOS.rglob("*.py"))


@pytest.mark.parametrize("file", scripts(), ids=lambda file: str(file.relative_to(NIXOS)))
def test_scripts_need_nothing_but_the_standard_library(file: Path) -> None:
    beside = {other.stem for other in file.parent.glob("*.py")} if "tools" in file.parts else set()
    foreign = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import names its module in full"
            modules = [node.module or ""]
        for module in modules:
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in beside:
                foreign.add(module)
    assert {module for module in foreign if not module.startswith("tests.nixos")} == set()


def test_no_tool_has_the_name_of_a_module_of_the_standard_library() -> None:
    names = {file.stem for file in (NIXOS / "tools").glob("*.py")}
    assert not names & sys.stdlib_module_names, "beside a tool it would be imported instead"
