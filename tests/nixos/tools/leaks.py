"""Looks for secrets where none may be, and says where they are without saying what they are.

The secrets are those of the files named (``name:key`` a line, or one key). They are looked for in
the texts and below the folders given, in every entry of the journal, and in the environment and the
command line of every process of the service. Each place that has one is a line of the output; no
output is good. Needs root; standard library alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PIECE = 4 * 1024 * 1024
LARGEST = 16 * 1024 * 1024
"""Bytes; a larger file of the store is a program's or a model's, not one that a setting went into.
"""
SHORTEST = 12
"""Characters; a shorter text is no key and would be found anywhere."""


def secrets(files: list[Path]) -> dict[str, bytes]:
    """Every secret, by the file and the name it has there."""
    found = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            name, separator, key = line.strip().partition(":")
            key = key if separator else name
            if len(key) >= SHORTEST and not line.startswith("#"):
                found[f"{file}, {name if separator else 'its key'}"] = key.encode()
    if not found:
        raise SystemExit(f"there is no secret in {', '.join(map(str, files))}")
    return found


def pieces(file: Path, overlap: int) -> Iterator[bytes]:
    """A file piece by piece, each with the end of the one before."""
    last = b""
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            yield last + piece
            last = piece[-overlap:]


def places(given: argparse.Namespace, overlap: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Everything that is searched: what it is, and its bytes."""
    for file in given.text:
        yield str(file), pieces(file, overlap)
    for folder in given.store:
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink() and file.stat().st_size <= LARGEST:
                yield str(file), pieces(file, overlap)
    for service in given.service:
        journal = subprocess.run(
            ["journalctl", "--quiet", "--all", "--boot", "--output=export"],
            capture_output=True,
            check=True,
        )
        yield "the journal", iter([journal.stdout])
        for pid in processes(service):
            for name in ("environ", "cmdline"):
                yield f"/proc/{pid}/{name}", pieces(Path("/proc", pid, name), overlap)


def processes(service: str) -> list[str]:
    """The processes of a service."""
    command = ["systemctl", "show", "--property=ControlGroup", "--value", service]
    group = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    found = Path(f"/sys/fs/cgroup{group}/cgroup.procs").read_text(encoding="ascii").split()
    if not found:
        raise SystemExit(f"{service} has no process to look at")
    return found


def main(arguments: list[str]) -> int:
    """Print each place that holds a secret; 0 whatever was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="files of secrets")
    parser.add_argument("--text", action="append", default=[], type=Path)
    parser.add_argument("--store", action="append", default=[], type=Path)
    parser.add_argument("--service", action="append", default=[])
    given = parser.parse_args(arguments)
    wanted = secrets(given.files)
    longest = max(map(len, wanted.values()))
    for place, parts in places(given, longest):
        leaked = {name for part in parts for name, secret in wanted.items() if secret in part}
        for name in sorted(leaked):
            print(f"{place} has the key of {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
