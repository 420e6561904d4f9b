"""Readiness: for each kind of backend, whether it could answer a question now.

Probes fetch small documents only. None sends a prompt, and none costs money.
A server whose model is not in memory is not ready (lesson 9); where the
server can load it, the probe asks for that in the background and says so,
unless it was made only to look (``loads=False``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import orjson

from hybrid_coordinator.errors import BackendError, BackendProtocolError
from hybrid_coordinator.inference.backend import Readiness
from hybrid_coordinator.inference.transport import HttpTransport
from hybrid_coordinator.inference.upstream_errors import BackendLacks
from hybrid_coordinator.settings import BackendSettings, ModelSettings

PROBE_SECONDS: Final = 5.0
LOAD_SECONDS: Final = 600.0
"""How long a server may take to bring a model into memory."""
_MAX_MODELS: Final = 256

_log = logging.getLogger(__name__)


class Probe(Protocol):
    """Finds out whether a backend could answer; raises ``BackendError`` where it cannot tell."""

    async def __call__(self) -> Readiness: ...

    async def aclose(self) -> None:
        """End what the probe has set going."""


class Loader:
    """Asks a server to load a model, one at a time, without making the probe wait.

    Without ``load`` it asks for nothing and says what it would have asked for.
    """

    def __init__(self, load: Callable[[str], Awaitable[object]] | None) -> None:
        self._load = load
        self._task: asyncio.Task[None] | None = None
        self._model = ""
        self._failure = ""

    def ask(self, model: str) -> str:
        """Start loading ``model`` unless something is loading; says what is going on."""
        if self._load is None:
            return f"{model} is there, but not in memory"
        if self._task is not None and not self._task.done():
            return f"loading {self._model}"
        failure, self._failure = self._failure, ""
        self._model = model
        self._task = asyncio.create_task(self._run(self._load, model))
        return f"loading {model}" + (f" again, it failed: {failure}" if failure else "")

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, load: Callable[[str], Awaitable[object]], model: str) -> None:
        try:
            await load(model)
        except BackendError as error:
            self._failure = error.message
            _log.warning("loading %s failed: %s", model, error.message)


class OpenAIProbe:
    """``GET /v1/models`` lists a model we may ask for."""

    def __init__(self, name: str, settings: BackendSettings, transport: HttpTransport) -> None:
        self._name = name
        self._settings = settings
        self._transport = transport

    async def __call__(self) -> Readiness:
        wanted = self._settings.models
        try:
            document = await fetch(self._transport, self._name, "/v1/models")
        except BackendLacks:
            if not wanted:
                raise
            return Readiness(True, wanted, "up; it does not list its models")
        listed = {m["id"]: m for m in entries(document, "data") if isinstance(m.get("id"), str)}
        if not listed:
            return Readiness(False, (), "it lists no model: load one there")
        if not wanted:
            found = tuple(described(name, listed[name]) for name in list(listed)[:_MAX_MODELS])
            return Readiness(True, found, f"lists {len(listed)} models")
        offered = tuple(model for model in wanted if model.name in listed)
        return offers(wanted, offered, list(listed))

    async def aclose(self) -> None:
        """Nothing is set going."""


class AnthropicProbe:
    """``GET /v1/models`` accepts our key. The models are those of the settings."""

    def __init__(self, name: str, settings: BackendSettings, transport: HttpTransport) -> None:
        self._name = name
        self._settings = settings
        self._transport = transport

    async def __call__(self) -> Readiness:
        await fetch(self._transport, self._name, "/v1/models")
        return Readiness(True, self._settings.models, "up, and the key is accepted")

    async def aclose(self) -> None:
        """Nothing is set going."""


class LemonadeProbe:
    """``/live``, then ``/v1/health`` with a model in memory; asks ``/api/v1/load`` for one else."""

    def __init__(
        self,
        name: str,
        settings: BackendSettings,
        transport: HttpTransport,
        *,
        loads: bool = True,
    ) -> None:
        self._name = name
        self._settings = settings
        self._transport = transport
        self._loader = Loader(self._load if loads else None)

    async def __call__(self) -> Readiness:
        await fetch(self._transport, self._name, "/live")
        health = await fetch(self._transport, self._name, "/v1/health")
        loaded = {
            entry["model_name"]
            for entry in entries(health, "all_models_loaded")
            if entry.get("type", "llm") == "llm" and isinstance(entry.get("model_name"), str)
        }
        if isinstance(health.get("model_loaded"), str) and not loaded:
            loaded = {health["model_loaded"]}
        document = await fetch(self._transport, self._name, "/v1/models")
        listed = {m["id"]: m for m in entries(document, "data") if isinstance(m.get("id"), str)}
        wanted = self._settings.models
        if not wanted:
            models = tuple(described(name, listed.get(name, {})) for name in sorted(loaded))
            if not models:
                return Readiness(
                    False,
                    (),
                    f"no model is loaded: load one, or name it in backends.{self._name}.models",
                    asleep=bool(listed),
                )
            return Readiness(True, models, f"loaded: {', '.join(sorted(loaded))}")
        present = tuple(model for model in wanted if model.name in listed or model.name in loaded)
        if not present:
            return offers(wanted, (), list(listed))
        ready = tuple(model for model in present if model.name in loaded)
        if not ready:
            return Readiness(False, (), self._loader.ask(present[0].name), asleep=True)
        # The others are there too: Lemonade loads them when they are asked for.
        others = tuple(model for model in present if model not in ready)
        return offers(wanted, ready + others, list(listed))

    async def aclose(self) -> None:
        await self._loader.aclose()

    async def _load(self, model: str) -> None:
        body = orjson.dumps({"model_name": model})
        await self._transport.post_within("/api/v1/load", body, limit=LOAD_SECONDS)


class OllamaProbe:
    """``/api/tags`` lists a model and ``/api/ps`` has it in memory; an empty prompt loads it else.

    Ollama lets go of a model that was idle for its ``keep_alive`` and loads it
    again when asked. So a model seen in memory stays ready until the server
    was away: keeping it loaded for ever is not ours to decide.
    """

    def __init__(
        self,
        name: str,
        settings: BackendSettings,
        transport: HttpTransport,
        *,
        loads: bool = True,
    ) -> None:
        self._name = name
        self._settings = settings
        self._transport = transport
        self._proven: set[str] = set()
        self._loader = Loader(self._load if loads else None)

    async def __call__(self) -> Readiness:
        try:
            await fetch(self._transport, self._name, "/api/version")
            tags = await fetch(self._transport, self._name, "/api/tags")
            running = await fetch(self._transport, self._name, "/api/ps")
        except BackendError:
            self._proven.clear()
            raise
        installed = _ollama_names(tags)
        loaded = set(_ollama_names(running))
        self._proven = (self._proven | loaded) & set(installed)
        wanted = self._settings.models or tuple(
            ModelSettings(name=name) for name in installed[:_MAX_MODELS] if name in self._proven
        )
        if not wanted:
            return Readiness(
                False,
                (),
                f"no model is loaded: name one in backends.{self._name}.models, or `ollama run` it",
                asleep=bool(installed),
            )
        present = tuple(model for model in wanted if _tagged(model.name) in installed)
        if not present:
            missing = wanted[0].name
            return Readiness(
                False, (), f"has no model '{missing}': run `ollama pull {missing}` there"
            )
        ready = tuple(model for model in present if _tagged(model.name) in self._proven)
        if not ready:
            return Readiness(False, (), self._loader.ask(present[0].name), asleep=True)
        others = tuple(model for model in present if model not in ready)
        return offers(wanted, ready + others, installed)

    async def aclose(self) -> None:
        await self._loader.aclose()

    async def _load(self, model: str) -> None:
        body = orjson.dumps({"model": model, "stream": False})
        await self._transport.post_within("/api/generate", body, limit=LOAD_SECONDS)


async def fetch(transport: HttpTransport, name: str, path: str) -> Mapping[str, Any]:
    """A small JSON object.

    Raises:
        BackendError: it cannot be had, or is no object.
    """
    reply = await transport.get(path, limit=PROBE_SECONDS)
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        document = error
    if not isinstance(document, dict):
        raise BackendProtocolError(
            f"backend '{name}' answered {path} with something else than a JSON object: "
            f"check backends.{name}.kind and base_url",
            backend=name,
        )
    return document


def entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects of a list in a document; what is no object is passed over."""
    values = document.get(key)
    if not isinstance(values, list):
        return []
    return [value for value in values if isinstance(value, dict)]


