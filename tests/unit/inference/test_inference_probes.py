"""Readiness of each kind of backend, and that probing costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from hybrid_coordinator.inference import Backend, Readiness, build_backend
from hybrid_coordinator.settings import BackendKind, BackendSettings, ModelSettings
from tests.fakes import FakeAnthropic, FakeOpenAI, running
from tests.unit.inference.fleet_parts import LIMIT, settings


class FakeDocuments:
    """A server of small JSON documents by path, as Lemonade and Ollama answer probes.

    Loading a model waits for ``may_load`` and then calls ``loaded``.
    """

    def __init__(self, documents: dict[str, Any]) -> None:
        self.documents = documents
        self.posts: list[tuple[str, Any]] = []
        self.may_load = asyncio.Event()
        self.finished = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["path"]
        if scope["method"] == "POST":
            self.posts.append((path, orjson.loads(body)))
            await self.may_load.wait()
        document = self.documents.get(path)
        status = 200 if document is not None else 404
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(document or {})})
        if scope["method"] == "POST":
            self.finished.set()


@asynccontextmanager
async def probed(
    app: Any, kind: BackendKind, models: tuple[str, ...] = (), api_key: str | None = None
) -> AsyncIterator[Backend]:
    async with running(app) as url, asyncio.timeout(LIMIT):
        named = tuple(ModelSettings(name=name) for name in models)
        made = BackendSettings(kind=kind, base_url=url, models=named)
        backend = build_backend("b", made, api_key, Path())
        try:
            yield backend
        finally:
            await backend.aclose()


async def probe(app: Any, kind: BackendKind, models: tuple[str, ...] = ()) -> Readiness:
    async with probed(app, kind, models) as backend:
        return await backend.probe()


def names(found: Readiness) -> list[str]:
    return [model.name for model in found.models]


# Any OpenAI-compatible server.


async def test_without_named_models_whatever_the_server_lists_is_offered() -> None:
    found = await probe(FakeOpenAI(models=("a", "b")), BackendKind.OPENAI)
    assert found.ready
    assert names(found) == ["a", "b"]


async def test_of_named_models_those_listed_are_offered_and_the_others_reported() -> None:
    found = await probe(FakeOpenAI(models=("a", "b")), BackendKind.OPENAI, ("b", "c"))
    assert found.ready
    assert names(found) == ["b"]
    assert "not c" in found.detail


async def test_a_server_without_the_named_model_is_not_ready_and_says_what_it_has() -> None:
    fake = FakeOpenAI(models=("a",))
    found = await probe(fake, BackendKind.OPENAI, ("c",))
    assert not found.ready
    assert "does not offer c; it offers: a" in found.detail
    assert fake.started == 0


async def test_a_server_that_lists_no_model_is_not_ready() -> None:
    """Lesson 9: started is not ready."""
    found = await probe(FakeOpenAI(models=()), BackendKind.OPENAI)
    assert not found.ready


async def test_a_server_without_a_list_is_ready_for_the_models_named() -> None:
    found = await probe(FakeDocuments({}), BackendKind.OPENAI, ("m",))
    assert found.ready
    assert names(found) == ["m"]


async def test_what_llama_cpp_and_vllm_say_of_a_models_context_is_taken() -> None:
    listed = [
        {"id": "llama", "meta": {"n_ctx": 4096}},
        {"id": "vllm", "max_model_len": 32768},
        {"id": "silent"},
    ]
    found = await probe(FakeDocuments({"/v1/models": {"data": listed}}), BackendKind.OPENAI)
    assert [m.context_tokens for m in found.models] == [4096, 32768, 8192]


async def test_a_server_of_another_kind_is_reported_and_not_an_exception() -> None:
    found = await probe(FakeDocuments({"/v1/models": ["what"]}), BackendKind.OPENAI)
    assert not found.ready
    assert "backends.b.kind" in found.detail


async def test_a_server_that_is_away_is_reported_with_its_address() -> None:
    backend = build_backend("b", settings("http://127.0.0.1:9"), None, Path())
    found = await backend.probe()
    await backend.aclose()
    assert not found.ready
    assert "http://127.0.0.1:9" in found.detail


# Anthropic.


async def test_anthropic_is_ready_once_the_key_is_accepted_and_no_prompt_was_sent() -> None:
    fake = FakeAnthropic(api_key="sk-x")
    async with probed(fake, BackendKind.ANTHROPIC, ("claude-fake",), "sk-x") as backend:
        found = await backend.probe()
    assert found.ready
    assert names(found) == ["claude-fake"]
    assert [r.path for r in fake.requests] == ["/v1/models"]


# Lemonade.


def lemonade(loaded: list[str], listed: list[str]) -> FakeDocuments:
    entries = [{"model_name": name, "type": "llm"} for name in loaded]
    return FakeDocuments(
        {
            "/live": {"status": "ok"},
            "/v1/health": {
                "status": "ok",
                "model_loaded": loaded[-1] if loaded else None,
                "all_models_loaded": entries,
            },
            "/v1/models": {"data": [{"id": name, "context_length": 2048} for name in listed]},
            "/api/v1/load": {"status": "success"},
        }
    )


async def test_lemonade_without_a_loaded_model_is_not_ready() -> None:
    """Lesson 9: requests went out before the model was loaded."""
    found = await probe(lemonade([], ["m"]), BackendKind.LEMONADE)
    assert not found.ready
    assert "no model is loaded" in found.detail


async def test_lemonade_offers_what_is_loaded_with_its_real_context() -> None:
    found = await probe(lemonade(["m"], ["m", "n"]), BackendKind.LEMONADE)
    assert [(m.name, m.context_tokens) for m in found.models] == [("m", 2048)]


async def test_lemonades_embedding_model_does_not_count_as_one_that_answers() -> None:
    fake = lemonade(["e"], ["e"])
    fake.documents["/v1/health"]["all_models_loaded"] = [{"model_name": "e", "type": "embedding"}]
    fake.documents["/v1/health"]["model_loaded"] = None
    assert not (await probe(fake, BackendKind.LEMONADE)).ready


async def test_lemonade_is_asked_once_to_load_a_named_model_and_ready_when_it_has() -> None:
    fake = lemonade([], ["m"])
    async with probed(fake, BackendKind.LEMONADE, ("m",)) as backend:
        for _ in range(3):
            found = await backend.probe()
            assert (found.ready, found.detail) == (False, "loading m")
        fake.may_load.set()
        await fake.finished.wait()
        fake.documents.update(lemonade(["m"], ["m"]).documents)
        assert (await backend.probe()).ready
    assert fake.posts == [("/api/v1/load", {"model_name": "m"})]


async def test_a_loaded_model_comes_before_one_that_would_have_to_be_loaded() -> None:
    found = await probe(lemonade(["n"], ["m", "n"]), BackendKind.LEMONADE, ("m", "n"))
    assert names(found) == ["n", "m"]


async def test_a_model_lemonade_has_not_downloaded_is_not_loaded_but_reported() -> None:
    fake = lemonade([], ["other"])
    found = await probe(fake, BackendKind.LEMONADE, ("m",))
    assert "does not offer m" in found.detail
    assert fake.posts == []


async def test_a_failed_load_is_reported_and_tried_again() -> None:
    fake = lemonade([], ["m"])
    del fake.documents["/api/v1/load"]
    fake.may_load.set()
    async with probed(fake, BackendKind.LEMONADE, ("m",)) as backend:
        await backend.probe()
        while "failed" not in (found := await backend.probe()).detail:
            await fake.finished.wait()
            await asyncio.sleep(0)
    assert found.detail.startswith("loading m again, it failed: backend 'b' rejected")


# Ollama.


def ollama(loaded: list[str], installed: list[str]) -> FakeDocuments:
    return FakeDocuments(
        {
            "/api/version": {"version": "0.13.0"},
            "/api/tags": {"models": [{"name": name} for name in installed]},
            "/api/ps": {"models": [{"name": name} for name in loaded]},
            "/api/generate": {"done": True},
        }
    )


async def test_ollama_is_ready_with_a_model_in_memory() -> None:
    found = await probe(ollama(["m:latest"], ["m:latest"]), BackendKind.OLLAMA, ("m",))
    assert found.ready
    assert names(found) == ["m"]


async def test_ollama_is_asked_to_load_an_installed_model() -> None:
    fake = ollama([], ["m:latest"])
    async with probed(fake, BackendKind.OLLAMA, ("m",)) as backend:
        assert (await backend.probe()).detail == "loading m"
        fake.may_load.set()
        await fake.finished.wait()
    assert fake.posts == [("/api/generate", {"model": "m", "stream": False})]


async def test_a_model_ollama_does_not_have_names_the_command_that_fetches_it() -> None:
    found = await probe(ollama([], []), BackendKind.OLLAMA, ("m",))
    assert not found.ready
    assert "`ollama pull m`" in found.detail


async def test_a_model_ollama_let_go_of_stays_ready_until_ollama_was_away() -> None:
    fake = ollama(["m:latest"], ["m:latest"])
    async with probed(fake, BackendKind.OLLAMA, ("m",)) as backend:
        assert (await backend.probe()).ready
        fake.documents["/api/ps"] = {"models": []}
        assert (await backend.probe()).ready
        version = fake.documents.pop("/api/version")
        assert not (await backend.probe()).ready
        fake.documents["/api/version"] = version
        assert (await backend.probe()).detail == "loading m"
        fake.may_load.set()
        await fake.finished.wait()


@pytest.mark.parametrize("kind", [BackendKind.LEMONADE, BackendKind.OLLAMA])
async def test_closing_a_backend_ends_a_load_that_is_under_way(kind: BackendKind) -> None:
    fake = lemonade([], ["m"]) if kind is BackendKind.LEMONADE else ollama([], ["m:latest"])
    async with probed(fake, kind, ("m",)) as backend:
        await backend.probe()
        while not fake.posts:
            await asyncio.sleep(0)
        await backend.aclose()
        fake.may_load.set()
    assert [t for t in asyncio.all_tasks() if "Loader" in repr(t.get_coro())] == []
