"""A scenario by hand: `python -m tests.systemd <scenario> [test…] [--qemu] [--shell]`.

It boots the scenario's guests, runs the named tests that are enabled for it (or those that are
named), and with --shell gives a shell in a guest at the end. Not used by pytest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from tests.nixos import registry
from tests.systemd.channel import GuestError
from tests.systemd.driver import GuestMachine
from tests.systemd.rendered_node import UnknownScenario, scenarios
from tests.systemd.scenario import booted
from tests.testbed.cache import PartUnavailable, say


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.systemd", description=__doc__)
    parser.add_argument("scenario", help=f"one of {', '.join(scenarios())}")
    parser.add_argument("tests", nargs="*", help="names of tests; those enabled by default")
    parser.add_argument("--qemu", action="store_true", help="a virtual machine, not a container")
    parser.add_argument("--shell", action="store_true", help="run no test but a shell inside")
    parser.add_argument("--node", help="the node of the shell; the first by default")
    chosen = parser.parse_args()
    try:
        with booted(chosen.scenario, qemu=chosen.qemu) as machines:
            say(f"{chosen.scenario}: {', '.join(machines)} booted")
            if chosen.shell:
                return machines[chosen.node or next(iter(machines))].shell()
            return _tests(machines, chosen.scenario, chosen.tests, qemu=chosen.qemu)
    except (GuestError, PartUnavailable, UnknownScenario, registry.UndefinedTest) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _tests(
    machines: Mapping[str, GuestMachine], scenario: str, names: list[str], *, qemu: bool
) -> int:
    try:
        registry.run(machines, scenario, names, qemu=qemu)
    except registry.NamedTestsFailed as error:
        for machine in machines.values():
            print(machine.state(), file=sys.stderr)
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
