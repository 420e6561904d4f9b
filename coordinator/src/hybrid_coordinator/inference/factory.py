"""Settings in, backend out: the only place that knows every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.inference.anthropic import AnthropicBackend
from hybrid_coordinator.inference.backend import Backend
from hybrid_coordinator.inference.embedded import EmbeddedBackend
from hybrid_coordinator.inference.engine_process import EngineProcess
from hybrid_coordinator.inference.model_file import find_model_file
from hybrid_coordinator.inference.openai_compatible import OpenAICompatibleBackend
from hybrid_coordinator.inference.probes import (
    AnthropicProbe,
    LemonadeProbe,
    OllamaProbe,
    OpenAIProbe,
    Probe,
)
from hybrid_coordinator.inference.transport import HttpTransport
from hybrid_coordinator.settings import BackendKind, BackendSettings
from hybrid_coordinator.wire.anthropic import API_VERSION

_MakeProbe = Callable[[str, BackendSettings, HttpTransport], Probe]

_PROBES: Final[Mapping[BackendKind, _MakeProbe]] = {
    BackendKind.LEMONADE: LemonadeProbe,
    BackendKind.OLLAMA: OllamaProbe,
    BackendKind.OPENAI: OpenAIProbe,
}
_LOOKING_PROBES: Final[Mapping[BackendKind, _MakeProbe]] = {
    **_PROBES,
    BackendKind.LEMONADE: partial(LemonadeProbe, loads=False),
    BackendKind.OLLAMA: partial(OllamaProbe, loads=False),
}


def build_backend(
    name: str,
    settings: BackendSettings,
    api_key: str | None,
    state_directory: Path,
    *,
    loads: bool = True,
) -> Backend:
    """A backend of the settings' kind, connected to nothing yet.

    ``loads``: whether its probe has a model brought into memory where none is.

    Raises:
        SettingsError: an embedded backend without engine or model.
    """
    if settings.kind is BackendKind.EMBEDDED:
        file = find_model_file(name, settings, state_directory)
        return EmbeddedBackend(name, settings, EngineProcess(name, settings, file))
    if settings.base_url is None:
        raise SettingsError(
            f"backend '{name}' has no base_url: say where its server is",
            field=f"backends.{name}.base_url",
        )
    headers = {"content-type": "application/json"}
    if settings.kind is BackendKind.ANTHROPIC:
        headers["anthropic-version"] = API_VERSION
        if api_key:
            headers["x-api-key"] = api_key
        transport = HttpTransport(name, settings, settings.base_url, headers, secret=api_key)
        probe = AnthropicProbe(name, settings, transport)
        return AnthropicBackend(name, settings, transport, probe)
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    transport = HttpTransport(name, settings, settings.base_url, headers, secret=api_key)
    probes = _PROBES if loads else _LOOKING_PROBES
    return OpenAICompatibleBackend(
        name, settings, transport, probes[settings.kind](name, settings, transport)
    )
