"""The committed rendering belongs to these Nix sources, and every Nix file can be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.nix.digest import digest, sources
from tests.nix.evaluation import REPOSITORY
from tests.nix.render import (
    DIGEST_FILE,
    OPTIONS_DOCUMENT,
    RENDERED,
    check_settings,
    differences,
    render,
)
from tests.testbed.nix import NixError, run_nix
from tests.testbed.requirement import require

_LEFT_OUT = (".venv", ".git")


def _nix_files() -> list[Path]:
    return sorted(
        path
        for path in REPOSITORY.rglob("*.nix")
        if not set(path.relative_to(REPOSITORY).parts).intersection(_LEFT_OUT)
    )


def test_what_is_rendered_belongs_to_the_nix_sources() -> None:
    rendered = (RENDERED / DIGEST_FILE).read_text(encoding="utf-8").strip()
    assert rendered == digest(), "Run make render and commit what it writes."


def test_the_digest_changes_with_a_file_and_with_its_name(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "modules", tmp_path / "modules")
    before = digest(tmp_path)
    module = tmp_path / "modules" / "default.nix"
    renamed = module.rename(module.with_name("other.nix"))
    after_rename = digest(tmp_path)
    renamed.write_text(renamed.read_text() + "\n")
    assert len({before, after_rename, digest(tmp_path)}) == 3


def test_the_digest_covers_modules_scenarios_and_the_harness() -> None:
    covered = {path.as_posix() for path in sources()}
    assert {
        "modules/default.nix",
        "tests/nixos/scenarios/full.nix",
        "tests/nix/evaluate.nix",
        "tests/nix/services/qdrant.nix",
    } <= covered


def test_every_nix_file_can_be_parsed() -> None:
    require("nix")
    files = _nix_files()
    assert len(files) > 30
    run_nix("nix-instantiate", ["--parse", *map(str, files)])


def test_a_nix_file_that_cannot_be_parsed_is_an_error(tmp_path: Path) -> None:
    require("nix")
    broken = tmp_path / "broken.nix"
    broken.write_text("{ a = 1 }")
    with pytest.raises(NixError, match="syntax error"):
        run_nix("nix-instantiate", ["--parse", str(broken)])


def test_no_nix_file_opens_a_scope_with_all_of_the_library() -> None:
    needle = "with " + "lib;"
    for path in _nix_files():
        assert needle not in path.read_text(encoding="utf-8"), path


@pytest.mark.usefixtures("library")
def test_rendering_again_gives_every_byte() -> None:
    assert differences() == []


@pytest.mark.usefixtures("library")
def test_the_coordinator_accepts_the_settings_of_every_scenario() -> None:
    check_settings()


def test_the_options_document_has_every_part() -> None:
    text = OPTIONS_DOCUMENT.read_text(encoding="utf-8")
    for part in ("coordinator", "qdrant", "redis", "ollama", "lemonade", "jobs", "nginx"):
        assert f"## `services.hybrid-ai.{part}" in text


@pytest.mark.usefixtures("library")
def test_rendering_replaces_what_is_wrong_and_removes_what_is_old(tmp_path: Path) -> None:
    render(tmp_path)
    folder = tmp_path / "minimal" / "machine"
    unit = folder / "units" / "hybrid-coordinator.service"
    text = unit.read_text()
    unit.write_text("wrong")
    (folder / "units" / "old.service").touch()
    (tmp_path / "old" / "machine").mkdir(parents=True)
    (tmp_path / "old" / "machine" / "host.json").touch()
    render(tmp_path)
    assert unit.read_text() == text
    assert not (folder / "units" / "old.service").exists()
    assert not (tmp_path / "old").exists()
    assert (tmp_path / DIGEST_FILE).read_text().strip() == digest()
