"""What a client gets wrong is a 4xx in its own dialect that names the field and leaves no trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import running
from tests.integration.served import Served, fake_backend, serving

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


class Stack:
    """The coordinator before one backend that must never be asked."""

    def __init__(self, served: Served, fake: FakeOpenAI, client: httpx.AsyncClient) -> None:
        self.served = served
        self.fake = fake
        self.client = client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    fake = FakeOpenAI()
    async with running(fake) as url:
        backends = {"one": fake_backend(url)}
        state = tmp_path_factory.mktemp("state")
        async with serving(state, backends=backends) as served, served.client() as client:
            yield Stack(served, fake, client)


def chat(**body: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": "Hi."}], **body}


def claude(**body: Any) -> dict[str, Any]:
    return {**chat(max_tokens=16), **body}


deep: Any = "x"
for _ in range(100):
    deep = [deep]
LONG = "many words make a prompt too long " * 30_000
LONG_CHAT = [{"role": "user", "content": LONG}]

CASES: list[tuple[str, str, Any, int, str]] = [
    ("wrong type", CHAT, chat(temperature="hot"), 400, "temperature"),
    ("no messages", CHAT, {"model": "auto"}, 400, "messages"),
    ("empty messages", CHAT, chat(messages=[]), 400, "messages"),
    ("wrong role", CHAT, chat(messages=[{"role": "robot", "content": "x"}]), 400, "messages[0]"),
    ("unknown model", CHAT, chat(model="nope"), 404, "model"),
    ("deep nesting", CHAT, chat(metadata={"a": deep}), 400, ""),
    (
        "over every context",
        CHAT,
        chat(messages=[{"role": "user", "content": LONG}]),
        400,
        "messages",
    ),
    ("unknown model", MESSAGES, claude(model="nope"), 404, "model"),
    ("no limit", MESSAGES, chat(), 400, "max_tokens"),
    ("over every context", MESSAGES, claude(system=LONG), 400, "messages"),
    ("unknown collection", "/v1/knowledge/nope", {"items": []}, 404, "collection"),
    (
        "unknown field",
        "/v1/knowledge/best-practices",
        {"items": [{"payload": {"title": "a", "colour": "red"}}]},
        400,
        "colour",
    ),
    (
        "wrong vector size",
        "/v1/knowledge/best-practices",
        {"items": [{"payload": {"title": "a"}, "vector": [1.0, 2.0]}]},
        422,
        "vector",
    ),
    (
        "payload over its bounds",
        "/v1/knowledge/best-practices",
        {"items": [{"payload": {"title": "a" * 2000}}]},
        422,
        "title",
    ),
    ("no query", "/v1/augment", {"agent_type": "x"}, 400, "query"),
    (
        "unknown collection",
        "/v1/search",
        {"query": "x", "collections": ["nope"]},
        400,
        "collections",
    ),
    ("empty text", "/v1/embeddings", {"model": "auto", "input": ["a", " "]}, 422, "input[1]"),
    ("unknown model", "/v1/embeddings", {"model": "nope", "input": "a"}, 404, "model"),
    ("nothing named", "/v1/cache/invalidate", {}, 400, "interaction_id"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [case[1:] for case in CASES],
    ids=[f"{case[1]} {case[0]}" for case in CASES],
)
async def test_it_is_refused_by_name(
    stack: Stack, path: str, body: Any, status: int, field: str
) -> None:
    response = await stack.client.post(path, json=body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert field in f"{error.get('param')} {error['message']}"
    assert error["message"].strip()
    assert "Traceback" not in response.text


RAW: dict[str, tuple[bytes, int]] = {
    "malformed JSON": (b'{"model": ', 400),
    "invalid UTF-8": (b'{"model": "\xff\xfe", "messages": []}', 400),
    "not an object": (b"[1, 2]", 400),
    "ten megabytes": (b'{"a": "' + b"x" * 10_000_000 + b'"}', 413),
    "NaN": (b'{"model": "auto", "temperature": NaN}', 400),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("name", RAW)
async def test_bytes_that_are_no_request_are_refused_in_the_dialect(
    stack: Stack, path: str, name: str
) -> None:
    body, status = RAW[name]
    headers = {"content-type": "application/json"}
    try:
        response = await stack.client.post(path, content=body, headers=headers)
    except httpx.WriteError:
        assert status == 413  # refused before it was sent whole
        return
    assert response.status_code == status, response.text
    document = response.json()
    assert document["error"]["message"]
    assert ("type" in document) is (path == MESSAGES)


@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_of_all_this_reached_a_backend_or_a_store(stack: Stack) -> None:
    assert stack.fake.chat_requests == []
    parts = (await stack.client.get("/ready")).json()["parts"]
    assert parts["cache"]["detail"].startswith("in this process, 0 entries")
    for name, part in parts.items():
        if name.startswith("collection."):
            assert part["detail"] == "0 points"
    stored = Path(stack.served.state) / "telemetry" / "events.jsonl"
    assert "many words" not in (stored.read_text() if stored.exists() else "")
