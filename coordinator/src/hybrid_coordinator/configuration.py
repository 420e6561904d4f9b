"""How a settings file and the environment become ``Settings``, and secrets become text.

The file is JSON (what the NixOS module writes); the environment comes after it
and wins. Every refusal names the option as the user wrote it: the Nix path for
the file, the variable for the environment. Nothing here has a default of its
own; those are in ``settings``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.settings import BackendKind, Settings

ENV_PREFIX = "HYBRID_AI_"
NIX_PATH = "services.hybrid-ai.coordinator.settings"

WELL_KNOWN: Mapping[str, tuple[str, ...]] = {
    "QDRANT_URL": ("qdrant", "url"),
    "REDIS_URL": ("redis", "url"),
    "LEMONADE_BASE_URL": ("backends", BackendKind.LEMONADE.value, "base_url"),
    "OLLAMA_BASE_URL": ("backends", BackendKind.OLLAMA.value, "base_url"),
    "LOCAL_CONFIDENCE_THRESHOLD": ("routing", "local_confidence_threshold"),
    "HIGH_VALUE_THRESHOLD": ("learning", "high_value_threshold"),
    "PATTERN_EXTRACTION_ENABLED": ("learning", "pattern_extraction_enabled"),
}
"""Variables that keep the names people know them by; all others are prefixed."""

# Not options: variables of ours that say where a bundled part is, read where the part is loaded.
_NOT_OPTIONS = frozenset({"HYBRID_AI_DATA", "HYBRID_AI_TESTBED", "HYBRID_AI_CONFIG"})

Tree = dict[str, Any]


def load_settings(
    file: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Read ``file`` (JSON), then the environment, and validate the whole.

    Raises:
        SettingsError: with one line an error, each naming the option and the reason.
    """
    env = os.environ if environment is None else environment
    tree = _read_file(file) if file is not None else {}
    origins: dict[tuple[str, ...], str] = {}
    _apply_prefixed(tree, env, origins)
    _apply_well_known(tree, env, origins)
    if "state_directory" not in tree and (state := env.get("STATE_DIRECTORY")):
        tree["state_directory"] = state.split(":")[0]
    return validate_settings(tree, origins)


def validate_settings(
    tree: Tree, origins: Mapping[tuple[str, ...], str] = MappingProxyType({})
) -> Settings:
    """Validate a whole settings tree; ``origins`` names the variables that values came from.

    Raises:
        SettingsError: with one line an error, each naming the option and the reason.
    """
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        lines = [_explain(details, origins) for details in error.errors()]
        raise SettingsError("\n".join(lines), field=_path(error.errors()[0])) from None
    return settings.model_copy(update={"state_directory": settings.state_directory.expanduser()})


def read_secret(
    reference: str, *, option: str, environment: Mapping[str, str] | None = None
) -> str:
    """The text of a secret named by an absolute path or a systemd credential's name.

    Raises:
        SettingsError: where there is no such file or it is empty. The reference
            is repeated only if it is a path: a secret pasted by mistake is not.
    """
    env = os.environ if environment is None else environment
    name = f"{NIX_PATH}.{option}"
    if reference.startswith("/"):
        path = Path(reference)
        shown = f"the file {reference}"
    else:
        directory = env.get("CREDENTIALS_DIRECTORY")
        if directory is None or "/" in reference:
            raise SettingsError(
                f"{name}: the value is neither an absolute path nor the name of a systemd "
                "credential of this service; write the secret to a file and give its path",
                field=option,
            )
        path = Path(directory) / reference
        shown = "the systemd credential it names"
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{name}: {shown} cannot be read: {reason}", field=option) from None
    if not text:
        raise SettingsError(f"{name}: {shown} is empty", field=option)
    return text


def schema_document() -> bytes:
    """The JSON schema of the settings file, as committed in ``settings.schema.json``."""
    schema = Settings.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def _read_file(file: Path) -> Tree:
    try:
        tree = orjson.loads(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"the settings file {file} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"the settings file {file} is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"the settings file {file} must hold a JSON object")
    return tree


def _apply_prefixed(
    tree: Tree, env: Mapping[str, str], origins: dict[tuple[str, ...], str]
) -> None:
    ours = {k: v for k, v in env.items() if k.startswith(ENV_PREFIX) and k not in _NOT_OPTIONS}
    if not ours:
        return
    for variable in ours:
        path = tuple(variable.removeprefix(ENV_PREFIX).lower().split("__"))
        if path[0] not in Settings.model_fields:
            raise SettingsError(
                f"{variable}: there is no option '{path[0]}'; nested options are joined by two "
                f"underscores, as in {ENV_PREFIX}CACHE__TTL",
                field=path[0],
            )
        origins[path] = variable
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in Settings.model_fields.items()
    }
    view = create_model("_EnvironmentView", __base__=_EnvironmentBase, **fields)
    source = EnvSettingsSource(view)
    # The source reads os.environ at construction; ours may be another mapping.
    source.env_vars = {k.lower(): v for k, v in ours.items()}
    try:
        found = source()
    except ValueError as error:
        raise SettingsError(f"a {ENV_PREFIX}… variable does not parse: {error}") from None
    _merge(tree, found)


class _EnvironmentBase(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__")


def _apply_well_known(
    tree: Tree, env: Mapping[str, str], origins: dict[tuple[str, ...], str]
) -> None:
    for variable, path in WELL_KNOWN.items():
        value = env.get(variable)
        if value is None or value == "":
            continue
        origins[path] = variable
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise SettingsError(f"{variable} is set, but '{key}' in the file is not an object")
        node[path[-1]] = value
        if path[0] == "backends":
            node.setdefault("kind", path[1])


def _merge(tree: Tree, other: Tree) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _path(details: ErrorDetails) -> str:
    parts: list[str] = []
    for part in details["loc"]:
        if isinstance(part, int) and parts:
            parts[-1] += f"[{part}]"
        elif part != "[key]":
            parts.append(str(part))
    return ".".join(parts)


def _explain(details: ErrorDetails, origins: Mapping[tuple[str, ...], str]) -> str:
    path = _path(details)
    loc = tuple(str(part) for part in details["loc"])
    name = origins.get(loc) or (f"{NIX_PATH}.{path}" if path else NIX_PATH)
    if details["type"] == "extra_forbidden":
        return f"{name}: there is no such option; compare the spelling with the options document"
    reason = details["msg"].removeprefix("Value error, ")
    if details["type"] == "value_error" or isinstance(details["input"], dict | list):
        return f"{name}: {reason}"
    return f"{name}: {reason}, got {str(details['input'])[:80]!r}"
