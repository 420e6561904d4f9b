"""bad-settings: a wrong setting is refused while the system is built, by the option's Nix name.

The derivation of ``modules/checked-settings.nix`` is built inside the machine by Nix, with the
coordinator that is installed there: the same check as in ``nixos-rebuild``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.nixos.background import FOLDER
from tests.nixos.coordinator import Coordinator
from tests.nixos.machine import Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, properties

EXPRESSION = Path(__file__).parents[3] / "modules" / "checked-settings.nix"
OPTION = "services.hybrid-ai.coordinator.settings"
FOLDER_OF_IT = f"{FOLDER}/bad-settings"

WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"caache": {"enable": False}}, "caache"),
    ({"routing": {"local_confidence_threshold": 7}}, "routing.local_confidence_threshold"),
    ({"server": {"grace_period": "soon"}}, "server.grace_period"),
    ({"backends": {"far": {"kind": "openai"}}}, "backends.far"),
    ({"host": "0.0.0.0"}, ""),
)
"""Wrong settings, and the option that the refusal must name."""

BUILD = """
let
  runCommandLocal = name: environment: script: derivation (environment // {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = "%(path)s";
  });
in
import %(folder)s/checked-settings.nix {
  inherit runCommandLocal;
  coordinator = "%(coordinator)s";
  settingsFile = %(folder)s/settings.json;
}
"""


@named("bad-settings", scenarios=("minimal",))
def bad_settings(machines: Machines) -> None:
    """Each wrong settings file fails its build with the option's name; the right one is built."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    machine.succeed(f"mkdir -p {FOLDER_OF_IT}")
    _write(machine, "checked-settings.nix", EXPRESSION.read_text(encoding="utf-8"))
    _write(machine, "build.nix", BUILD % _places(machine))

    for wrong, option in WRONG:
        _write(machine, "settings.json", json.dumps({**coordinator.settings, **wrong}))
        status, said = machine.execute(f"{_build()} 2>&1", timeout=300)
        assert status != 0, f"these settings were built: {wrong}"
        name = f"{OPTION}.{option}" if option else OPTION
        assert re.search(rf"{re.escape(name)}(?![\w.]*\w)", said), (
            f"the refusal of {wrong} does not name {name}: {said}"
        )
        assert "Traceback" not in said, said

    right = json.dumps(coordinator.settings, indent=1)
    _write(machine, "settings.json", right)
    built = machine.succeed(_build(), timeout=300).strip().splitlines()[-1]
    assert re.fullmatch(r"/nix/store/\S+-settings\.json", built), built
    machine.succeed(f"cmp {built} {FOLDER_OF_IT}/settings.json")


def _places(machine: Machine) -> dict[str, str]:
    started = properties(machine, COORDINATOR, "ExecStart")["ExecStart"]
    program = re.search(r"path=(\S+)/bin/hybrid-coordinator", started)
    assert program, started
    return {
        "folder": FOLDER_OF_IT,
        "coordinator": program[1],
        "path": machine.succeed("dirname $(command -v cat)").strip(),
    }


def _write(machine: Machine, name: str, text: str) -> None:
    machine.succeed(f"cat > {FOLDER_OF_IT}/{name} <<'END-OF-FILE'\n{text}\nEND-OF-FILE")


def _build() -> str:
    options = "--option sandbox false --option substitute false --no-out-link"
    return f"nix-build {options} {FOLDER_OF_IT}/build.nix"
