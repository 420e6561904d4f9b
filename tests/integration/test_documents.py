"""Every page's commands do what the page says, run from top to bottom against a fresh coordinator.

README's walk-through has a test of its own, and its two commands are what runs this one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.documents import ROOT, run_blocks, shell_blocks
from tests.integration.served import Served

PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (ROOT / "docs").glob("*.md")
    if shell_blocks(page.read_text())
)
_FENCE = re.compile(r"^```(\S+)$", re.MULTILINE)
_LANGUAGES = {"sh", "console", "nix", "json", "python", "yaml", "sql", "promql"}


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_commands_run(page: str, tmp_path: Path) -> None:
    with Served(tmp_path / "state") as served:
        folder = tmp_path / "folder"
        folder.mkdir()
        run_blocks(served, shell_blocks((ROOT / page).read_text()), folder)


def test_readmes_first_question_and_its_lessons_run(tmp_path: Path) -> None:
    blocks = shell_blocks((ROOT / "README.md").read_text())
    (ask,) = (block for block in blocks if block.startswith("curl -si"))
    (teach,) = (block for block in blocks if "ingest" in block)
    (saved,) = (block for block in blocks if "savings" in block)
    # A small repository instead of this one, which takes minutes.
    folder = tmp_path / "repository"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "rotation.md").write_text("# Rotation\nTelemetry files rotate by size.\n")
    (folder / "rotate.py").write_text("def rotate(path):\n    '''Rename a telemetry file.'''\n")
    with Served(tmp_path / "state") as served:
        # What the demonstration model says, and whether it finds an end, is not judged.
        printed = run_blocks(served, [ask, teach.rstrip() + " || true\n", saved], folder)
    assert "x-hybrid-cache: miss" in printed
    assert "x-hybrid-route: local:embedded/" in printed
    assert "2 files" in printed
    assert '"savings"' in printed


@pytest.mark.parametrize(
    "page", ["README.md", *(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").glob("*.md"))]
)
def test_a_block_says_what_it_is_so_that_a_command_cannot_hide(page: str) -> None:
    unknown = set(_FENCE.findall((ROOT / page).read_text())) - _LANGUAGES
    assert not unknown, f"fence commands of {page} as sh (run by a test) or console (NixOS)"
