"""What a service manager sees of the real process: start, readiness, watchdog, reload, end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, running
from tests.integration.activated import Activated, Heard, Line, hearing, listening
from tests.integration.served import fake_backend

ALICE = "alice-key-0123456789"
BOB = "bob-key-012345678901"


@dataclass
class Scene:
    """A process under a pretended systemd, and the backend it asks."""

    service: Activated
    heard: Heard
    fake: FakeOpenAI
    address: tuple[str, int]
    backend: str
    ready: str

    def reload(self, **changes: Any) -> str:
        """Write other settings and ask for a reload; the status at its end."""
        self.service.write({**self.service.settings, **changes})
        before = self.heard.drain()
        self.service.hangup()
        begun = self.heard.until(lambda m: "RELOADING" in m, after=before)
        assert abs(int(begun["MONOTONIC_USEC"]) / 1e6 - time.monotonic()) < 60
        return self.heard.ready(after=before)

    def get(self, path: str, key: str | None = None) -> httpx.Response:
        headers = {"x-api-key": key} if key else {}
        return httpx.get(f"http://127.0.0.1:{self.address[1]}{path}", headers=headers, timeout=30)


@asynccontextmanager
async def scene(tmp_path: Path, **settings: Any) -> AsyncIterator[Scene]:
    fake = FakeOpenAI(default=Answer(text="Yes."))
    with listening() as door, hearing(tmp_path) as heard:
        async with running(fake) as url:
            options: dict[str, Any] = {"backends": {"one": fake_backend(url)}, **settings}
            service = Activated(tmp_path / "state", [door], heard, watchdog=3, **options)
            try:
                ready = await asyncio.to_thread(heard.ready)
                yield Scene(service, heard, fake, door.getsockname()[:2], url, ready)
            finally:
                service.kill()


async def test_it_is_ready_once_it_answers_and_says_what_it_waited_for(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        response = await asyncio.to_thread(s.get, "/health")
        assert response.status_code == 200
        assert s.ready == "ready: one ✓, 5 collections, 0 points"
        statuses = [m["STATUS"] for m in s.heard.messages if "STATUS" in m]
        assert "starting: loading the embedder" in statuses
        assert "starting: opening the collections" in statuses
        assert statuses[-1] == s.ready
        assert any("EXTEND_TIMEOUT_USEC" in m for m in s.heard.messages)
        assert str(s.address[1]) in s.service.banner()
        s.service.terminate()
        stopping = await asyncio.to_thread(s.heard.until, lambda m: "STOPPING" in m)
        assert stopping["STATUS"] == "stopping: no answer is open"
        assert await asyncio.to_thread(s.service.ended) == 0
        assert "Traceback" not in s.service.log


async def test_the_status_follows_backends_and_points_and_the_watchdog_is_fed(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as s:
        for _ in range(3):
            after = len(s.heard.messages)
            await asyncio.to_thread(s.heard.until, lambda m: "WATCHDOG" in m, after=after)
        practice = {"title": "Capitals", "description": "Capitals move now and then."}
        body = {"items": [{"payload": practice}]}
        url = f"http://127.0.0.1:{s.address[1]}/v1/knowledge/best-practices"
        stored = await asyncio.to_thread(httpx.post, url, json=body, timeout=60)
        assert stored.status_code == 200
        await asyncio.to_thread(s.heard.status, "ready: one ✓, 5 collections, 1 points")
        nowhere = fake_backend("http://127.0.0.1:9")
        status = await asyncio.to_thread(
            s.reload, backends={"two": nowhere, "one": fake_backend(s.backend)}
        )
        assert status == "ready: two – one ✓, 5 collections, 1 points"


async def test_a_reload_brings_keys_and_options_and_no_request_is_lost(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{ALICE}\n")
    async with scene(tmp_path, api_keys_file=str(keys)) as s:
        assert (await asyncio.to_thread(s.get, "/v1/models", ALICE)).status_code == 200
        assert (await asyncio.to_thread(s.get, "/v1/models", BOB)).status_code == 401
        hold = asyncio.Event()
        s.fake.enqueue(Answer(text="A long story.", hold_stream=hold))
        line = await Line.to(s.address)
        line.writer.write(_stream(ALICE))
        await line.reader.readuntil(b"data: ")

        keys.write_text(f"bob:{BOB}\n")
        new = fake_backend(s.backend, tier="remote")
        status = await asyncio.to_thread(
            s.reload,
            backends={"new": new},
            log_level="debug",
            server={"grace_period": 7, "max_body_bytes": 2048},
            qdrant={"timeout": 9},
        )
        assert status == (
            "ready: new ✓, 5 collections, 0 points; restart needed for qdrant.timeout"
        )
        assert (await asyncio.to_thread(s.get, "/v1/models", ALICE)).status_code == 401
        models = await asyncio.to_thread(s.get, "/v1/models", BOB)
        assert {m["owned_by"] for m in models.json()["data"]} == {"hybrid-ai", "new"}
        metrics = await asyncio.to_thread(s.get, "/metrics", BOB)
        assert 'hybrid_backend_ready{backend="new"} 1.0' in metrics.text
        assert 'hybrid_backend_ready{backend="one"}' not in metrics.text
        too_long = await asyncio.to_thread(
            httpx.post,
            f"http://127.0.0.1:{s.address[1]}/v1/search",
            headers={"x-api-key": BOB},
            json={"query": "x" * 3000},
        )
        assert too_long.status_code == 413

        # The stream that began before is of the old key and the old backend, and goes on.
        hold.set()
        rest = await line.reader.readuntil(b"[DONE]")
        assert b"story." in rest
        line.close()
        assert "settings.qdrant.timeout was changed" in s.service.log
        assert "reloaded: " in s.service.log
        assert ALICE not in s.service.log + s.service.banner()


@pytest.mark.parametrize(
    ("changes", "keys", "said"),
    [
        ({"routing": {"daily_budget": 1}}, "", "settings.routing.daily_budget: there is no such"),
        ({}, "bob:short\n", "shorter than 16 characters"),
        ({"api_keys_file": "/nowhere/keys"}, "", "/nowhere/keys cannot be read"),
        (
            {"backends": {"one": {"kind": "embedded", "model_path": "/nowhere.gguf"}}},
            "",
            "/nowhere.gguf",
        ),
    ],
    ids=["unknown option", "wrong key", "no file", "no model"],
)
async def test_a_reload_that_cannot_be_leaves_all_as_it_was(
    tmp_path: Path, changes: dict[str, Any], keys: str, said: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"alice:{ALICE}\n")
    async with scene(tmp_path, api_keys_file=str(file)) as s:
        if keys:
            file.write_text(keys)
        status = await asyncio.to_thread(s.reload, **changes)
        assert status.startswith("ready: one ✓, 5 collections, 0 points; reload failed: ")
        assert said in status
        assert said in s.service.log
        assert (await asyncio.to_thread(s.get, "/v1/models", ALICE)).status_code == 200
        file.write_text(f"bob:{BOB}\n")
        assert await asyncio.to_thread(s.reload) == "ready: one ✓, 5 collections, 0 points"
        assert (await asyncio.to_thread(s.get, "/v1/models", BOB)).status_code == 200


async def test_a_reload_does_not_open_a_public_door(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{ALICE}\n")
    fake = FakeOpenAI()
    with listening("0.0.0.0") as door, hearing(tmp_path) as heard:
        async with running(fake) as url:
            options: dict[str, Any] = {"backends": {"one": fake_backend(url)}}
            refused = Activated(tmp_path / "state", [door], heard, **options)
            try:
                assert await asyncio.to_thread(refused.ended) == os.EX_CONFIG
                assert "which other machines can reach" in refused.log
            finally:
                refused.kill()
            service = Activated(
                tmp_path / "state", [door], heard, api_keys_file=str(keys), **options
            )
            try:
                await asyncio.to_thread(heard.ready)
                service.write({**service.settings, "api_keys_file": None})
                before = heard.drain()
                service.hangup()
                status = await asyncio.to_thread(heard.ready, after=before)
                assert "reload failed: The coordinator listens on 0.0.0.0:" in status
            finally:
                service.kill()


async def test_sockets_of_several_families_are_served_and_named(tmp_path: Path) -> None:
    fake = FakeOpenAI()
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as local, listening("::1", socket.AF_INET6) as six:
        local.bind(str(path))
        local.listen()
        with listening() as four, hearing(tmp_path) as heard:
            async with running(fake) as url:
                service = Activated(
                    tmp_path / "state",
                    [local, six, four],
                    heard,
                    backends={"one": fake_backend(url)},
                )
                try:
                    await asyncio.to_thread(heard.ready)
                    banner = service.banner()
                    assert f"unix:{path}" in banner
                    assert f"http://[::1]:{six.getsockname()[1]}" in banner
                    assert f"http://127.0.0.1:{four.getsockname()[1]}" in banner
                    transport = httpx.AsyncHTTPTransport(uds=str(path))
                    async with httpx.AsyncClient(transport=transport) as client:
                        assert (await client.get("http://localhost/health")).status_code == 200
                    for one in (six, four):
                        line = await Line.to(one.getsockname()[:2])
                        line.writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
                        assert (await line.answer())[0] == 200
                        line.close()
                    service.terminate()
                    assert await asyncio.to_thread(service.ended) == 0
                finally:
                    service.kill()


async def test_a_wrong_setting_ends_with_a_status_that_is_not_worth_a_restart(
    tmp_path: Path,
) -> None:
    with hearing(tmp_path) as heard:
        service = Activated(tmp_path / "state", [], heard, backends={})
        try:
            assert await asyncio.to_thread(service.ended) == os.EX_CONFIG
            assert "backends is empty" in service.log
        finally:
            service.kill()


async def test_a_port_in_use_ends_with_a_status_that_is_worth_a_restart(tmp_path: Path) -> None:
    with listening() as door, hearing(tmp_path) as heard:
        service = Activated(tmp_path / "state", [], heard, port=door.getsockname()[1])
        try:
            assert await asyncio.to_thread(service.ended) == os.EX_TEMPFAIL
            assert "Stop what uses it" in service.log
        finally:
            service.kill()


def _stream(key: str) -> bytes:
    body = b'{"model":"auto","stream":true,"messages":[{"role":"user","content":"Tell."}]}'
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-api-key: %s\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
        % (key.encode(), len(body), body)
    )
