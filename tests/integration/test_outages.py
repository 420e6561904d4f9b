"""Stores and backends die while questions come in; no request fails while a backend lives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, running
from tests.integration.served import fake_backend, serving
from tests.testbed.fake_ollama import FakeOllama
from tests.testbed.lemonade import lemonade_server
from tests.testbed.redis import redis_server
from tests.testbed.requirement import require


class Questions:
    """Asks a new question every so often, each answer checked, until told to stop."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._stopped = asyncio.Event()
        self.answered = 0
        self.failed: list[str] = []
        self.routes: set[str] = set()
        self.progress = asyncio.Condition()

    async def run(self, name: str) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            await self._ask(f"How do I do thing number {name}{number} with tool {number}?")

    async def _ask(self, question: str) -> None:
        body = {
            "model": "auto",
            "max_tokens": 12,
            "messages": [{"role": "user", "content": question}],
        }
        response = await self._client.post("/v1/chat/completions", json=body)
        if response.status_code == 200:
            self.answered += 1
            self.routes.add(response.headers["x-hybrid-route"].split("/")[0])
        else:
            self.failed.append(f"{response.status_code}: {response.text[:300]}")
        async with self.progress:
            self.progress.notify_all()

    async def more(self, count: int) -> None:
        """Wait until this many more were answered."""
        wanted = self.answered + count
        async with asyncio.timeout(120), self.progress:
            await self.progress.wait_for(lambda: self.answered >= wanted or self.failed)

    def stop(self) -> None:
        self._stopped.set()


async def test_no_request_fails_while_any_backend_lives(tmp_path: Path) -> None:
    require("redis8")
    require("lemonade")
    fake = FakeOpenAI(default=Answer(text="A paid answer."))
    with redis_server("8") as redis, lemonade_server(load=True) as lemonade, FakeOllama() as ollama:
        async with running(fake) as paid:
            backends = {
                "lemonade": {
                    "kind": "lemonade",
                    "base_url": lemonade.url,
                    "priority": 2,
                    "probe_interval": 0.5,
                    "breaker_reset": 1,
                    "models": [{"name": lemonade.model, "context_tokens": 2048}],
                },
                "ollama": {
                    "kind": "ollama",
                    "base_url": ollama.url,
                    "priority": 1,
                    "probe_interval": 0.5,
                    "breaker_reset": 1,
                },
                "paid": fake_backend(paid, tier="remote"),
            }
            async with serving(
                tmp_path, backends=backends, redis={"url": redis.url}, validation={"enable": False}
            ) as served:
                async with served.client() as client, asyncio.TaskGroup() as group:
                    questions = Questions(client)
                    for name in ("a", "b", "c"):
                        group.create_task(questions.run(name))
                    await questions.more(3)
                    redis.kill()
                    await questions.more(3)
                    metrics = (await client.get("/metrics")).text
                    assert "hybrid_cache_errors_total{" in metrics
                    ready = (await client.get("/ready")).json()
                    assert ready["parts"]["cache"]["state"] == "degraded"
                    lemonade.kill()
                    await questions.more(10)
                    ollama.kill()
                    await questions.more(10)
                    questions.stop()
                assert questions.failed == []
                assert any(route.startswith("remote:paid") for route in questions.routes)
                assert any(route.startswith("local:lemonade") for route in questions.routes)

                redis.restart()
                for _ in range(2):
                    last = await asyncio.to_thread(served.chat, "Does the cache come back?")
                assert last.status_code == 200


async def test_every_backend_down_is_a_503_that_says_which_were_tried_and_why(
    tmp_path: Path,
) -> None:
    fake = FakeOpenAI()
    async with running(fake) as url:
        backends = {"one": fake_backend(url), "two": fake_backend("http://127.0.0.1:9")}
        async with serving(tmp_path, backends=backends) as served:
            fake.enqueue(*[Answer(status=500)] * 20)
            response = await asyncio.to_thread(served.chat, "Is anybody there?")
            assert response.status_code == 503
            message = response.json()["error"]["message"]
            assert "one" in message
            assert "two" in message
            assert response.headers["retry-after"]
            assert response.headers["x-hybrid-interaction-id"]


async def test_a_hundred_equal_questions_at_once_are_one_upstream_call(tmp_path: Path) -> None:
    fake = FakeOpenAI(default=Answer(text="One answer.", delay=0.3))
    async with running(fake) as url:
        backends = {"one": fake_backend(url)}
        async with serving(tmp_path, backends=backends) as served:
            async with served.client(limits=httpx.Limits(max_connections=100)) as client:
                body = {"model": "auto", "messages": [{"role": "user", "content": "Same?"}]}
                answers = await asyncio.gather(
                    *(client.post("/v1/chat/completions", json=body) for _ in range(100))
                )
            assert {answer.status_code for answer in answers} == {200}
            texts = {a.json()["choices"][0]["message"]["content"] for a in answers}
            assert texts == {"One answer."}
    chats = [r for r in fake.requests if r.path == "/v1/chat/completions"]
    assert len(chats) == 1


async def test_an_old_redis_serves_the_exact_tier_with_one_warning(tmp_path: Path) -> None:
    require("redis7")
    fake = FakeOpenAI(default=Answer(text="An answer."))
    with redis_server("7") as redis:
        async with running(fake) as url:
            async with serving(
                tmp_path, backends={"one": fake_backend(url)}, redis={"url": redis.url}
            ) as served:

                def ask(question: str) -> str:
                    return served.chat(question).headers["x-hybrid-cache"]

                first = await asyncio.to_thread(ask, "What is NixOS?")
                second = await asyncio.to_thread(ask, "What is NixOS?")
                third = await asyncio.to_thread(ask, "What exactly is NixOS?")
                assert (first, second, third) == ("miss", "exact", "miss")
            assert served.log.count("vector set") == 1
