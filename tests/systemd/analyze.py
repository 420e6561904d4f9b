"""`systemd-analyze` of Debian trixie's systemd on unit files that are not installed anywhere.

It runs by the root folder's own loader, so neither a booted systemd nor a chroot is needed. Not for
what units do once they run: the guest's tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.testbed import roots
from tests.testbed.cache import require_root

_PROGRAM = re.compile(r"/nix/store/[^\s\"':]+/bin/[\w.-]+")
_OVERALL = re.compile(r"Overall exposure level for (\S+): ([\d.]+)")

# Arguments: the stand-in of the store, then the command. The mount ends with the namespace.
_WITH_STORE = 'mount --make-rprivate / && mount --bind "$1" /nix || exit 125; shift; exec "$@"'


def exposure(units: Sequence[Path]) -> dict[str, float]:
    """The exposure level of each service, 0 (none) to 10, as systemd counts it."""
    done = subprocess.run(
        [*_systemd_analyze(), "security", "--offline=true", "--no-pager", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
    )
    # A template is measured as an instance of this name.
    levels = {
        name.replace("@test_instance.", "@."): float(level)
        for name, level in _OVERALL.findall(done.stdout)
    }
    missing = {unit.name for unit in units} - levels.keys()
    if missing:
        raise AssertionError(f"No exposure level for {sorted(missing)}:\n{done.stderr}")
    return levels


def findings(node: Path) -> str:
    """What `systemd-analyze verify` has to say about all units of a rendered node; "" for nothing.

    Programs and generated files are put where the units name them, in a namespace of its own.
    """
    require_root()
    units = node / "units"
    Path("/nix").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "store"
        shutil.copytree(node / "store", store) if (node / "store").is_dir() else store.mkdir()
        for program in _programs(node):
            target = Path(name) / Path(program).relative_to("/nix")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("#!/bin/sh\n", encoding="utf-8")
            target.chmod(0o755)
        done = subprocess.run(
            [
                *("unshare", "--mount", "sh", "-c", _WITH_STORE, "sh", name),
                *_systemd_analyze(),
                *("verify", "--man=no", "--recursive-errors=yes"),
                *map(str, sorted(units.iterdir())),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:{_own_units()}"},
            check=False,
        )
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0 and not said:
        return f"systemd-analyze verify ended with status {done.returncode}"
    return said


def _programs(node: Path) -> set[str]:
    """The programs of packages that the units run."""
    packages = json.loads((node / "packages.json").read_text(encoding="utf-8"))
    named = {
        program
        for unit in (node / "units").iterdir()
        for program in _PROGRAM.findall(unit.read_text(encoding="utf-8"))
    }
    return {program for program in named if program.rsplit("/bin/", 1)[0] in packages}


def _systemd_analyze() -> list[str]:
    root = roots.trixie()
    loader, option, libraries, program = roots.loader_argv(root, "usr/bin/systemd-analyze")
    # systemd keeps its shared code in a folder of its own.
    own = ":".join(f"{folder}/systemd" for folder in libraries.split(":"))
    return [loader, option, f"{own}:{libraries}", program]


def _own_units() -> Path:
    return roots.trixie() / "usr/lib/systemd/system"
