"""The named tests of every scenario, on its rendered units in containers.

Which tests a scenario has is said in tests/nixos; here they are only run. Not for a virtual
machine: see `test_named_qemu`.
"""

from __future__ import annotations

import pytest

from tests.nixos import registry
from tests.nixos.enabled import ENABLED
from tests.systemd.conftest import Boot

CASES = [(scenario, name) for scenario in sorted(ENABLED) for name in ENABLED[scenario]]


@pytest.mark.parametrize(("scenario", "name"), CASES, ids=["/".join(case) for case in CASES])
def test_the_rendered_units_of_a_scenario_pass_its_named_tests(
    scenario: str, name: str, boot: Boot
) -> None:
    machines = boot(scenario, False)
    try:
        registry.run(machines, scenario, [name])
    except registry.NamedTestsFailed:
        for machine in machines.values():
            print(machine.state())
        raise
