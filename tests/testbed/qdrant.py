"""A Qdrant server: the real one where QDRANT_BIN names its binary, else the stand-in.

No registry has the server, so CI runs on `tests.testbed.qdrant_stand_in`; tests are the same for
both. Either keeps its collections over `restart` and `kill`. Not for measurements unless `real`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.testbed.cache import PartUnavailable
from tests.testbed.process import LocalServer, free_port

VARIABLE = "QDRANT_BIN"
_REPOSITORY = Path(__file__).parents[2]
_STAND_IN = Path(__file__).with_name("qdrant_stand_in")


def program() -> Path:
    """The binary QDRANT_BIN names, or else the stand-in's folder. Raises PartUnavailable."""
    named = os.environ.get(VARIABLE)
    if not named:
        return _STAND_IN
    found = shutil.which(named)
    if found is None:
        raise PartUnavailable(
            f"{VARIABLE}={named} is no program: name Qdrant's binary, or unset it."
        )
    return Path(found).resolve()


class QdrantServer(LocalServer):
    """A Qdrant process; `url` is what clients take. Its REST API only: gRPC is nobody's to use.

    `keys` are settings of its section `service`: `api_key`, `read_only_api_key`. `stand_in` wants
    the stand-in even where there is the real one.
    """

    name = "qdrant"
    ready_within_s = 60.0

    def __init__(self, *, stand_in: bool = False, **keys: str) -> None:
        self._program = _STAND_IN if stand_in else program()
        self._keys = keys
        super().__init__()

    @property
    def real(self) -> bool:
        """Whether this is the server itself and not the stand-in."""
        return self._program != _STAND_IN

    @property
    def url(self) -> str:
        """The server's address as qdrant-client and `qdrant.url` take it."""
        return f"http://127.0.0.1:{self.port}"

    def clear(self) -> None:
        """Delete every collection, for the next user of a shared server. Raises httpx.HTTPError."""
        with httpx.Client(base_url=self.url, headers=self._header(), trust_env=False) as client:
            answer = client.get("/collections").raise_for_status()
            for collection in answer.json()["result"]["collections"]:
                client.delete(f"/collections/{collection['name']}", timeout=60).raise_for_status()

    def _header(self) -> dict[str, str]:
        return {"api-key": self._keys["api_key"]} if "api_key" in self._keys else {}

    def _prepare(self) -> None:
        service: dict[str, Any] = {
            "host": "127.0.0.1",
            "http_port": self.port,
            "grpc_port": free_port(),
            **self._keys,
        }
        storage = {
            "storage_path": str(self.folder / "storage"),
            "snapshots_path": str(self.folder / "snapshots"),
        }
        written = json.dumps({"log_level": "INFO", "service": service, "storage": storage})
        (self.folder / "config.yaml").write_text(written, encoding="utf-8")

    def _argv(self) -> list[str]:
        start = [str(self._program)] if self.real else [sys.executable, "-m", _module()]
        return [*start, "--config-path", str(self.folder / "config.yaml"), "--disable-telemetry"]

    def _environment(self) -> Mapping[str, str]:
        return {} if self.real else {"PYTHONPATH": str(_REPOSITORY)}

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


def _module() -> str:
    return ".".join(_STAND_IN.relative_to(_REPOSITORY).parts)


def qdrant_server(*, stand_in: bool = False, **keys: str) -> QdrantServer:
    """A started Qdrant; use it in a `with`, or call `close()` yourself. As `QdrantServer`."""
    return QdrantServer(stand_in=stand_in, **keys).start()
