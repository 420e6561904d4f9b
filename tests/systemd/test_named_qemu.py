"""The named tests that need a whole machine: limits on memory and processes, and a real boot.

Software emulation is slow, so it is one scenario and the tests that tests/nixos lists for it.
"""

from __future__ import annotations

import pytest

from tests.nixos import registry
from tests.nixos.enabled import ENABLED, QEMU
from tests.systemd.conftest import Boot

SCENARIO = "minimal"
NAMES = [name for name in ENABLED[SCENARIO] if name in QEMU]


@pytest.mark.parametrize("name", NAMES)
def test_the_rendered_units_pass_their_named_tests_in_a_virtual_machine(
    name: str, boot: Boot
) -> None:
    machines = boot(SCENARIO, True)
    try:
        registry.run(machines, SCENARIO, [name], qemu=True)
    except registry.NamedTestsFailed:
        for machine in machines.values():
            print(machine.state())
        raise
