"""The health check against real parts: each is killed in turn, named, and well again by itself."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.health.store_checks import check_redis
from hybrid_coordinator.health_report import Level
from tests.integration.served import Served
from tests.testbed.fake_ollama import FakeOllama
from tests.testbed.lemonade import LemonadeServer, lemonade_server
from tests.testbed.process import free_port
from tests.testbed.qdrant import QdrantServer, qdrant_server
from tests.testbed.redis import RedisServer, redis_server
from tests.testbed.requirement import require
from tests.unit.health.scenes import no_view, settings, view

# The machine that runs the tests may be full or fresh; neither is what is tested.
HEALTH = {"min_free_fraction": 0.0, "min_free_bytes": 0, "start_grace": 0}
OFF = ("keys", "timers", "units")
"""There is no systemd here, and no key."""
RECOVERY_S = 90.0


@dataclass
class Stack:
    """A whole stack: real Redis, Lemonade and Qdrant, a fake Ollama, and the coordinator."""

    served: Served
    redis: RedisServer
    qdrant: QdrantServer
    lemonade: LemonadeServer
    ollama: FakeOllama

    def health(self, *options: str) -> tuple[int, dict[str, Any]]:
        """The exit status and the document."""
        done = self.served.cli("health", "--url", self.served.url, "--json", *options)
        assert "Traceback" not in done.stderr, done.stderr
        document = json.loads(done.stdout)
        assert document["exit_status"] == done.returncode
        return done.returncode, document

    def becomes(self, status: int) -> dict[str, Any]:
        """Check until the exit status is that one; the last document."""
        deadline = time.monotonic() + RECOVERY_S
        while True:
            found, document = self.health()
            if found == status:
                return document
            assert time.monotonic() < deadline, document


def parts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {part["name"]: part for part in document["parts"]}


def levels(document: dict[str, Any], *but: str) -> dict[str, str]:
    return {name: part["level"] for name, part in parts(document).items() if name not in but}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    for part in ("redis8", "lemonade", "qdrant"):
        require(part)
    with ExitStack() as running:
        redis = running.enter_context(redis_server("8"))
        qdrant = running.enter_context(qdrant_server())
        lemonade = running.enter_context(lemonade_server(load=True))
        ollama = running.enter_context(FakeOllama())
        often = {"probe_interval": 0.5, "breaker_reset": 1}
        served = Served(
            tmp_path_factory.mktemp("state"),
            health=HEALTH,
            redis={"url": redis.url},
            qdrant={"url": qdrant.url},
            backends={
                "lemonade": {
                    "kind": "lemonade",
                    "base_url": lemonade.url,
                    "models": [{"name": lemonade.model, "context_tokens": 2048}],
                    **often,
                },
                "ollama": {
                    "kind": "ollama",
                    "base_url": ollama.url,
                    "models": [{"name": ollama.model}],
                    **often,
                },
            },
        )
        running.enter_context(served)
        yield Stack(served, redis, qdrant, lemonade, ollama)


def test_a_whole_stack_is_well(stack: Stack) -> None:
    document = stack.becomes(0)
    found = parts(document)
    assert levels(document, *OFF) == dict.fromkeys(
        (
            "coordinator",
            "embedder",
            "qdrant",
            "redis",
            "backend.lemonade",
            "backend.ollama",
            "disk",
            "outbox",
        ),
        "ok",
    )
    assert found["qdrant"]["found"] == "ready, 5 collections, 0 points"
    assert found["redis"]["found"].startswith("Redis 8.")
    assert stack.lemonade.model in found["backend.lemonade"]["found"]
    shown = stack.served.cli("health", "--url", stack.served.url)
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) == len(found) + 1


@pytest.mark.parametrize("name", ["redis", "qdrant", "backend.lemonade", "backend.ollama"])
def test_a_part_that_is_killed_is_named_and_well_again_once_it_is_back_lesson_14(
    stack: Stack, name: str
) -> None:
    stack.becomes(0)
    server = getattr(stack, name.removeprefix("backend."))
    server.kill()
    status, document = stack.health()
    assert status == 1
    found = parts(document)
    assert found[name]["level"] == "warning"
    assert not found[name]["starting"]
    assert name in document["summary"]
    assert set(levels(document, name, *OFF).values()) == {"ok"}, document
    server.restart()
    stack.becomes(0)


@pytest.mark.parametrize("name", ["redis", "qdrant"])
def test_a_store_that_accepts_and_never_answers_is_named_within_the_limit(
    stack: Stack, name: str
) -> None:
    stack.becomes(0)
    server = getattr(stack, name)
    server.pause()
    try:
        began = time.monotonic()
        status, document = stack.health("--timeout", "20")
        # Starting Python comes on top.
        assert time.monotonic() - began < 30
    finally:
        server.resume()
    assert status == 1
    found = parts(document)
    assert found[name]["level"] == "warning"
    assert set(levels(document, name, *OFF).values()) == {"ok"}, document
    stack.becomes(0)


def test_a_model_that_is_unloaded_is_no_false_alarm_and_no_part_of_the_check_loads_it(
    stack: Stack,
) -> None:
    stack.becomes(0)
    stack.ollama.loaded.clear()
    stack.ollama.requests.clear()
    assert stack.health()[0] == 0
    assert {request.method for request in stack.ollama.requests} == {"GET"}
    stack.lemonade.unload()
    status, document = stack.health()
    # Until the coordinator has seen it and loaded the model again.
    assert status in (0, 1), document
    assert parts(document)["backend.lemonade"]["starting"] == (status == 1)
    stack.becomes(0)


def test_with_every_backend_dead_nothing_can_be_answered_and_that_is_critical(
    stack: Stack,
) -> None:
    stack.becomes(0)
    stack.lemonade.kill()
    stack.ollama.kill()
    document = stack.becomes(2)
    found = parts(document)
    for name in ("coordinator", "backend.lemonade", "backend.ollama"):
        assert found[name]["level"] == "critical", document
    stack.ollama.restart()
    stack.lemonade.restart()
    stack.becomes(0)


def test_a_qdrant_that_lost_its_data_is_named_with_the_command_that_helps(stack: Stack) -> None:
    stack.becomes(0)
    stack.qdrant.clear()
    status, document = stack.health()
    assert status == 1
    qdrant = parts(document)["qdrant"]
    assert "without the collections" in qdrant["found"]
    assert "interaction-history" in qdrant["found"]
    assert "hybrid-coordinator init" in qdrant["remedy"]
    done = stack.served.cli("init")
    assert done.returncode == 0, done.stderr
    stack.becomes(0)


def test_a_frozen_coordinator_is_critical_and_its_parts_are_still_checked(stack: Stack) -> None:
    stack.becomes(0)
    stack.served.process.send_signal(signal.SIGSTOP)
    try:
        status, document = stack.health("--timeout", "5")
    finally:
        stack.served.process.send_signal(signal.SIGCONT)
    assert status == 2
    found = parts(document)
    assert found["coordinator"]["level"] == "critical"
    direct = ("redis", "qdrant", "backend.lemonade", "backend.ollama")
    assert {found[name]["level"] for name in direct} == {"ok"}, document
    stack.becomes(0)


def test_a_dead_coordinator_is_critical_and_a_new_one_is_well(tmp_path: Path) -> None:
    with FakeOllama() as ollama:
        backends = {"ollama": {"kind": "ollama", "base_url": ollama.url, "probe_interval": 0.5}}
        ollama.loaded.add(ollama.model)
        first = Served(tmp_path, port=free_port(), health=HEALTH, backends=backends)
        with first:
            done = first.cli("health", "--json")
            assert done.returncode == 0, done.stdout
            assert levels(json.loads(done.stdout), *OFF) == dict.fromkeys(
                (
                    "coordinator",
                    "embedder",
                    "knowledge",
                    "cache",
                    "backend.ollama",
                    "disk",
                    "outbox",
                ),
                "ok",
            )
            first.process.kill()
            first.process.wait()
            done = first.cli("health")
            assert done.returncode == 2
            assert done.stdout.startswith("critical  coordinator")
        with first:
            assert first.cli("health").returncode == 0


def served_with_redis(state: Path, ollama: FakeOllama, url: str) -> Served:
    ollama.loaded.add(ollama.model)
    backends = {"ollama": {"kind": "ollama", "base_url": ollama.url}}
    return Served(state, health=HEALTH, backends=backends, redis={"url": url})


def health_of_redis(served: Served) -> tuple[int, dict[str, Any]]:
    """The exit status and what was found of Redis."""
    done = served.cli("health", "--url", served.url, "--json")
    return done.returncode, parts(json.loads(done.stdout))["redis"]


def test_redis_on_a_unix_socket_is_well_and_named_when_it_is_gone(tmp_path: Path) -> None:
    require("redis8")
    socket = tmp_path / "redis.sock"
    with (
        FakeOllama() as ollama,
        redis_server("8", ["--unixsocket", str(socket)]) as redis,
        served_with_redis(tmp_path / "state", ollama, f"unix://{socket}?db=0") as served,
    ):
        status, part = health_of_redis(served)
        assert (status, part["level"]) == (0, "ok"), part
        redis.kill()
        status, part = health_of_redis(served)
        assert (status, part["level"]) == (1, "warning")


async def test_a_redis_that_the_coordinator_cannot_reach_is_a_warning_lesson_11(
    redis8: RedisServer, tmp_path: Path
) -> None:
    made = settings(tmp_path, redis={"url": redis8.url})
    part = await check_redis(made, view(), 5)
    assert part.level is Level.OK
    part = await check_redis(made, view(cache=("degraded", "Redis is away")), 5)
    assert part.level is Level.WARNING
    assert "the coordinator says: Redis is away" in part.found
    assert (await check_redis(made, no_view(), 5)).level is Level.OK


def test_a_redis_without_vector_sets_is_a_warning_that_names_the_version(tmp_path: Path) -> None:
    require("redis7")
    with (
        FakeOllama() as ollama,
        redis_server("7") as redis,
        served_with_redis(tmp_path / "state", ollama, redis.url) as served,
    ):
        status, part = health_of_redis(served)
    assert (status, part["level"]) == (1, "warning")
    assert part["found"].startswith("Redis 7.")
    assert "Redis 8" in part["remedy"]
