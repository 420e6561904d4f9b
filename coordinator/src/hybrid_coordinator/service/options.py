"""Which options a reload can change, and what differs between two settings.

Where data is kept, what listens and what embeds is fixed while the process
runs; all other options are taken over. Nothing is carried out here.
"""

from __future__ import annotations

from typing import Any, Final

from hybrid_coordinator.configuration import validate_settings
from hybrid_coordinator.settings import Settings

FIXED: Final = (
    ("host",),
    ("port",),
    ("state_directory",),
    ("qdrant",),
    ("redis",),
    ("embedder",),
    ("telemetry",),
    ("tracing",),
    ("cache", "max_bytes"),
    ("learning", "outbox"),
    ("learning", "signals", "agent"),
    ("learning", "signals", "thumbs"),
    ("reporting", "interval"),
    ("reporting", "retention_days"),
)
"""Options that a running process does not change, with everything below them."""

_Tree = dict[str, Any]
_MISSING: Final = object()


def differences(old: Settings, new: Settings) -> list[str]:
    """The options whose values differ, by their paths: ``cache.ttl``, ``backends.remote``."""
    return _differences(_tree(old), _tree(new), "")


def applicable(running: Settings, wanted: Settings) -> Settings:
    """What of ``wanted`` a process that runs under ``running`` can take over.

    Raises:
        SettingsError: it does not fit to what cannot be changed, such as no
            keys on an address that other machines reach.
    """
    tree, fixed = _tree(wanted), _tree(running)
    for path in FIXED:
        here, there = tree, fixed
        for key in path[:-1]:
            here, there = here[key], there[key]
        here[path[-1]] = there[path[-1]]
    return validate_settings(tree)


def _tree(settings: Settings) -> _Tree:
    return settings.model_dump(mode="json")


def _differences(old: _Tree, new: _Tree, above: str) -> list[str]:
    found: list[str] = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key, _MISSING), new.get(key, _MISSING)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found += _differences(before, after, f"{above}{key}.")
        else:
            found.append(above + key)
    return found
