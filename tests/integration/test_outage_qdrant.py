"""Coordinators as processes on one Qdrant server: shared knowledge, and the server's outages.

Runs on the real server where QDRANT_BIN names one, else on its stand-in.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, running
from tests.integration.served import Served, fake_backend, serving
from tests.testbed.qdrant import qdrant_server
from tests.testbed.requirement import require

ITEM = {
    "title": "Undo a commit",
    "category": "git",
    "description": "git reset --soft HEAD~1 moves the branch back and keeps the work staged.",
}
BREAD = {"title": "Dough", "category": "kitchen", "description": "Let bread dough rise warm."}
QUESTION = "How do I undo my last commit?"


def add(served: Served, item: dict[str, str]) -> httpx.Response:
    body = {"items": [{"payload": item}]}
    return httpx.post(f"{served.url}/v1/knowledge/best-practices", json=body, timeout=60)


def found(served: Served) -> list[str]:
    answer = httpx.post(f"{served.url}/v1/search", json={"query": QUESTION}, timeout=60)
    return [hit["payload"]["title"] for hit in answer.raise_for_status().json()["hits"]]


def states(served: Served) -> dict[str, Any]:
    parts = httpx.get(f"{served.url}/ready", timeout=60).json()["parts"]
    return {name: part["state"] for name, part in parts.items() if name.startswith("collection.")}


async def test_while_qdrant_is_away_every_question_is_answered_and_afterwards_it_is_used_again(
    tmp_path: Path,
) -> None:
    require("qdrant")
    fake = FakeOpenAI(default=Answer(text="An answer."))
    with qdrant_server(api_key="the key") as qdrant:
        key = tmp_path / "key"
        key.write_text("the key\n")
        async with (
            running(fake) as url,
            serving(
                tmp_path / "state",
                backends={"one": fake_backend(url)},
                qdrant={"url": qdrant.url, "api_key_file": str(key), "timeout": 2},
                cache={"enable": False},
            ) as served,
        ):

            async def ask() -> str:
                answer = await asyncio.to_thread(served.chat, QUESTION)
                assert answer.status_code == 200, answer.text
                return str(fake.requests[-1].json["messages"])

            assert (await asyncio.to_thread(add, served, ITEM)).status_code == 200
            assert "git reset --soft" in await ask()
            for outage, end in ((qdrant.kill, qdrant.start), (qdrant.pause, qdrant.resume)):
                await asyncio.to_thread(outage)
                assert "git reset --soft" not in await ask()
                assert set((await asyncio.to_thread(states, served)).values()) == {"degraded"}
                refused = await asyncio.to_thread(add, served, BREAD)
                assert refused.status_code == 503
                assert "Qdrant" in refused.json()["error"]["message"]
                await asyncio.to_thread(end)
                assert "git reset --soft" in await ask()
                assert set((await asyncio.to_thread(states, served)).values()) == {"ready"}
            assert served.log.count("does not answer") == 2
            assert "the key" not in served.log


async def test_two_coordinators_started_together_share_what_either_was_told(
    tmp_path: Path,
) -> None:
    require("qdrant")
    with qdrant_server() as qdrant:
        async with running(FakeOpenAI()) as url:
            options = {"backends": {"one": fake_backend(url)}, "qdrant": {"url": qdrant.url}}
            both = [Served(tmp_path / name, **options) for name in ("first", "second")]
            try:
                await asyncio.gather(*(asyncio.to_thread(served.__enter__) for served in both))
                first, second = both
                assert (await asyncio.to_thread(add, first, ITEM)).status_code == 200
                assert await asyncio.to_thread(found, second) == ["Undo a commit"]
                assert (await asyncio.to_thread(add, second, BREAD)).status_code == 200
                for served in both:
                    assert set((await asyncio.to_thread(states, served)).values()) == {"ready"}
                    assert "does not answer" not in served.log
            finally:
                for served in both:
                    await asyncio.to_thread(served.stop)
