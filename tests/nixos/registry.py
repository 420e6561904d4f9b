"""The named tests: how one is declared, which of them a scenario runs, and how they are run.

A test is a function of the scenario's machines, declared by ``@named``. ``run`` runs those that
``enabled`` lists for a scenario, and after each looks into every machine's journal: a unit that
failed, or a traceback of ours, fails the test that was running, unless the test said that it makes
just that unit fail. A name that is enabled but not defined is an error before anything runs. This
file is not for starting machines, and knows nothing of what a test looks at.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.nixos.enabled import ENABLED, QEMU
from tests.nixos.journal import Journal
from tests.nixos.machine import Machines

__all__ = ["NamedTest", "NamedTestsFailed", "UndefinedTest", "collect", "named", "plan", "run"]

Script = Callable[[Machines], None]


class UndefinedTest(Exception):
    """A test is enabled that nobody wrote, or in a scenario or on a machine it is not made for."""


class NamedTestsFailed(AssertionError):
    """Some of the tests that ran failed; each was printed when it did."""


@dataclass(frozen=True, slots=True)
class NamedTest:
    """A test script with what it needs. ``fails`` are the units that it makes fail on purpose."""

    name: str
    script: Script
    scenarios: frozenset[str]
    qemu: bool
    fails: frozenset[str]


_registered: dict[str, NamedTest] = {}


def named(
    name: str, *, scenarios: Iterable[str], qemu: bool = False, fails: Iterable[str] = ()
) -> Callable[[Script], Script]:
    """Declare the decorated function as the test ``name``.

    ``scenarios`` are those it can run in; ``qemu`` says that it is also for a virtual machine,
    where limits on memory and processes are real. ``fails`` are units whose failure belongs to the
    test.
    """

    def declare(script: Script) -> Script:
        if name in _registered and _registered[name].script.__module__ != script.__module__:
            raise UndefinedTest(f"two tests are called '{name}': give one of them another name")
        _registered[name] = NamedTest(name, script, frozenset(scenarios), qemu, frozenset(fails))
        return script

    return declare


def collect() -> Mapping[str, NamedTest]:
    """Every test there is, by name: what the modules of ``tests.nixos.named`` declare."""
    package = importlib.import_module("tests.nixos.named")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(_registered)


def plan(
    scenario: str,
    names: Sequence[str] = (),
    *,
    qemu: bool = False,
    tests: Mapping[str, NamedTest] | None = None,
) -> list[NamedTest]:
    """The tests to run: ``names`` where given, else what is enabled, in the order of the list.

    Raises:
        UndefinedTest: an unknown scenario, a name that is not defined, or a test that is not for
            this scenario or not for QEMU.
    """
    known = collect() if tests is None else tests
    if scenario not in ENABLED:
        raise UndefinedTest(
            f"there is no scenario '{scenario}': there are {', '.join(sorted(ENABLED))}"
        )
    wanted = list(names) or [n for n in ENABLED[scenario] if not qemu or n in QEMU]
    found = []
    for name in wanted:
        test = known.get(name)
        if test is None:
            raise UndefinedTest(
                f"the test '{name}' is enabled in the scenario '{scenario}' but not defined: "
                f"declare it in tests/nixos/named, or name one of {', '.join(sorted(known))}"
            )
        if scenario not in test.scenarios:
            raise UndefinedTest(
                f"the test '{name}' is not for the scenario '{scenario}': it is for "
                f"{', '.join(sorted(test.scenarios))}"
            )
        if qemu and not test.qemu:
            raise UndefinedTest(
                f"the test '{name}' is not declared for QEMU: declare it with qemu=True, or "
                "leave it out"
            )
        found.append(test)
    return found


def run(
    machines: Machines,
    scenario: str,
    names: Sequence[str] = (),
    *,
    qemu: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Run a scenario's tests on its machines, all of them, a line each.

    Raises:
        UndefinedTest: before anything runs.
        NamedTestsFailed: after all have run, naming those that failed.
    """
    tests = plan(scenario, names, qemu=qemu)
    for machine in machines.values():
        # Before that, not even the journal can be asked.
        machine.wait_for_unit("multi-user.target")
    failed = []
    for test in tests:
        started = time.monotonic()
        problem = _run_one(test, machines)
        seconds = time.monotonic() - started
        verdict = "ok" if problem is None else "FAILED"
        say(f"[named] {scenario} {test.name} … {verdict} ({seconds:.1f} s)")
        if problem is not None:
            say(problem)
            failed.append(test.name)
    if failed:
        raise NamedTestsFailed(
            f"of the scenario '{scenario}' these tests failed: {', '.join(failed)}"
        )


def _run_one(test: NamedTest, machines: Machines) -> str | None:
    """Run a test and read the journals; what is wrong, or None."""
    try:
        journals = {name: Journal(machine) for name, machine in machines.items()}
        test.script(machines)
        for name, journal in journals.items():
            if problems := journal.problems(test.fails):
                listed = "\n".join(problems)
                return f"the test itself passed, but the journal of '{name}' says:\n{listed}"
    except Exception:  # noqa: BLE001  (whatever it raises is that test's failure; others still run)
        return traceback.format_exc()
    return None
