"""Nix evaluation from Python: an expression in, JSON out, with nixpkgs' library if it is at hand.

Not for what the results should be: the tests and `render.py` know that.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.testbed import nix

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent

COORDINATOR = "coordinator = { inherit folder digest; };"
"""An argument of `evaluate.nix` and `scenarios.nix`, given the strings of `coordinator()`."""


def evaluate(expression: str, **strings: str) -> Any:
    """The value of a Nix expression as JSON data.

    In its scope are `here`, the path of `tests/nix` as a string, and `strings` by their names. It
    may write to the store, which reading generated files needs. Raises NixError.
    """
    mode = ["--eval", "--strict", "--json", "--read-write-mode"]
    return json.loads(nix.run_nix("nix-instantiate", [*mode, *_function(expression, strings)]))


def build(expression: str, **strings: str) -> None:
    """Build the derivation a Nix expression gives. Raises NixError with the builder's output."""
    nix.run_nix("nix-build", ["--no-out-link", *_function(expression, strings)])


def coordinator() -> dict[str, str]:
    """The coordinator of the environment that runs this: its folder, and a digest of its code."""
    total = hashlib.sha256()
    for path in sorted((REPOSITORY / "coordinator" / "src").rglob("*.py")):
        total.update(path.read_bytes())
    return {"folder": sys.prefix, "digest": total.hexdigest()}


def require_library() -> Path:
    """The folder of nixpkgs' library. Raises LookupError where NIXPKGS_LIB does not name it."""
    folder = nix.library()
    if folder is None:
        raise LookupError(
            f"{nix.LIBRARY_VARIABLE} is not set: name a checkout of nixpkgs (its lib/ is enough)."
        )
    return folder


def _function(expression: str, strings: Mapping[str, str]) -> list[str]:
    # A relative path in an expression of the command line would start at the working directory.
    named = {"here": str(HERE), **strings}
    arguments = [part for name, value in named.items() for part in ("--argstr", name, value)]
    return [*arguments, "--expr", f"{{ {', '.join(named)} }}: {expression}"]
