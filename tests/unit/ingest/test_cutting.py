"""Files are cut along their structure, and nothing of them is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.ingest.code import cut_code
from hybrid_coordinator.ingest.items import items_of
from hybrid_coordinator.ingest.languages import framework_of, language_of, parser_for
from hybrid_coordinator.ingest.markdown import cut_markdown
from hybrid_coordinator.ingest.pieces import MAX_SIZE, Piece, cut_by_lines, size_of
from hybrid_coordinator.settings import Collection

SOURCES = Path(__file__).parents[3] / "coordinator" / "src" / "hybrid_coordinator"


def squeezed(text: str) -> str:
    return "".join(text.split())


def python(text: str) -> list[Piece]:
    parser = parser_for("py")
    assert parser is not None
    return list(cut_code(text, parser))


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda p: p.stem)
def test_our_own_sources_are_cut_without_loss_and_at_their_lines(path: Path) -> None:
    text = path.read_text()
    pieces = python(text)
    assert squeezed("".join(piece.text for piece in pieces)) == squeezed(text)
    lines = text.split("\n")
    for piece in pieces:
        there = "\n".join(lines[piece.start_line - 1 : piece.end_line])
        assert squeezed(piece.text) in squeezed(there)


def test_a_large_class_is_cut_into_its_methods_which_know_the_class() -> None:
    methods = "".join(
        f"    def method_{n}(self):\n" + "        self.work = work(self.work)\n" * 20
        for n in range(6)
    )
    pieces = python(f"import os\n\n\nclass Big:\n{methods}")
    assert len(pieces) > 2
    assert all("class Big" in piece.names for piece in pieces)
    assert any("function method_3" in piece.names for piece in pieces)
    assert all(size_of(piece.text) <= MAX_SIZE + 200 for piece in pieces)
    opened = "class Big:\n    def method_0"
    assert any(opened in p.text for p in pieces), "the line that opens it stays with its body"


def test_small_neighbours_share_a_piece() -> None:
    pieces = python("def a():\n    pass\n\n\ndef b():\n    pass\n")
    assert [piece.names for piece in pieces] == [("function a", "function b")]


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c"), max_size=400)
)
def test_any_text_at_all_survives_the_python_grammar(text: str) -> None:
    for piece in python(text):
        assert piece.text.strip()
        assert 1 <= piece.start_line <= piece.end_line


@given(st.lists(st.text(alphabet="ab \t", max_size=400), max_size=60))
def test_cutting_by_lines_keeps_everything_and_bounds_the_size(lines: list[str]) -> None:
    text = "\n".join(lines)
    pieces = list(cut_by_lines(text))
    assert squeezed("".join(piece.text for piece in pieces)) == squeezed(text)
    assert all(size_of(piece.text) <= MAX_SIZE for piece in pieces)


def test_a_line_longer_than_a_piece_is_cut_inside() -> None:
    pieces = list(cut_by_lines("short\n" + "x" * 3000 + "\nshort"))
    assert "".join(p.text for p in pieces if "x" in p.text) == "x" * 3000
    assert all(size_of(p.text) <= MAX_SIZE for p in pieces)


def test_markdown_is_cut_at_headings_and_each_section_knows_those_above_it() -> None:
    install = "## Install\n\nRun it.\n\n```sh\n# not a heading\n```\n"
    text = f"# Guide\n\nIntro.\n\n{install}\n## Use\n\nAsk.\n"
    pieces = list(cut_markdown(text))
    assert [piece.names for piece in pieces] == [
        ("Guide",),
        ("Guide", "Install"),
        ("Guide", "Use"),
    ]
    assert "# not a heading" in pieces[1].text
    assert (pieces[1].start_line, pieces[1].end_line) == (5, 11)


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", "python"),
        ("flake.nix", "nix"),
        ("README.md", "markdown"),
        ("Makefile", "make"),
        ("x.TSX", "tsx"),
        ("photo.png", None),
        ("LICENSE", None),
    ],
)
def test_the_language_is_told_by_the_name(path: str, language: str | None) -> None:
    assert language_of(path) == language


@pytest.mark.parametrize(
    "extension",
    "py js ts tsx rs go java c cpp cs sh nix rb php lua kt".split(),  # noqa: SIM905
)
def test_every_grammar_is_installed_and_parses(extension: str) -> None:
    parser = parser_for(extension)
    assert parser is not None
    assert parser.parse(b"x = 1").root_node.end_byte == 5


def test_a_framework_is_told_by_its_imports() -> None:
    assert framework_of("from fastapi import FastAPI\n") == "fastapi"
    assert framework_of("print('fastapi')\n") == ""


def test_ids_depend_on_content_and_place_and_nothing_else() -> None:
    def ids(root: str, path: str, text: str) -> list[str]:
        return [item.id for item in items_of(Collection.CODEBASE_CONTEXT, root, path, text)]

    text = "def a():\n    return 1\n"
    assert ids("/r", "a.py", text) == ids("/r", "a.py", text)
    assert ids("/r", "a.py", "\n\n\n" + text) == ids("/r", "a.py", text), "moved, not changed"
    assert ids("/r", "b.py", text) != ids("/r", "a.py", text)
    assert ids("/s", "a.py", text) != ids("/r", "a.py", text)
    repeated = "x" * 1300 + "\n" + "x" * 1300 + "\n"
    assert len(set(ids("/r", "a.txt", repeated))) == len(ids("/r", "a.txt", repeated))


def test_a_section_becomes_a_practice_with_its_heading_and_place() -> None:
    (item,) = items_of(Collection.BEST_PRACTICES, "/docs", "ops.md", "# Ops\n\nBack up daily.\n")
    assert item.payload["title"] == "Ops"
    assert item.payload["references"] == ["docs/ops.md:1-3"]
