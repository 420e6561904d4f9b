"""Qdrant, Redis, and the embedded stores by the coordinator's word."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.errors import SettingsError, StoreUnavailable
from hybrid_coordinator.health.store_checks import (
    check_cache,
    check_knowledge,
    check_qdrant,
    check_redis,
)
from hybrid_coordinator.health_report import Level, Part
from hybrid_coordinator.settings import Collection
from tests.fakes import running
from tests.unit.health.scenes import (
    Documents,
    Known,
    collection,
    embedder_folder,
    no_view,
    qdrant,
    settings,
    view,
)
from tests.unit.inference.raw_server import raw_server


async def asked(server: Documents, state: Path, seen: Known | None = None, **more: Any) -> Part:
    async with running(server) as url:
        made = settings(
            state, qdrant={"url": url, **more}, embedder=embedder_folder(state / "models")
        )
        return await check_qdrant(made, seen or view(), 5)


# Qdrant.


async def test_a_qdrant_with_all_five_collections_is_well(tmp_path: Path) -> None:
    server = qdrant()
    part = await asked(server, tmp_path)
    assert (part.level, part.found) == (Level.OK, "ready, 5 collections, 35 points")
    paths = [path for _, path, _ in server.requests]
    assert paths[0] == "/readyz"
    assert sorted(paths[1:]) == sorted(f"/collections/{c}" for c in Collection)


@pytest.mark.parametrize("name", [c.value for c in Collection])
async def test_any_one_missing_collection_is_named(tmp_path: Path, name: str) -> None:
    """Lesson 14: one collection was sampled."""
    part = await asked(qdrant(**{name.replace("-", "_"): None}), tmp_path)
    assert part.level is Level.WARNING
    assert name in part.found
    assert "hybrid-coordinator init" in part.remedy


@pytest.mark.parametrize("name", [c.value for c in Collection])
async def test_a_collection_of_another_embedders_size_is_named_lesson_1(
    tmp_path: Path, name: str
) -> None:
    part = await asked(qdrant(**{name.replace("-", "_"): collection(size=768)}), tmp_path)
    assert part.level is Level.WARNING
    assert f"'{name}' holds vectors of 768 dimensions" in part.found
    assert "makes vectors of 4 dimensions" in part.found
    assert "hybrid-coordinator reindex" in part.found


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (collection(embedder="other"), "by 'other', but the embedder makes"),
        (collection(config={"params": {"vectors": {"size": 4}}}), "no vector named 'dense'"),
        (
            collection(config={"params": {"vectors": {"dense": {"size": 4, "distance": "Dot"}}}}),
            "(Dot) without 'bm25'",
        ),
        (
            collection(status="red", optimizer_status={"error": "disk is full"}),
            "an error in 'best-practices': disk is full",
        ),
        ({"result": None}, "no vector named"),
        ({"result": []}, "no vector named"),
    ],
)
async def test_whatever_is_wrong_with_a_collection_is_said(
    tmp_path: Path, document: Any, words: str
) -> None:
    part = await asked(qdrant(best_practices=document), tmp_path)
    assert part.level is Level.WARNING
    assert words in part.found
    assert part.cause == "best-practices"


async def test_a_server_that_does_not_keep_whose_vectors_it_has_is_well(tmp_path: Path) -> None:
    server = qdrant(**{c.replace("-", "_"): collection(embedder=None) for c in Collection})
    assert (await asked(server, tmp_path)).level is Level.OK


async def test_without_the_embedders_size_the_collections_are_there_and_that_is_said(
    tmp_path: Path,
) -> None:
    async with running(qdrant(**{"best_practices": collection(embedder=None)})) as url:
        made = settings(tmp_path, qdrant={"url": url}, embedder={"model": "BAAI/bge-small-en"})
        part = await check_qdrant(made, view(), 5)
    assert part.level is Level.WARNING  # four are by 'mini'
    assert "by 'BAAI/bge-small-en'" in part.found
    assert "best-practices" not in part.cause


async def test_a_qdrant_that_recovers_is_starting(tmp_path: Path) -> None:
    server = Documents({"/readyz": (503, "some shards are not ready")})
    part = await asked(server, tmp_path)
    assert (part.level, part.starting) == (Level.WARNING, True)


async def test_the_key_is_sent_and_a_refusal_names_the_option(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    server = qdrant()
    await asked(server, tmp_path, api_key_file=str(key))
    assert {headers.get("api-key") for _, _, headers in server.requests} == {"s3cret"}
    for collection_ in Collection:
        server.documents[f"/collections/{collection_.value}"] = (401, "Must provide an API key")
    with pytest.raises(StoreUnavailable, match=r"qdrant\.api_key_file"):
        await asked(server, tmp_path)


async def test_what_is_no_qdrant_or_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is it a Qdrant server"):
        await asked(Documents({}), tmp_path)
    with pytest.raises(StoreUnavailable, match="something else than its description"):
        await asked(qdrant(best_practices=b"<html>"), tmp_path)
    for url in ("http://127.0.0.1:9", "http://a:b"):
        made = settings(tmp_path, qdrant={"url": url})
        with pytest.raises(StoreUnavailable, match=r"qdrant\.url"):
            await check_qdrant(made, view(), 5)


async def test_a_qdrant_that_the_coordinator_cannot_reach_is_a_warning_lesson_11(
    tmp_path: Path,
) -> None:
    seen = view(collection__best_practices=("degraded", "it cannot be reached"))
    part = await asked(qdrant(), tmp_path, seen)
    assert part.level is Level.WARNING
    assert "the coordinator says: it cannot be reached" in part.found


async def test_a_person_who_cannot_read_the_key_gets_the_coordinators_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    part = await asked(qdrant(), tmp_path, api_key_file="qdrant-api-key")
    assert (part.level, part.found) == (Level.OK, "5 collections, says the coordinator")
    part = await asked(qdrant(), tmp_path, no_view(), api_key_file="qdrant-api-key")
    assert part.level is Level.WARNING
    assert "qdrant.api_key_file" in part.found


async def test_a_job_that_cannot_read_the_key_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(SettingsError, match=r"qdrant\.api_key_file"):
        await asked(qdrant(), tmp_path, api_key_file="qdrant-api-key")


# The embedded store.


async def test_the_embedded_store_is_as_the_coordinator_says() -> None:
    part = await check_knowledge(view())
    assert (part.level, part.found) == (Level.OK, "5 collections")
    seen = view(collection__error_solutions=("degraded", "holds others."))
    part = await check_knowledge(seen)
    assert (part.level, part.found, part.cause) == (
        Level.WARNING,
        "holds others.",
        "error-solutions",
    )
    part = await check_knowledge(no_view())
    assert part.level is Level.WARNING
    assert "not known" in part.found


async def test_a_collection_the_coordinator_does_not_speak_of_is_missed() -> None:
    seen = await view()
    del seen.parts["collection.best-practices"]
    part = await check_knowledge(Known(seen))
    assert part.level is Level.WARNING
    assert "best-practices" in part.found


# Redis.


async def test_a_redis_that_is_away_is_a_warning_that_names_the_option(tmp_path: Path) -> None:
    for url in ("redis://127.0.0.1:9/0", f"unix://{tmp_path}/redis.sock"):
        part = await check_redis(settings(tmp_path, redis={"url": url}), view(), 5)
        assert part.level is Level.WARNING
        assert "check redis.url" in part.text


async def test_a_redis_that_never_answers_costs_little_and_its_password_is_not_shown(
    tmp_path: Path,
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as url:
        address = url.replace("http://", "redis://:pa55word@")
        began = time.monotonic()
        part = await check_redis(settings(tmp_path, redis={"url": address}), view(), 0.5)
        assert time.monotonic() - began < 5
    assert part.level is Level.WARNING
    assert "pa55word" not in part.text


async def test_a_redis_that_reads_its_file_is_starting(tmp_path: Path) -> None:
    async def loading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(b"-LOADING Redis is loading the dataset in memory\r\n" * 3)
            await writer.drain()

    async with raw_server(loading) as url:
        address = url.replace("http://", "redis://")
        part = await check_redis(settings(tmp_path, redis={"url": address}), view(), 5)
    assert (part.level, part.starting) == (Level.WARNING, True)


async def test_a_cache_that_is_switched_off_is_off(tmp_path: Path) -> None:
    made = settings(tmp_path, cache={"enable": False}, redis={"url": "redis://127.0.0.1:9"})
    assert (await check_redis(made, view(), 5)).level is Level.OFF
    assert (await check_cache(made, view())).level is Level.OFF


async def test_the_cache_in_the_coordinator_is_as_it_says(tmp_path: Path) -> None:
    made = settings(tmp_path)
    assert (await check_cache(made, view())).level is Level.OK
    assert (await check_cache(made, view(cache=("degraded", "x")))).level is Level.WARNING
    assert "not known" in (await check_cache(made, no_view())).found
