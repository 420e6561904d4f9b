"""A real Lemonade server (`lemond`, Debian sid) that serves the testbed's GGUF with llama.cpp.

Started inside the sid root, mounted read-only, in its own mount and pid namespace, so `lemond`
and the `llama-server` processes it starts always end together. Not for speed measurements: one
thread, so that busy test machines stay predictable.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
from pathlib import Path

import httpx

from tests.testbed import model, roots
from tests.testbed.cache import in_namespace
from tests.testbed.process import LocalServer

_LOAD_TIMEOUT_S = 120.0
# A thread that waits for another one spins: with more threads than free cores llama.cpp is slower
# by two orders of magnitude, and the tests share their cores.
_LLAMA_ARGS = "--threads 1 --threads-batch 1 --poll 0 --chat-template-file /mnt/conf/chat.jinja"
# Gemma's turns; the GGUF itself carries no template.
_CHAT_TEMPLATE = """\
{{ bos_token }}{% if tools %}<start_of_turn>user
{{ tools | tojson }}<end_of_turn>
{% endif %}{% for message in messages %}<start_of_turn>\
{{ 'model' if message.role == 'assistant' else 'user' }}
{{ message.content }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""


class LemonadeServer(LocalServer):
    """A `lemond` process serving `model`."""

    name = "lemonade"
    ready_within_s = 60.0

    def __init__(self) -> None:
        self._root = roots.sid()
        self._models = model.model_folder()
        self.model = Path(model.FILE_NAME).stem
        super().__init__()

    @property
    def url(self) -> str:
        """The server's address, without /v1: what the product's `base_url` takes."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base address of the OpenAI dialect, ending in /v1: what the OpenAI client takes."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        """The process id of `lemond` itself (its parent holds the namespace)."""
        holder = super().pid
        children = Path(f"/proc/{holder}/task/{holder}/children").read_text(encoding="ascii")
        return int(children.split()[0])

    def load(self) -> None:
        """Load the model now, so that the first chat does not wait for it (about 1.5 s).

        Raises httpx.HTTPError when Lemonade refuses.
        """
        self._post("load", {"model_name": self.model})

    def unload(self) -> None:
        """Unload the model, so that the next chat loads it. Raises httpx.HTTPError."""
        self._post("unload", {"model_name": self.model})

    def loaded(self) -> bool:
        """Whether the model is loaded now, by /v1/health."""
        health = httpx.get(f"{self.openai_url}/health", trust_env=False, timeout=10).json()
        return bool(health["model_loaded"] == self.model)

    def _prepare(self) -> None:
        for name in ("cache", "conf", "home", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        config = {
            "extra_models_dir": "/srv",
            "ctx_size": 2048,
            "llamacpp": {"backend": "system", "args": _LLAMA_ARGS},
            "inhibit_suspend": False,
            "offline": True,
        }
        conf = self.folder / "conf"
        (conf / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (conf / "chat.jinja").write_text(_CHAT_TEMPLATE, encoding="utf-8")

    def _argv(self) -> list[str]:
        root = shlex.quote(str(self._root))
        folder = shlex.quote(str(self.folder))
        models = shlex.quote(str(self._models))
        script = (
            f"mount --bind {root} {root} && mount -t proc proc {root}/proc"
            f" && mount --rbind /dev {root}/dev && mount --bind {models} {root}/srv"
            f" && mount --bind {folder} {root}/mnt && mount --bind {folder}/tmp {root}/tmp"
            f" && mount -o remount,bind,ro {root}"
            f" && exec chroot {root} env HOME=/mnt/home TMPDIR=/tmp"
            f" lemond /mnt/cache /mnt/conf --host 127.0.0.1 --port {self.port} --no-broadcast"
        )
        return in_namespace(["sh", "-c", script])

    def _crash(self) -> None:
        # The namespace's first process: its parent returns once everything in the namespace is
        # gone. It may have ended just now, and then its parent is about to.
        with contextlib.suppress(IndexError, RuntimeError, FileNotFoundError, ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _is_ready(self) -> bool:
        try:
            health = httpx.get(f"{self.openai_url}/health", trust_env=False, timeout=2)
            models = httpx.get(f"{self.openai_url}/models", trust_env=False, timeout=2)
        except httpx.HTTPError:
            return False
        if health.status_code != 200 or models.status_code != 200:
            return False
        names = [entry["id"] for entry in models.json()["data"]]
        return health.json()["status"] == "ok" and self.model in names

    def _post(self, verb: str, body: dict[str, str]) -> None:
        httpx.post(
            f"{self.openai_url}/{verb}", json=body, trust_env=False, timeout=_LOAD_TIMEOUT_S
        ).raise_for_status()


def lemonade_server(*, load: bool = False) -> LemonadeServer:
    """A started Lemonade, its model loaded if `load`; use it in a `with`, or `close()` it."""
    server = LemonadeServer().start()
    if load:
        server.load()
    return server
