"""The parent's side of the embedded engine: start the child, watch it, start it again, end it.

The child (``engine``) serves OpenAI's protocol on a free loopback port,
behind a key that only this process knows. Knows no calls; those are
``embedded``'s.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson

from hybrid_coordinator.errors import BackendProtocolError, HybridError
from hybrid_coordinator.inference import engine
from hybrid_coordinator.inference.backend import Readiness
from hybrid_coordinator.inference.model_file import ModelFile
from hybrid_coordinator.inference.probes import fetch
from hybrid_coordinator.inference.transport import HttpTransport
from hybrid_coordinator.settings import BackendSettings, ModelSettings

SLOTS: Final = 2
"""Answers generated at the same time; they share the context."""
DEFAULT_CONTEXT: Final = 8192
_STOP_SECONDS: Final = 3.0

_log = logging.getLogger(__name__)


def thread_count() -> int:
    """Threads for llama.cpp: one core is left to the gateway, where there are several."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class EngineProcess:
    """The child process. Called as a probe it starts what does not run and says how it is.

    ``transport`` is the connection to it, and ``url`` its address, once its model is loaded.
    """

    def __init__(
        self,
        name: str,
        settings: BackendSettings,
        file: ModelFile,
        *,
        new_key: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self._name = name
        self._settings = settings
        self._file = file
        self._new_key = new_key
        self.transport: HttpTransport | None = None
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._failure = ""
        self._closed = False
        self._models = settings.models or (
            # A base model neither calls tools nor keeps to a schema by itself.
            ModelSettings(
                name=file.name,
                context_tokens=DEFAULT_CONTEXT,
                tools=not file.bundled,
                structured_output=not file.bundled,
            ),
        )

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def __call__(self) -> Readiness:
        if self.pid is not None and self.transport is not None:
            await fetch(self.transport, self._name, "/health")
            return Readiness(True, self._models, f"loaded: {self._file.path.name}")
        if self._closed:
            return Readiness(False, (), "closed")
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start())
        failed = f"; the last try failed: {self._failure}" if self._failure else ""
        return Readiness(False, (), f"loading {self._file.path.name}{failed}")

    async def aclose(self) -> None:
        self._closed = True
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await self._stop()

    async def _start(self) -> None:
        try:
            await self._stop()
            await asyncio.to_thread(self._file.ensure)
            key = self._new_key()
            self.url = await self._launch(key)
            self._failure = ""
            self.transport = HttpTransport(
                self._name,
                self._settings,
                self.url,
                {"content-type": "application/json", "authorization": f"Bearer {key}"},
                secret=key,
            )
        except (HybridError, OSError, ValueError) as error:
            self._failure = str(error)
            _log.warning("embedded backend %s did not start: %s", self._name, error)
            await self._stop()

    async def _launch(self, key: str) -> str:
        """Start the child and wait until its model is loaded; the address it serves at."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(Path(engine.__file__)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # An interpreter that a wrapper has set up finds its packages by its own path only.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        if process.stdin is None or process.stdout is None:
            raise BackendProtocolError("llama.cpp: its process has no pipes", backend=self._name)
        style = asdict(self._file.style) if self._file.style else {}
        parameters = {
            "model_path": str(self._file.path),
            "alias": self._models[0].name,
            "api_key": key,
            "context_tokens": self._models[0].context_tokens,
            "slots": min(SLOTS, self._settings.max_concurrency),
            "threads": thread_count(),
            **style,
        }
        process.stdin.write(json.dumps(parameters).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        said = orjson.loads(line) if line else {}
        if "url" not in said:
            why = said.get("error") or "it ended while loading the model"
            raise BackendProtocolError(f"llama.cpp: {why}", backend=self._name)
        return str(said["url"])

    async def _stop(self) -> None:
        connection, self.transport = self.transport, None
        if connection is not None:
            await connection.aclose()
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        # Not before: who cancels this leaves the process to the next call.
        self._process = None
