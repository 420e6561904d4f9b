"""Runs the coordinator as users do: ``hybrid-coordinator serve`` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

ADDRESS = re.compile(r" answers at (http://\S+)/v1")


class Served:
    """A serving process; use it in a ``with``. Its settings are ``settings`` over a free port."""

    def __init__(self, state: Path, *, environment: dict[str, str] | None = None, **settings: Any):
        self.state = state
        self.config = state / "settings.json"
        state.mkdir(parents=True, exist_ok=True)
        tree = {"port": 0, "state_directory": str(state), **settings}
        self.config.write_text(json.dumps(tree))
        self._environment = {**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})}
        self.banner: list[str] = []
        self._log: deque[str] = deque(maxlen=400)
        self.url = ""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [*self.command("serve"), "--config", str(self.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        for _ in range(5):
            self.banner.append(self.process.stdout.readline().rstrip("\n"))
        found = ADDRESS.search(self.banner[0])
        if found is None:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            raise AssertionError(f"the coordinator did not start: {self.banner}\n{self.log}")
        self.url = found[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """End it as systemd would; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    @property
    def log(self) -> str:
        """What it wrote to stderr, its last lines."""
        return "\n".join(self._log)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """A command line of the CLI."""
        return [sys.executable, "-m", "hybrid_coordinator", *arguments]

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command against this coordinator."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            env={**self._environment, "HYBRID_AI_CONFIG": str(self.config)},
            timeout=300,
            check=False,
        )

    def client(self, **options: Any) -> httpx.AsyncClient:
        """An HTTP client for it."""
        return httpx.AsyncClient(base_url=self.url, timeout=120, **options)

    def chat(self, question: str, **body: Any) -> httpx.Response:
        """Ask one question, whole."""
        messages = [{"role": "user", "content": question}]
        content = {"model": "auto", "messages": messages, "temperature": 0, **body}
        return httpx.post(f"{self.url}/v1/chat/completions", json=content, timeout=120)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self._log.append(line.rstrip("\n"))


def fake_backend(url: str, *, tier: str = "local", model: str = "gpt-fake", **more: Any) -> Any:
    """Settings of an OpenAI-compatible backend with one model."""
    return {
        "kind": "openai",
        "base_url": url,
        "tier": tier,
        "models": [{"name": model, "context_tokens": 32_768}],
        "probe_interval": 0.5,
        "breaker_reset": 1,
        **more,
    }


@asynccontextmanager
async def serving(state: Path, **options: Any) -> AsyncIterator[Served]:
    """A ``Served`` whose start and end do not block the loop that fakes answer in."""
    served = Served(state, **options)
    await asyncio.to_thread(served.__enter__)
    try:
        yield served
    finally:
        await asyncio.to_thread(served.stop)
