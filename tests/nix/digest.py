"""The digest of the Nix sources: what is rendered from them is out of date when it has changed.

Needs no Nix, so it is checked everywhere. Not a digest of what is rendered.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.nix.evaluation import REPOSITORY

# Of the tests' own files only those that take part in rendering: not the wrong hosts, nor what the
# flake's tests have.
_LEFT_OUT = ("tests/nix/wrong/", "tests/nix/flake/")

# Folders, and which of their files count.
_SOURCES = (
    ("modules", "*"),
    ("templates", "*"),
    ("tests/nixos/scenarios", "*"),
    ("tests/nix", "*.nix"),
)


def sources(repository: Path = REPOSITORY) -> list[Path]:
    """The files that what is rendered depends on, in the digest's order."""
    found = {
        path.relative_to(repository)
        for folder, pattern in _SOURCES
        for path in (repository / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    counted = [path for path in found if not path.as_posix().startswith(_LEFT_OUT)]
    return sorted(counted, key=lambda path: path.as_posix())


def digest(repository: Path = REPOSITORY) -> str:
    """SHA-256 over the names and contents of `sources`, as a hexadecimal text."""
    total = hashlib.sha256()
    for path in sources(repository):
        content = (repository / path).read_bytes()
        total.update(f"{path.as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
