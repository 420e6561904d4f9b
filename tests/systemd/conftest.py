"""Fixtures of the guests: one boot for a scenario, and its state after a failure.

Tests come sorted by scenario, so at most one is booted at a time. Where this machine cannot run a
guest the tests fail with the sentence that says what is missing; only HYBRID_AI_TESTBED leaves
them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from tests.systemd.channel import GuestError
from tests.systemd.driver import GuestMachine
from tests.systemd.scenario import booted
from tests.testbed.cache import PartUnavailable
from tests.testbed.requirement import require

Boot = Callable[[str, bool], Mapping[str, GuestMachine]]
"""Scenario and whether it is a virtual machine → its nodes."""


@pytest.fixture(scope="session")
def boot() -> Iterator[Boot]:
    """Boots a scenario, or gives the one that is booted; another takes its place."""
    with ExitStack() as stack:
        current: dict[tuple[str, bool], Mapping[str, GuestMachine]] = {}

        def booting(scenario: str, qemu: bool = False) -> Mapping[str, GuestMachine]:
            require("systemd")
            if (scenario, qemu) not in current:
                stack.close()
                current.clear()
                try:
                    machines = stack.enter_context(booted(scenario, qemu=qemu))
                except (GuestError, PartUnavailable) as error:
                    pytest.fail(
                        f"The scenario '{scenario}' cannot be booted: {error}", pytrace=False
                    )
                current[scenario, qemu] = machines
            return current[scenario, qemu]

        yield booting
