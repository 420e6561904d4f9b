"""Each kind of backend by its probe, and against what the coordinator says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.health.backend_checks import check_backend
from hybrid_coordinator.health_report import Level, Part
from tests.fakes import FakeAnthropic, FakeOpenAI, running
from tests.unit.health.scenes import Documents, Known, no_view, settings, view

MODEL = [{"name": "m"}]


async def asked(app: Any, kind: str, seen: Known, state: Path, **more: Any) -> Part:
    async with running(app) as url:
        backend = {"kind": kind, "base_url": url, **more}
        return await check_backend(settings(state, backends={"b": backend}), "b", seen)


READY = view(backend__b=("ready", "m"))
LOADING = view(ready=False, backend__b=("down", "loading m"))
FAILING = view(ready=False, backend__b=("down", "loading m again, it failed: no memory"))
ALONE = view(ready=False, backend__b=("down", "left alone after failures"))


def ollama(*, loaded: bool, installed: bool = True) -> Documents:
    names = [{"name": "m:latest"}]
    return Documents(
        {
            "/api/version": {"version": "0.13.0"},
            "/api/tags": {"models": names if installed else []},
            "/api/ps": {"models": names if loaded else []},
        }
    )


def lemonade(*, loaded: bool) -> Documents:
    return Documents(
        {
            "/live": {"status": "ok"},
            "/v1/health": {"all_models_loaded": [{"model_name": "m"}] if loaded else []},
            "/v1/models": {"data": [{"id": "m"}]},
        }
    )


@pytest.mark.parametrize(
    ("kind", "app"), [("ollama", ollama(loaded=True)), ("lemonade", lemonade(loaded=True))]
)
async def test_a_backend_with_a_loaded_model_is_well(
    tmp_path: Path, kind: str, app: Documents
) -> None:
    for models in ([], MODEL):
        part = await asked(app, kind, READY, tmp_path, models=models)
        assert (part.name, part.level) == ("backend.b", Level.OK), part


@pytest.mark.parametrize(
    ("kind", "app"), [("ollama", ollama(loaded=False)), ("lemonade", lemonade(loaded=False))]
)
async def test_a_check_never_has_a_model_loaded(tmp_path: Path, kind: str, app: Documents) -> None:
    for seen in (READY, LOADING, FAILING, no_view()):
        await asked(app, kind, seen, tmp_path, models=MODEL)
    assert {method for method, _, _ in app.requests} == {"GET"}


@pytest.mark.parametrize(
    ("kind", "app"), [("ollama", ollama(loaded=False)), ("lemonade", lemonade(loaded=False))]
)
async def test_a_model_that_is_not_in_memory_is_what_the_coordinator_makes_of_it(
    tmp_path: Path, kind: str, app: Documents
) -> None:
    """Lesson 9; and Ollama lets go of an idle model, which is no fault."""
    part = await asked(app, kind, READY, tmp_path, models=MODEL)
    assert (part.level, part.found) == (Level.OK, "up; it loads its model when it is asked")
    part = await asked(app, kind, LOADING, tmp_path, models=MODEL)
    assert (part.level, part.text) == (Level.WARNING, "starting: loading m")
    part = await asked(app, kind, FAILING, tmp_path, models=MODEL)
    assert (part.level, part.starting) == (Level.WARNING, False)
    assert "it failed: no memory" in part.text
    part = await asked(app, kind, no_view(), tmp_path, models=MODEL)
    assert (part.level, part.found) == (Level.OK, "up; m is there, but not in memory")


async def test_a_backend_without_the_model_names_the_command_that_fetches_it(
    tmp_path: Path,
) -> None:
    app = ollama(loaded=False, installed=False)
    part = await asked(app, "ollama", READY, tmp_path, models=MODEL)
    assert part.level is Level.WARNING
    assert "`ollama pull m`" in part.text


async def test_a_backend_that_is_dead_is_named_whatever_the_coordinator_believes(
    tmp_path: Path,
) -> None:
    """Lesson 14: asked directly, not only through the coordinator."""
    backend = {"kind": "openai", "base_url": "http://127.0.0.1:9"}
    made = settings(tmp_path, backends={"b": backend})
    part = await check_backend(made, "b", READY)
    assert part.level is Level.WARNING
    assert "http://127.0.0.1:9" in part.text


async def test_a_backend_that_only_the_coordinator_leaves_alone_is_a_warning(
    tmp_path: Path,
) -> None:
    part = await asked(FakeOpenAI(models=("m",)), "openai", ALONE, tmp_path)
    assert part.level is Level.WARNING
    assert "the coordinator says: left alone" in part.text


async def test_a_paid_api_is_asked_for_its_models_and_never_for_an_answer(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-right")
    more = {"models": MODEL, "tier": "remote", "api_key_file": str(key)}
    for fake, kind in (
        (FakeOpenAI(models=("m",), api_key="sk-right"), "openai"),
        (FakeAnthropic(api_key="sk-right"), "anthropic"),
    ):
        assert (await asked(fake, kind, READY, tmp_path, **more)).level is Level.OK
        assert [(r.method, r.path) for r in fake.requests] == [("GET", "/v1/models")]
        assert fake.started == 0


async def test_a_paid_api_that_refuses_the_key_is_a_warning_without_the_key(
    tmp_path: Path,
) -> None:
    key = tmp_path / "key"
    key.write_text("sk-wrong-key")
    fake = FakeOpenAI(models=("m",), api_key="sk-right")
    more = {"models": MODEL, "tier": "remote", "api_key_file": str(key)}
    part = await asked(fake, "openai", READY, tmp_path, **more)
    assert part.level is Level.WARNING
    assert "sk-wrong-key" not in part.text


async def test_a_person_who_cannot_read_the_key_gets_the_coordinators_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    fake = FakeOpenAI(models=("m",), api_key="sk-right")
    more = {"models": MODEL, "api_key_file": "remote-api-key"}
    part = await asked(fake, "openai", READY, tmp_path, **more)
    assert (part.level, part.found) == (Level.OK, "m, says the coordinator")
    assert (await asked(fake, "openai", ALONE, tmp_path, **more)).level is Level.WARNING
    part = await asked(fake, "openai", no_view(), tmp_path, **more)
    assert part.level is Level.WARNING
    assert "backends.b.api_key_file" in part.text
    assert fake.requests == []


async def test_a_job_that_cannot_read_the_key_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    more = {"models": MODEL, "api_key_file": "remote-api-key"}
    with pytest.raises(SettingsError, match=r"backends\.b\.api_key_file"):
        await asked(FakeOpenAI(), "openai", READY, tmp_path, **more)


async def test_the_embedded_engine_is_as_the_coordinator_says_and_no_second_one_is_started(
    tmp_path: Path,
) -> None:
    made = settings(tmp_path, backends={"b": {"kind": "embedded"}})
    assert (await check_backend(made, "b", READY)).level is Level.OK
    part = await check_backend(made, "b", LOADING)
    assert (part.level, part.starting) == (Level.WARNING, True)
    assert "not known" in (await check_backend(made, "b", no_view())).found
