"""What the health check's tests are made of: documents served over HTTP, and a systemctl."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Any

from hybrid_coordinator.health.coordinator_view import PartView, View
from hybrid_coordinator.health.systemd import Unit, Units
from hybrid_coordinator.settings import Collection, Settings

Mapped = dict[str, Any]


class Documents:
    """An ASGI app of JSON documents by path; ``(status, document)`` sets a status, too.

    ``requests`` has the method, the path and the headers of each request.
    """

    def __init__(self, documents: Mapped) -> None:
        self.documents = documents
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["method"], scope["path"], headers))
        document = self.documents.get(scope["path"], (404, {"status": {"error": "Not found"}}))
        status, body = document if isinstance(document, tuple) else (200, document)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await send({"type": "http.response.body", "body": raw})


class Known:
    """A value to await, as often as one likes."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        return _value(self._value).__await__()


async def _value(value: Any) -> Any:
    return value


def parts(**changed: tuple[str, str]) -> dict[str, PartView]:
    """The parts of a coordinator that is well, with ``name__with=…`` changed."""
    states = {
        "embedder": ("ready", "mini, 4 dimensions"),
        "cache": ("ready", "in this process"),
        "outbox": ("ready", "nothing waits"),
        **{f"collection.{c.value}": ("ready", "0 points") for c in Collection},
        **{name.replace("__", ".").replace("_", "-"): state for name, state in changed.items()},
    }
    return {name: PartView(state=state, detail=detail) for name, (state, detail) in states.items()}


def view(*, ready: bool = True, **changed: tuple[str, str]) -> Known:
    """A coordinator that answers."""
    return Known(View("http://here", alive=True, ready=ready, parts=parts(**changed)))


def no_view(trouble: str = "/health does not answer") -> Known:
    """A coordinator that does not."""
    return Known(View("http://here", alive=False, trouble=trouble))


def ready_document(*, ready: bool = True, **changed: tuple[str, str]) -> Mapped:
    """What ``/ready`` answers."""
    seen = parts(**changed)
    return {"ready": ready, "parts": {name: part.model_dump() for name, part in seen.items()}}


def coordinator(*, ready: bool = True, **changed: tuple[str, str]) -> Documents:
    """A coordinator as the check sees it."""
    document = ready_document(ready=ready, **changed)
    return Documents({"/health": {"status": "ok"}, "/ready": (200 if ready else 503, document)})


def unit(name: str, active: str = "active", **changed: Any) -> Unit:
    values: Mapped = {
        "sub": "running",
        "result": "success",
        "restarts": 0,
        "queued": False,
        "age": 5.0,
        **changed,
    }
    return Unit(name=name, active=active, **values)


def units(*known: Unit) -> Known:
    return Known(Units({one.name: one for one in known}))


def settings(state: Path, **tree: Any) -> Settings:
    return Settings.model_validate({"state_directory": state, "backends": {"a": BACKEND}, **tree})


BACKEND = {"kind": "openai", "base_url": "http://127.0.0.1:9"}


def collection(size: int = 4, embedder: str | None = "mini", **changed: Any) -> Mapped:
    """A collection as Qdrant describes it."""
    config: Mapped = {
        "params": {
            "vectors": {"dense": {"size": size, "distance": "Cosine"}},
            "sparse_vectors": {"bm25": {"modifier": "idf"}},
        },
        **({} if embedder is None else {"metadata": {"embedder": embedder}}),
    }
    result = {"status": "green", "points_count": 7, "config": config, **changed}
    return {"result": result, "status": "ok"}


def qdrant(**changed: Any) -> Documents:
    """A Qdrant server with the five collections; ``name_with=…`` changes or removes (None) one."""
    documents: Mapped = {f"/collections/{c.value}": collection() for c in Collection}
    for name, document in changed.items():
        path = f"/collections/{name.replace('_', '-')}"
        if document is None:
            del documents[path]
        else:
            documents[path] = document
    return Documents({"/readyz": "all shards are ready", **documents})


def embedder_folder(folder: Path, size: int = 4) -> dict[str, Any]:
    """Settings of an embedder in a folder named ``mini``."""
    place = folder / "mini"
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps({"hidden_size": size}))
    return {"model": str(place), "folder": str(place)}


def put_systemctl(folder: Path, script: str) -> str:
    """A ``systemctl`` made of shell lines; returns the PATH that finds it first."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
