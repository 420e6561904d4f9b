"""A language's parser, from PyPI's packages of grammars and from nixpkgs' packages."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import tree_sitter_php
import tree_sitter_typescript

from hybrid_coordinator.ingest import languages

PROGRAMS = {
    "ts": (tree_sitter_typescript.language_typescript, b"let a: number = <number>b;"),
    "tsx": (tree_sitter_typescript.language_tsx, b"const a = <b>c</b>;"),
    "php": (tree_sitter_php.language_php, b"<?php echo 1; ?>"),
}
ALONE = {
    "ts": "tree_sitter_typescript",
    "tsx": "tree_sitter_tsx",
    "php": "tree_sitter_php",
}


@pytest.fixture
def as_in_nixpkgs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One package for each grammar, its function called `language`."""
    for extension, (function, _) in PROGRAMS.items():
        monkeypatch.setitem(sys.modules, ALONE[extension], SimpleNamespace(language=function))


@pytest.mark.usefixtures("as_in_nixpkgs")
@pytest.mark.parametrize("extension", PROGRAMS)
def test_a_grammar_in_a_package_of_its_own_parses_its_language(extension: str) -> None:
    parser = languages.parser_for.__wrapped__(extension)
    assert parser is not None
    assert not parser.parse(PROGRAMS[extension][1]).root_node.has_error


def test_a_package_without_the_grammar_is_as_if_it_were_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter_typescript", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "tree_sitter_tsx", None)
    assert languages.parser_for.__wrapped__("ts") is None
    assert languages.parser_for.__wrapped__("tsx") is None
