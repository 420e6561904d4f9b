"""What the stand-in reads of Qdrant's configuration: a file, then QDRANT__ variables over it.

Keys it has no use for (gRPC, HNSW, consensus, …) are ignored, since a real server's file must do;
TLS and JWT are refused, since ignoring them would look like security. Not here: the command line.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "QDRANT__"
_REFUSED = ("enable_tls", "jwt_rbac")


class ConfigurationError(Exception):
    """A configuration that cannot be used; the message says which key and why."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The keys of Qdrant's configuration that the stand-in follows.

    The address is loopback unless the configuration says otherwise (the server's own default is
    every interface).
    """

    host: str = "127.0.0.1"
    http_port: int = 6333
    storage_path: Path = Path("storage")
    write_keys: frozenset[str] = frozenset()
    read_keys: frozenset[str] = frozenset()
    max_request_bytes: int = 32 * 1024 * 1024


def read_configuration(path: Path | None, environment: Mapping[str, str]) -> Configuration:
    """The configuration of a file, if there is one, and the environment over it.

    Raises ConfigurationError.
    """
    tree = {} if path is None else _read_file(path)
    for name, value in environment.items():
        if name.startswith(PREFIX):
            _put(tree, name.removeprefix(PREFIX).lower().split("__"), value)
    service, storage = _section(tree, "service"), _section(tree, "storage")
    for key in _REFUSED:
        if _flag(service.get(key, False)):
            raise ConfigurationError(f"service.{key}: the stand-in does not have it; set it false.")
    plain = Configuration()
    return Configuration(
        host=str(service.get("host", plain.host)),
        http_port=_number(service, "http_port", plain.http_port),
        storage_path=Path(str(storage.get("storage_path", plain.storage_path))),
        write_keys=_keys(service, "api_key", "alt_api_key"),
        read_keys=_keys(service, "read_only_api_key"),
        max_request_bytes=_number(service, "max_request_size_mb", 32) * 1024 * 1024,
    )


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        tree = json.loads(text)  # JSON is YAML, and needs no PyYAML
    except ValueError:
        tree = _read_yaml(path, text)
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{path} is not a mapping of sections.")
    return tree


def _read_yaml(path: Path, text: str) -> Any:
    try:
        yaml = importlib.import_module("yaml")  # not installed everywhere, and without types
    except ImportError as error:
        raise ConfigurationError(
            f"{path} is YAML: install PyYAML (Debian: python3-yaml), or write it as JSON."
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from error


def _put(tree: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        inner = tree.get(key)
        if not isinstance(inner, dict):
            inner = tree[key] = {}
        tree = inner
    tree[keys[-1]] = value


def _section(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = tree.get(name) or {}
    if not isinstance(section, dict):
        raise ConfigurationError(f"{name} is not a mapping.")
    return section


def _number(section: Mapping[str, Any], key: str, default: int) -> int:
    value = section.get(key, default)
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"service.{key} is no whole number: {value!r}.") from error


def _flag(value: object) -> bool:
    return str(value).lower() in {"true", "1", "yes", "on"}


def _keys(section: Mapping[str, Any], *names: str) -> frozenset[str]:
    """The keys that are set; an empty one counts as none, as in the server."""
    return frozenset(str(section[name]) for name in names if section.get(name))
