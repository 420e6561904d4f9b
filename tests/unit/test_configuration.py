"""Settings come from the file, then the environment; what is wrong is named as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.configuration import load_settings, read_secret, schema_document
from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.settings import BackendKind, Settings

ROOT = Path(__file__).parents[2]
PREFIX = "services.hybrid-ai.coordinator.settings"


def write(path: Path, **tree: object) -> Path:
    file = path / "settings.json"
    file.write_text(json.dumps(tree))
    return file


def refusal(file: Path | None = None, **env: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(file, env)
    return str(caught.value)


def test_nothing_given_is_the_embedded_default() -> None:
    settings = load_settings(None, {})
    assert settings.port == 8092
    assert [b.kind for b in settings.backends.values()] == [BackendKind.EMBEDDED]
    assert settings.qdrant.url is settings.redis.url is None
    assert settings.state_directory.is_absolute()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, port=1000, cache={"ttl": 10, "max_entries": 7})
    settings = load_settings(file, {"HYBRID_AI_PORT": "2000", "HYBRID_AI_CACHE__TTL": "20"})
    assert (settings.port, settings.cache.ttl, settings.cache.max_entries) == (2000, 20.0, 7)


def test_the_well_known_names_are_read() -> None:
    settings = load_settings(
        None,
        {
            "QDRANT_URL": "http://q:6333",
            "REDIS_URL": "redis://r:6379",
            "LEMONADE_BASE_URL": "http://l:13305/api/v1",
            "OLLAMA_BASE_URL": "http://o:11434/",
            "LOCAL_CONFIDENCE_THRESHOLD": "0.5",
            "HIGH_VALUE_THRESHOLD": "0.8",
            "PATTERN_EXTRACTION_ENABLED": "false",
        },
    )
    assert settings.qdrant.url == "http://q:6333"
    assert settings.redis.url == "redis://r:6379"
    assert settings.backends["lemonade"].base_url == "http://l:13305"
    assert settings.backends["ollama"].kind is BackendKind.OLLAMA
    assert settings.backends["ollama"].base_url == "http://o:11434"
    assert settings.routing.local_confidence_threshold == 0.5
    assert settings.learning.high_value_threshold == 0.8
    assert settings.learning.pattern_extraction_enabled is False


def test_systemd_names_the_state_directory() -> None:
    assert (
        str(load_settings(None, {"STATE_DIRECTORY": "/var/lib/x"}).state_directory) == "/var/lib/x"
    )


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"prot": 1}, f"{PREFIX}.prot: there is no such option"),
        ({"port": "x"}, f"{PREFIX}.port: "),
        (
            {"port": 70000},
            f"{PREFIX}.port: Input should be less than or equal to 65535, got '70000'",
        ),
        ({"cache": {"semantic": {"max_error": 2}}}, f"{PREFIX}.cache.semantic.max_error: "),
        ({"backends": {}}, "backends is empty"),
        ({"backends": {"l": {"kind": "lemonade"}}}, f"{PREFIX}.backends.l: a backend of kind"),
        ({"backends": {"UPPER": {"kind": "embedded"}}}, f"{PREFIX}.backends.UPPER: "),
        (
            {"backends": {"r": {"kind": "openai", "base_url": "http://h", "tier": "remote"}}},
            "a remote backend needs models",
        ),
        (
            {
                "backends": {
                    "r": {"kind": "openai", "base_url": "http://h", "models": [{"name": "auto"}]}
                }
            },
            f"{PREFIX}.backends.r.models[0].name: 'auto' is the router's own name",
        ),
        ({"retrieval": {"limits": {"foo": 1}}}, f"{PREFIX}.retrieval.limits.foo"),
        ({"host": "0.0.0.0"}, "set api_keys_file, or set host to 127.0.0.1"),
    ],
)
def test_a_wrong_option_is_refused_by_its_nix_path(
    tmp_path: Path, tree: dict[str, object], expected: str
) -> None:
    assert expected in refusal(write(tmp_path, **tree))


def test_a_wrong_variable_is_refused_by_its_own_name() -> None:
    assert refusal(HYBRID_AI_CACHE__TTL="-3").startswith("HYBRID_AI_CACHE__TTL: ")
    assert refusal(QDRANT_URL="nope").startswith("QDRANT_URL: ")
    assert "there is no option 'prot'" in refusal(HYBRID_AI_PROT="1")


def test_every_error_is_told_at_once(tmp_path: Path) -> None:
    assert len(refusal(write(tmp_path, port="x", prot=1, log_level="loud")).splitlines()) == 3


def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    for text, expected in (("{", "is not JSON"), ("[]", "must hold a JSON object")):
        file.write_text(text)
        assert expected in refusal(file)
    assert "cannot be read" in refusal(tmp_path / "absent.json")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(), s, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(sorted(Settings.model_fields)),
)
def test_any_value_is_accepted_or_refused_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, value: object, key: str
) -> None:
    file = tmp_path_factory.mktemp("s") / "s.json"
    file.write_text(json.dumps({key: value}))
    refused = ""
    try:
        load_settings(file, {})
    except SettingsError as error:
        refused = str(error)
    assert not refused or PREFIX in refused


def test_a_secret_is_read_from_a_path_or_a_credential(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    assert read_secret(str(tmp_path / "key"), option="x") == "s3cret"
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_secret("key", option="x", environment=env) == "s3cret"


def test_a_secret_pasted_by_mistake_is_never_repeated(tmp_path: Path) -> None:
    for env in ({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}):
        with pytest.raises(SettingsError) as caught:
            read_secret("sk-very-secret", option="api_keys_file", environment=env)
        assert "sk-very-secret" not in str(caught.value)
        assert f"{PREFIX}.api_keys_file" in str(caught.value)


def test_an_empty_or_unreadable_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, expected in (
        ("empty", "is empty"),
        ("binary", "not UTF-8"),
        ("no", "cannot be read"),
    ):
        with pytest.raises(SettingsError, match=expected):
            read_secret(str(tmp_path / name), option="x")


def test_the_committed_schema_is_the_one_the_models_give() -> None:
    assert (ROOT / "coordinator" / "settings.schema.json").read_bytes() == schema_document()
