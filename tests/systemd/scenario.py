"""A scenario's guests from boot to end: `with booted("minimal") as machines: …`.

Not for choosing and running tests: see `__main__` and `test_named`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.systemd import host, layer, rendered_node
from tests.systemd.channel import GuestError
from tests.systemd.driver import GuestMachine
from tests.systemd.guardian import Guardian
from tests.systemd.nspawn import Container
from tests.systemd.qemu import VirtualMachine
from tests.systemd.rendered_node import RENDERED


@contextmanager
def booted(
    scenario: str, *, qemu: bool = False, folder: Path = RENDERED
) -> Iterator[Mapping[str, GuestMachine]]:
    """The scenario's nodes, each booted as far as its systemd answers; at the end all are gone.

    Raises UnknownScenario, GuestError where this machine cannot do it, and PartUnavailable.
    """
    cgroup2 = host.require()
    nodes = rendered_node.nodes(scenario, folder)
    if qemu and len(nodes) > 1:
        raise GuestError(
            f"the scenario '{scenario}' has {len(nodes)} nodes, and a virtual machine runs one: "
            "leave out --qemu."
        )
    names = [node.name for node in nodes]
    shared = layer.shared()
    guardian = Guardian(cgroup2)
    try:
        machines: dict[str, GuestMachine] = {}
        first: Container | None = None
        for node in nodes:
            files = guardian.folder / f"{node.name}.layer"
            files.mkdir()
            layer.write(node, names, files)
            if qemu:
                machine = VirtualMachine(node.name, files, shared, guardian)
                machines[node.name] = GuestMachine(node.name, machine)
                continue
            container = Container(node.name, files, shared, guardian, first)
            first = first or container
            machines[node.name] = GuestMachine(node.name, container)
        yield machines
    finally:
        guardian.close()
