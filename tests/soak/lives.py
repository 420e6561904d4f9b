"""The service from one kill to the next: one state directory, a process of its own each life.

A process reads its program while the one before it still works, and begins
with ``hybrid-coordinator serve`` when it is its turn. That is all that differs
from how users start it, and it halves the time between two kills.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, Final

from hybrid_coordinator.configuration import load_settings
from hybrid_coordinator.settings import Settings
from tests.integration.served import ADDRESS

_WARM: Final = """
import sys
import fastembed, onnxruntime, qdrant_edge, uvloop
import hybrid_coordinator.service.run
from hybrid_coordinator.cli.main import main
print("warm", flush=True)
if sys.stdin.readline():
    main()
"""
_LOG_BYTES: Final = 4_000
"""Of the service's log, shown where it ended by itself."""


class Lives:
    """Starts the service, tells where it answers, kills it; ``life`` counts its processes."""

    def __init__(self, state: Path, **settings: Any) -> None:
        self._config = state / "settings.json"
        self._log = state / "service.log"
        state.mkdir(parents=True, exist_ok=True)
        tree = {"port": 0, "state_directory": str(state), **settings}
        self._config.write_text(json.dumps(tree))
        self._next: asyncio.Task[Process] | None = None
        self._prepared: Process | None = None
        self._process: Process | None = None
        self.life = 0
        self.url = ""
        self.up = asyncio.Event()

    async def begin(self) -> None:
        """Start the next one and return at once; it does not answer yet."""
        self.prepare()
        assert self._next is not None
        process = await self._next
        self._next = self._prepared = None
        self.life += 1
        self._process = process
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        await process.stdin.drain()

    async def start(self) -> None:
        """Start the next one and wait until it answers."""
        await self.begin()
        process = self._process
        assert process is not None
        assert process.stdout is not None
        while (found := ADDRESS.search(line := (await process.stdout.readline()).decode())) is None:
            if not line:
                raise AssertionError(f"the service did not start:\n{self.log}")
        self.url = found[1]
        self.up.set()

    def prepare(self) -> None:
        """Let the process of the next life read its program."""
        if self._next is None:
            self._next = asyncio.create_task(self._warm())

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        await self._end(-9)

    async def stop(self) -> None:
        """End it as systemd would."""
        await self._end(0)

    async def aclose(self) -> None:
        """Leave no process behind, whatever happened."""
        if self._next is not None:
            await asyncio.wait([self._next])
        for process in (self._process, self._prepared):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()

    @property
    def log(self) -> str:
        """The end of what the services wrote to stderr."""
        return self._log.read_bytes()[-_LOG_BYTES:].decode(errors="replace")

    def settings(self) -> Settings:
        """The settings it runs under."""
        return load_settings(self._config)

    async def _warm(self) -> Process:
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", _WARM, "serve", "--config", str(self._config)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
            )
        self._prepared = process
        assert process.stdout is not None
        if await process.stdout.readline() != b"warm\n":
            raise AssertionError(f"the service could not be read:\n{self.log}")
        return process

    async def _end(self, expected: int) -> None:
        self.up.clear()
        process, self._process = self._process, None
        assert process is not None
        if process.returncode is None:
            process.kill() if expected == -9 else process.terminate()
        status = await process.wait()
        if status != expected:
            raise AssertionError(f"the service ended with {status}:\n{self.log}")


def settings_for(backend: str) -> dict[str, Any]:
    """Embedded stores, one backend that is not on this machine's processor, nothing by chance."""
    stub = {
        "kind": "openai",
        "base_url": backend,
        "tier": "local",
        "models": [{"name": "stub-model", "context_tokens": 32_768}],
        "probe_interval": 5,
    }
    return {"backends": {"stub": stub}, "learning": {"extraction": {"in_service": False}}}
