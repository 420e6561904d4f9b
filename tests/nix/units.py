"""Reading of the rendered units: sections, keys that repeat, and the rest of a node's folder.

Reads files only; it neither evaluates Nix nor asks systemd.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.nix.render import RENDERED

Section = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Unit:
    """One unit file: section → key → values in their order."""

    name: str
    sections: Mapping[str, Section]

    def values(self, section: str, key: str) -> list[str]:
        """The values of a key; an empty list where it is not set."""
        return list(self.sections.get(section, {}).get(key, ()))

    def value(self, section: str, key: str) -> str | None:
        """The value of a key that does not repeat; None where it is not set."""
        values = self.values(section, key)
        assert len(values) <= 1, f"{self.name} has {key}= {len(values)} times"
        return values[0] if values else None

    def units(self, key: str) -> set[str]:
        """The units that a key of [Unit] names."""
        return {name for value in self.values("Unit", key) for name in value.split()}

    def environment(self) -> dict[str, str]:
        """What the Environment= lines set."""
        assignments = [
            part for value in self.values("Service", "Environment") for part in shlex.split(value)
        ]
        return dict(part.split("=", 1) for part in assignments)


@dataclass(frozen=True)
class Node:
    """The folder of one rendered node."""

    folder: Path

    @property
    def name(self) -> str:
        """`<scenario>/<node>`."""
        return str(self.folder.relative_to(RENDERED))

    @property
    def units(self) -> dict[str, Unit]:
        """Every unit file, by its name."""
        return {
            path.name: parse(path.name, path.read_text(encoding="utf-8"))
            for path in sorted((self.folder / "units").iterdir())
        }

    @property
    def has_coordinator(self) -> bool:
        """Whether hybrid-ai is on; a node may also hold stores for others only."""
        return (self.folder / "units" / "hybrid-coordinator.service").exists()

    @property
    def coordinator(self) -> Unit:
        """The coordinator's service."""
        return self.units["hybrid-coordinator.service"]

    @property
    def settings(self) -> Any:
        """What the coordinator reads as its settings."""
        source = Path(self.data("host")["etc"]["hybrid-ai/settings.json"]["source"])
        return json.loads((self.folder / "store" / source.name).read_text(encoding="utf-8"))

    def data(self, name: str) -> Any:
        """One of the JSON files: links, packages, host, store-links."""
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def texts(self) -> dict[str, str]:
        """Every file in the folder by its path in it."""
        return {
            str(path.relative_to(self.folder)): path.read_text(encoding="utf-8")
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


def nodes() -> list[Node]:
    """Every rendered node."""
    return [Node(units.parent) for units in sorted(RENDERED.glob("*/*/units"))]


def parse(name: str, text: str) -> Unit:
    """A unit file as systemd reads it, without the reset of a list by an empty value."""
    sections: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif line:
            key, _, value = line.partition("=")
            current.setdefault(key, []).append(value)
    return Unit(name, sections)
