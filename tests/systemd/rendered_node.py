"""What tests/nix rendered for one node of a scenario, read from its folder.

The folder's form is that of `tests.nix.render`. Not for rendering, and not for the guest's files:
see `layer`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RENDERED = Path(__file__).with_name("rendered")


class UnknownScenario(Exception):
    """There is no rendered scenario of that name."""


@dataclass(frozen=True, slots=True)
class RenderedNode:
    """One node: where its files are, and the tables that go with them.

    `packages` is store path → package; `links` is link below the unit folder → target;
    `store_links` is store path → the store path it is a link to; `host` is what the units take
    from the rest of the machine: users, groups, files below /etc, tmpfiles rules.
    """

    name: str
    units: Path
    store: Path
    packages: dict[str, str]
    links: dict[str, str]
    store_links: dict[str, str]
    host: dict[str, Any]


def scenarios(folder: Path = RENDERED) -> list[str]:
    """The names of the rendered scenarios."""
    return sorted(entry.name for entry in folder.glob("*") if entry.is_dir())


def nodes(scenario: str, folder: Path = RENDERED) -> list[RenderedNode]:
    """The scenario's nodes, sorted by name. Raises UnknownScenario."""
    if scenario not in scenarios(folder):
        raise UnknownScenario(
            f"there is no rendered scenario '{scenario}' in {folder}: there are "
            f"{', '.join(scenarios(folder)) or 'none'}. Run 'make render' after a change of "
            "tests/nixos/scenarios."
        )
    return [_node(entry) for entry in sorted((folder / scenario).glob("*")) if entry.is_dir()]


def _node(folder: Path) -> RenderedNode:
    return RenderedNode(
        name=folder.name,
        units=folder / "units",
        store=folder / "store",
        packages=_table(folder / "packages.json"),
        links=_table(folder / "links.json"),
        store_links=_table(folder / "store-links.json", optional=True),
        host=_table(folder / "host.json"),
    )


def _table(file: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and not file.exists():
        return {}
    loaded = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(loaded, dict):
        raise TypeError(f"{file} is not a table: run 'make render'.")
    return loaded
