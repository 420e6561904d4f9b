"""Names of nixpkgs' options that our modules and scenarios use exist there.

The stand-ins declare no option but those of the table, and refuse every other: so what evaluates
uses only names that were read in nixpkgs.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.nix.evaluation import HERE, evaluate

_KINDS = re.compile(r"^systemd\.(services|sockets|timers|paths|slices|targets)\.<name>")


def _files() -> Any:
    return json.loads((HERE / "nixpkgs-options.json").read_text(encoding="utf-8"))["files"]


def _options(row: Any) -> list[str]:
    return [*row.get("options", []), *row.get("later", [])]


def test_the_table_says_where_each_option_was_read() -> None:
    seen: set[str] = set()
    for file, row in _files().items():
        assert re.fullmatch(r"nixos/(modules|lib)/[\w./-]+\.nix", file)
        if row.get("options"):
            assert re.fullmatch(r"[0-9a-f]{40}", row["commit"]), file
        for option in _options(row):
            assert option not in seen, f"{option} is there twice"
            seen.add(option)


@pytest.mark.usefixtures("library")
def test_the_stand_ins_declare_the_options_of_the_table_and_no_others() -> None:
    declared = evaluate(
        'let node = import "${here}/evaluate.nix" { modules = [ ]; }; inherit (node.pkgs) lib; in'
        " map (option: option.name) (lib.optionAttrSetToDocList node.options)"
    )
    names = {_KINDS.sub("systemd.<kind>.<name>", name) for name in declared}
    table = {option for row in _files().values() for option in _options(row)}
    assert {name for name in names if "_module" not in name.split(".")} == table


@pytest.mark.usefixtures("library")
def test_our_modules_set_options_of_every_service_they_reuse() -> None:
    # So that the stand-ins are not there for nothing, and the names above are really used.
    used = evaluate(
        'let node = (import "${here}/scenarios.nix" { }).scenarios.full.machine; in'
        " map (name: node.config.services.${name}.enable)"
        ' [ "nginx" "ollama" "prometheus" "qdrant" ]'
    )
    assert used == [True] * 4