def described(name: str, entry: Mapping[str, Any]) -> ModelSettings:
    """A listed model as settings, with what the server says of it (llama.cpp, vLLM, Lemonade)."""
    meta = entry.get("meta")
    context = (meta if isinstance(meta, dict) else {}).get("n_ctx")
    for key in ("context_length", "max_model_len", "context_window"):
        context = context or entry.get(key)
    labels = entry.get("labels")
    images = isinstance(labels, list) and "vision" in labels
    if type(context) is int and context >= 256:
        return ModelSettings(name=name, context_tokens=context, images=images)
    return ModelSettings(name=name, images=images)


def offers(
    wanted: tuple[ModelSettings, ...], offered: tuple[ModelSettings, ...], listed: list[str]
) -> Readiness:
    """Ready if any wanted model is offered; the detail names those that are not."""
    missing = [model.name for model in wanted if model not in offered]
    if not offered:
        shown = ", ".join(listed[:5]) or "none"
        return Readiness(False, (), f"does not offer {', '.join(missing)}; it offers: {shown}")
    detail = f"offers {', '.join(model.name for model in offered)}"
    return Readiness(True, offered, detail + (f", not {', '.join(missing)}" if missing else ""))


def _ollama_names(document: Mapping[str, Any]) -> list[str]:
    return [e["name"] for e in entries(document, "models") if isinstance(e.get("name"), str)]


def _tagged(name: str) -> str:
    """Ollama's full name of a model: ``llama3`` is ``llama3:latest``."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
