"""Nix programs for the tests: the one on PATH, or Debian trixie's from the testbed's root folder.

The latter runs in a mount namespace of its own with a store in the cache folder, without sandbox,
substituters or network: it evaluates, and builds what needs only /bin/sh and this machine's
programs. Not for building packages of nixpkgs, which this project's tests do not have.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.testbed import roots
from tests.testbed.cache import PartUnavailable, cache_dir, require_root

LIBRARY_VARIABLE = "NIXPKGS_LIB"

_CONFIG = """\
sandbox = false
build-users-group =
substituters =
build-hook =
flake-registry =
experimental-features = nix-command flakes
"""

# Arguments: the store's folder, then the command. The bind mount ends with the namespace.
_ENTER = 'mount --make-rprivate / && mount --bind "$1" /nix || exit 125; shift; exec "$@"'


class NixError(Exception):
    """A Nix program failed; the message is what it wrote to standard error."""


def library() -> Path | None:
    """The folder that holds nixpkgs' `lib`, where NIXPKGS_LIB names one."""
    named = os.environ.get(LIBRARY_VARIABLE)
    if not named:
        return None
    folder = Path(named)
    if not (folder / "lib" / "default.nix").is_file():
        raise PartUnavailable(
            f"{LIBRARY_VARIABLE}={named} has no lib/default.nix: name a checkout of nixpkgs."
        )
    return folder


def run_nix(program: str, arguments: Sequence[str], *, env: Mapping[str, str] | None = None) -> str:
    """Run `nix-instantiate`, `nix-build` or another Nix program; what it wrote to its output.

    Raises NixError when its exit status is not 0, PartUnavailable when there is no Nix to run.
    """
    command, environment = _command(program)
    done = subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environment, **(env or {})},
        check=False,
    )
    if done.returncode != 0:
        raise NixError(done.stderr.strip())
    return done.stdout


def _command(program: str) -> tuple[list[str], dict[str, str]]:
    installed = shutil.which(program)
    if installed:
        return [installed, "--option", "sandbox", "false"], {
            "NIX_CONFIG": "experimental-features = nix-command flakes"
        }
    require_root()
    root = roots.trixie()
    libraries = root / "usr/lib/x86_64-linux-gnu"
    if not (root / "usr/bin" / program).exists():
        raise PartUnavailable(
            f"{root} has no {program}: delete the folder and run 'python -m tests.testbed setup'."
        )
    store = cache_dir() / "nix"
    for folder in (store / "store", store / "var", Path("/nix")):
        folder.mkdir(parents=True, exist_ok=True)
    enter = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(store)]
    # Nix tells by its name which of its programs it is.
    loader = [str(libraries / "ld-linux-x86-64.so.2"), "--argv0", program]
    paths = ["--library-path", f"{libraries}:{root / 'lib/x86_64-linux-gnu'}"]
    return [*enter, *loader, *paths, str(root / "usr/bin" / program)], {
        "NIX_CONFIG": _CONFIG,
        "NIX_REMOTE": "local",
        "NIX_STATE_DIR": "/nix/var/nix",
        "NIX_LOG_DIR": "/nix/var/log",
        "NIX_CONF_DIR": "/nix/etc",
    }
