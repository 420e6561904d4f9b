"""Bad bodies: each is a 4xx in the dialect's error shape that names what is wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from hybrid_coordinator.settings import ServerSettings, Settings
from tests.unit.api.scripted import RawCall, ScriptedGateway, client, edge

PATHS = [
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/v1/augment",
    "/v1/search",
    "/v1/knowledge/skills-patterns",
    "/v1/cache/invalidate",
]

QUESTION = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


def message_of(answer: httpx.Response, path: str) -> str:
    """The error's message, once its shape is seen to be the path's dialect."""
    body = answer.json()
    if path.startswith("/v1/messages"):
        assert body["type"] == "error"
        assert set(body["error"]) == {"type", "message"}
    else:
        assert set(body["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-hybrid-interaction-id"]
    return str(body["error"]["message"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b'{"messages": [}', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'"text"', "object"),
        (b'{"a": "\xff\xfe"}', "UTF-8"),
        (b"\x00\x01\x02", "not valid JSON"),
        (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", "64 levels"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "64 levels"),
        (b"[" * 1_000_000, "64 levels"),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_a_body_that_is_no_json_object_is_refused(path: str, body: bytes, says: str) -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        answer = await http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert says in message_of(answer, path)
    assert (gateway.requests, gateway.calls) == ([], [])


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/chat/completions", {}, "messages"),
        ("/v1/chat/completions", {"messages": []}, "messages"),
        ("/v1/chat/completions", {"messages": "hi"}, "messages"),
        ("/v1/chat/completions", {"messages": [{"role": "user"}]}, "messages[0].content"),
        ("/v1/chat/completions", {"messages": [{"content": "hi"}]}, "messages[0].role"),
        ("/v1/chat/completions", {**QUESTION, "stream": "yes"}, "stream"),
        ("/v1/chat/completions", {**QUESTION, "max_tokens": -1}, "max_tokens"),
        ("/v1/embeddings", {}, "input"),
        ("/v1/embeddings", {"input": []}, "input"),
        ("/v1/embeddings", {"input": ["a", 7]}, "input[1]"),
        ("/v1/augment", {}, "query"),
        ("/v1/augment", {"query": 7}, "query"),
        ("/v1/augment", {"query": " "}, "query"),
        ("/v1/augment", {"query": "q", "token_budget": "7"}, "token_budget"),
        ("/v1/augment", {"query": "q", "token_budget": -7}, "token_budget"),
        ("/v1/augment", {"query": "q", "tokens": 7}, "tokens"),
        ("/v1/search", {"query": "q", "limit": 0}, "limit"),
        ("/v1/search", {"query": "q", "limit": True}, "limit"),
        ("/v1/search", {"query": "q", "collections": ["nonsense"]}, "collections[0]"),
        ("/v1/search", {"query": "q", "filters": {"a": {"b": 1}}}, "filters.a"),
        ("/v1/knowledge/skills-patterns", {"items": []}, "items"),
        ("/v1/knowledge/skills-patterns", {"items": [{}]}, "items[0].payload"),
        (
            "/v1/knowledge/skills-patterns",
            {"items": [{"payload": {"a": 1}, "id": "7"}]},
            "items[0].id",
        ),
        (
            "/v1/knowledge/skills-patterns",
            {"items": [{"payload": {"a": 1}}, {"payload": {"a": 1}, "vector": [1, "x"]}]},
            "items[1].vector[1]",
        ),
        ("/v1/cache/invalidate", {"interaction_id": "7"}, "interaction_id"),
    ],
)
async def test_a_wrong_field_is_named_by_its_path(path: str, body: object, field: str) -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 400
    found = answer.json()["error"]["param"]
    assert found == field or found.startswith(f"{field}.")
    assert (gateway.requests, gateway.calls) == ([], [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": QUESTION["messages"]}, "max_tokens"),
        ({"messages": [], "max_tokens": 5}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}], "max_tokens": 5}, "messages[0].role"),
        ({**QUESTION, "system": 7}, "system"),
    ],
)
async def test_a_wrong_field_is_named_in_anthropics_message_too(body: object, field: str) -> None:
    async with client(edge()) as http:
        answer = await http.post("/v1/messages", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert field in message_of(answer, "/v1/messages")


async def test_invalidating_needs_exactly_one_of_both_ways() -> None:
    some_id = "01a209ab-9b27-740b-bcd2-cb0ea1bb5007"
    async with client(edge()) as http:
        for body in ({}, {"interaction_id": some_id, "query": "q"}):
            answer = await http.post("/v1/cache/invalidate", json=body)
            assert answer.status_code == 400
            assert "either" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_10_mb_body_is_refused_by_its_declared_length_before_it_is_read(path: str) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10):
            read += 1
            yield b" " * 1_000_000

    async with client(edge()) as http:
        declared = await http.post(
            path, content=body(), headers={"content-length": str(10_000_000)}
        )
        assert read == 0
        chunked = await http.post(path, content=body())
        assert read < 10
    for answer in (declared, chunked):
        assert answer.status_code == 413
        assert "max_body_bytes" in message_of(answer, path)
        assert "8388608 bytes" in message_of(answer, path)


async def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    settings = Settings(server=ServerSettings(max_body_bytes=1024))
    body = json.dumps(QUESTION).encode().ljust(1024)
    async with client(edge(settings=settings)) as http:
        assert (await http.post("/v1/chat/completions", content=body)).status_code == 200
        assert (await http.post("/v1/chat/completions", content=body + b" ")).status_code == 413


async def test_a_large_body_is_accepted_whole() -> None:
    gateway = ScriptedGateway()
    text = "word " * 400_000
    body = {"messages": [{"role": "user", "content": text}]}
    async with client(edge(gateway)) as http:
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
    assert gateway.requests[0].question == text


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 200),
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON;charset="UTF-8"', 200),
        ("application/vnd.example+json", 200),
        ("application/x-www-form-urlencoded", 200),
        ("text/plain", 415),
        ("text/json", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/octet-stream", 415),
        ("application/json; charset=latin-1", 415),
        ("application/jsonx", 415),
        ("", 415),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_the_content_type_must_be_json_or_what_curl_sends_unasked(
    content_type: str | None, status: int, path: str
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    async with client(edge()) as http:
        answer = await http.post(path, content=json.dumps(QUESTION).encode(), headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert "application/json" in message_of(answer, path)


async def test_a_form_from_a_browser_is_not_taken_for_json() -> None:
    async with client(edge()) as http:
        answer = await http.post(
            "/v1/chat/completions",
            content=json.dumps(QUESTION).encode(),
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "origin": "http://127.0.0.1:8092",
            },
        )
    assert answer.status_code == 415


async def test_a_compressed_body_is_refused() -> None:
    async with client(edge()) as http:
        answer = await http.post(
            "/v1/chat/completions", content=b"\x1f\x8b", headers={"content-encoding": "gzip"}
        )
    assert answer.status_code == 415
    assert answer.json()["error"]["param"] == "content-encoding"


async def test_a_body_that_does_not_arrive_in_time_is_a_408_and_ends_the_connection() -> None:
    settings = Settings(server=ServerSettings(body_timeout=0.05))
    call = RawCall("/v1/messages", b'{"mess', whole=False)
    await call.run(edge(settings=settings))
    assert call.status == 408
    assert call.headers[b"connection"] == b"close"
    assert b"body_timeout" in call.body
