"""What a reload may change, and what it leaves for a restart."""

from __future__ import annotations

import pytest

from hybrid_coordinator.configuration import validate_settings
from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.service.options import FIXED, applicable, differences
from hybrid_coordinator.settings import Settings

ONE = {"kind": "ollama", "base_url": "http://127.0.0.1:11434"}


def test_what_differs_is_named_by_its_path() -> None:
    old = validate_settings({"backends": {"one": ONE}})
    new = validate_settings(
        {
            "backends": {"one": {**ONE, "priority": 1}, "two": ONE},
            "cache": {"ttl": 5, "semantic": {"max_error": 0.5}},
            "retrieval": {"limits": {"best-practices": 1}},
        }
    )
    assert set(differences(old, new)) >= {
        "backends.one.priority",
        "backends.two",
        "cache.ttl",
        "cache.semantic.max_error",
    }
    assert differences(new, new) == []


def test_fixed_options_stay_and_others_are_taken_over() -> None:
    old = Settings(port=1)
    wanted = validate_settings(
        {
            "port": 2,
            "host": "localhost",
            "qdrant": {"url": "http://q"},
            "cache": {"ttl": 5, "max_bytes": 2_000_000},
            "embedder": {"threads": 2},
            "log_level": "debug",
        }
    )
    taken = applicable(old, wanted)
    assert (taken.port, taken.host, taken.qdrant, taken.embedder) == (
        1,
        "127.0.0.1",
        old.qdrant,
        old.embedder,
    )
    assert taken.cache.max_bytes == old.cache.max_bytes
    assert (taken.cache.ttl, taken.log_level) == (5, "debug")
    assert set(differences(taken, wanted)) == {
        "port",
        "host",
        "qdrant.url",
        "cache.max_bytes",
        "embedder.threads",
    }


def test_keys_cannot_be_taken_away_while_other_machines_can_connect() -> None:
    running = Settings(host="0.0.0.0", api_keys_file="/keys")
    with pytest.raises(SettingsError, match="api_keys_file"):
        applicable(running, Settings(host="127.0.0.1"))


@pytest.mark.parametrize("path", FIXED, ids=".".join)
def test_every_fixed_option_exists(path: tuple[str, ...]) -> None:
    tree = Settings().model_dump()
    for key in path:
        tree = tree[key]
