"""The gateways that are measured beside each other, each started in its own process.

LiteLLM and Portkey are installed into throw-away folders under the user's cache
folder; they are measured, never depended on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.benchmarks.load import free_port
from tests.benchmarks.stub_upstream import MODEL

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hybrid-ai" / "bench"
LITELLM_VERSION = "1.103.0"
PORTKEY_VERSION = "1.15.2"
_KEY = "sk-benchmark-only"


@dataclass
class Running:
    """A gateway that answers: where, what headers it wants, and its process."""

    name: str
    url: str
    pid: int
    headers: dict[str, str] = field(default_factory=dict)

    def memory_mib(self) -> float:
        """Resident memory of the process and its children, MiB."""
        total = 0
        for pid in (self.pid, *_children(self.pid)):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total / 1024


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_children(int(child))]
    return found


@contextmanager
def process(
    command: list[str], ready: str, *, env: dict[str, str] | None = None, seconds: float = 120
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` until the block ends; it is ready once ``ready`` answers 200."""
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            _await_ready(child, ready, seconds, lambda: _tail(log))
            yield child
        finally:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _tail(log: object) -> str:
    assert hasattr(log, "seek")
    log.seek(0)
    return bytes(log.read()).decode(errors="replace")[-3000:]  # type: ignore[attr-defined]


def _await_ready(
    child: subprocess.Popen[bytes], url: str, seconds: float, output: Callable[[], str]
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise SystemExit(f"a process ended before it was ready:\n{output()}")
        try:
            if httpx.get(url, timeout=2).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.1)  # it has no other way to say that it listens
    raise SystemExit(f"{url} did not answer within {seconds:.0f} s:\n{output()}")


@contextmanager
def upstream() -> Iterator[str]:
    """The stub backend; yields its URL without the wait."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.stub_upstream", str(port)]
    with process(command, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def ours(stub: str, wait: int, state: Path, **settings: object) -> Iterator[Running]:
    """This gateway, cache and telemetry on, with the stub as its only backend."""
    port = free_port()
    tree = {
        "port": port,
        "state_directory": str(state),
        "log_level": "warning",
        "backends": {
            "stub": {
                "kind": "openai",
                "base_url": f"{stub}/{wait}",
                "models": [{"name": MODEL, "context_tokens": 32768}],
                "max_concurrency": 256,
            }
        },
        **settings,
    }
    config = state / "settings.json"
    config.write_text(json.dumps(tree))
    command = [sys.executable, "-m", "hybrid_coordinator", "serve", "--config", str(config)]
    with process(command, f"http://127.0.0.1:{port}/ready") as child:
        yield Running("ours", f"http://127.0.0.1:{port}", child.pid)


@contextmanager
def litellm(stub: str, wait: int, state: Path) -> Iterator[Running]:
    """LiteLLM's proxy, one worker, logging at warning."""
    folder = CACHE / f"litellm-{LITELLM_VERSION}"
    if not (folder / "installed").exists():
        print(f"installing LiteLLM {LITELLM_VERSION} into a throw-away environment", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run(
            [folder / "bin/pip", "install", "-q", f"litellm[proxy]=={LITELLM_VERSION}"], check=True
        )
        (folder / "installed").touch()
    config = state / "litellm.yaml"
    params = f"{{model: openai/{MODEL}, api_base: '{stub}/{wait}/v1', api_key: none}}"
    # Without it one client that leaves early takes the only backend out for a while.
    config.write_text(
        f"model_list:\n- model_name: {MODEL}\n  litellm_params: {params}\n"
        "router_settings: {disable_cooldowns: true}\n"
    )
    port = free_port()
    env = {
        "LITELLM_MASTER_KEY": _KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "WARNING",
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }
    command = [str(folder / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1"]
    with process(
        [*command, "--port", str(port)], f"http://127.0.0.1:{port}/health/liveliness", env=env
    ) as child:
        headers = {"authorization": f"Bearer {_KEY}"}
        yield Running("LiteLLM", f"http://127.0.0.1:{port}", child.pid, headers)


@contextmanager
def portkey(stub: str, wait: int, state: Path) -> Iterator[Running]:
    """Portkey's gateway on Node.js."""
    folder = CACHE / f"portkey-{PORTKEY_VERSION}"
    if not (folder / "installed").exists():
        print(f"installing Portkey {PORTKEY_VERSION} into a throw-away folder", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        package = f"@portkey-ai/gateway@{PORTKEY_VERSION}"
        subprocess.run(["npm", "install", "--silent", "--prefix", str(folder), package], check=True)
        (folder / "installed").touch()
    port = free_port()
    start = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    with process(
        ["node", str(start), f"--port={port}", "--headless"], f"http://127.0.0.1:{port}/"
    ) as child:
        headers = {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{stub}/{wait}/v1",
            "authorization": "Bearer none",
        }
        yield Running("Portkey", f"http://127.0.0.1:{port}", child.pid, headers)
