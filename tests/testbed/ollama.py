"""A real Ollama server that serves the testbed's GGUF on the CPU.

Built from its Go module once (`tests.testbed.go_build`); its model store is created once, and each
server gets its own view of it. `tests.testbed.fake_ollama` is the quick fake for injected faults.
Not for speed measurements: one thread, so that busy test machines stay predictable.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.testbed import model
from tests.testbed.cache import build_once, remove_tree, run
from tests.testbed.go_build import VERSION, ollama_binary
from tests.testbed.process import LocalServer, wait_until

MODEL_NAME = "gemma3-270m"
_LOAD_TIMEOUT_S = 120.0
# Gemma's turns, and the tools where a request brings some; one thread, see the module docstring.
_MODELFILE = """\
FROM {file}
TEMPLATE \"\"\"{{{{ if .Tools }}}}<start_of_turn>user
{{{{ .Tools }}}}<end_of_turn>
{{{{ end }}}}{{{{ range .Messages }}}}<start_of_turn>\
{{{{ if eq .Role "assistant" }}}}model{{{{ else }}}}user{{{{ end }}}}
{{{{ .Content }}}}<end_of_turn>
{{{{ end }}}}<start_of_turn>model
\"\"\"
PARAMETER stop <end_of_turn>
PARAMETER num_ctx 2048
PARAMETER num_thread 1
"""


class OllamaServer(LocalServer):
    """An `ollama serve` process serving `model`."""

    name = "ollama"

    def __init__(self, store: Path | None = None) -> None:
        self.model = MODEL_NAME
        self._binary = ollama_binary()
        self._store = model_store() if store is None else store
        super().__init__()

    @property
    def url(self) -> str:
        """The server's address, without /v1: what the product and the ollama client take."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base address of the OpenAI dialect, ending in /v1: what the OpenAI client takes."""
        return f"{self.url}/v1"

    def load(self) -> None:
        """Load the model now, so that the first chat does not wait for it.

        Raises httpx.HTTPError when Ollama refuses.
        """
        self._generate({"model": self.model})

    def unload(self) -> None:
        """Unload the model, so that the next chat loads it; returns when it is gone.

        Raises httpx.HTTPError when Ollama refuses.
        """
        self._generate({"model": self.model, "keep_alive": 0})
        wait_until(lambda: not self.loaded(), _LOAD_TIMEOUT_S)

    def loaded(self) -> bool:
        """Whether the model is loaded now, by /api/ps."""
        answer = httpx.get(f"{self.url}/api/ps", trust_env=False, timeout=10).json()
        return any(entry["name"].startswith(f"{self.model}:") for entry in answer["models"])

    def _prepare(self) -> None:
        models = self.folder / "models"
        if not models.exists():
            # Blobs are linked, so that a test that deletes the model deletes only its own view.
            shutil.copytree(self._store / "manifests", models / "manifests")
            (models / "blobs").mkdir()
            for blob in (self._store / "blobs").iterdir():
                (models / "blobs" / blob.name).symlink_to(blob)

    def _environment(self) -> Mapping[str, str]:
        return _environment(self.folder, self.folder / "models", self.port)

    def _argv(self) -> list[str]:
        return [str(self._binary), "serve"]

    def _is_ready(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/api/tags", trust_env=False, timeout=2)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def _generate(self, body: dict[str, str | int]) -> None:
        httpx.post(
            f"{self.url}/api/generate", json=body, trust_env=False, timeout=_LOAD_TIMEOUT_S
        ).raise_for_status()


def model_store() -> Path:
    """A folder as OLLAMA_MODELS takes it, holding `MODEL_NAME`; created once."""
    file = model.model_file()
    binary = ollama_binary()

    def build(folder: Path) -> None:
        (folder / "manifests").mkdir()
        (folder / "blobs").mkdir()
        modelfile = folder / "Modelfile"
        modelfile.write_text(_MODELFILE.format(file=file), encoding="utf-8")
        with OllamaServer(store=folder) as server:
            run(
                [str(binary), "create", MODEL_NAME, "-f", str(modelfile)],
                log="ollama-create",
                env=_environment(server.folder, server.folder / "models", server.port),
            )
            for part in ("manifests", "blobs"):
                remove_tree(folder / part)
                shutil.move(server.folder / "models" / part, folder / part)

    recipe = f"1 {VERSION} {model.VERSION} {_MODELFILE}"
    return build_once("ollama/models", recipe, build)


def ollama_server(*, load: bool = False) -> OllamaServer:
    """A started Ollama, its model loaded if `load`; use it in a `with`, or `close()` it."""
    server = OllamaServer().start()
    if load:
        server.load()
    return server


def _environment(home: Path, models: Path, port: int) -> dict[str, str]:
    return {
        "HOME": str(home),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(models),
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_NUM_PARALLEL": "1",
    }
