"""The chat endpoints against a scripted gateway, without a socket."""

from __future__ import annotations

import uuid

import httpx
import pytest

from hybrid_coordinator.api.identifiers import new_interaction_id
from hybrid_coordinator.conversation import (
    CacheMode,
    CacheStatus,
    ChatRequest,
    Delta,
    Dialect,
    FinishReason,
    Usage,
)
from hybrid_coordinator.gateway import Answer, AnswerMeta
from tests.unit.api.scripted import ScriptedGateway, client, completion, edge

QUESTION = {"model": "auto", "messages": [{"role": "user", "content": "Capital of France?"}]}
STREAM = {**QUESTION, "stream": True}
NATIVE = {**QUESTION, "max_tokens": 10}
NATIVE_STREAM = {**NATIVE, "stream": True}

HEADERS = ("x-hybrid-interaction-id", "x-hybrid-cache", "x-hybrid-route", "x-hybrid-reason")


async def ask(
    gateway: ScriptedGateway, body: object, path: str = "/v1/chat/completions", **headers: str
) -> httpx.Response:
    async with client(edge(gateway), **headers) as http:
        return await http.post(path, json=body)


def events(answer: httpx.Response) -> list[str]:
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return [block for block in answer.text.split("\n\n") if block]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", QUESTION),
        ("/v1/chat/completions", STREAM),
        ("/v1/messages", NATIVE),
        ("/v1/messages", NATIVE_STREAM),
    ],
)
async def test_every_answer_carries_the_four_headers(path: str, body: object) -> None:
    gateway = ScriptedGateway()
    answer = await ask(gateway, body, path)
    assert answer.status_code == 200
    assert [answer.headers[name] for name in HEADERS[1:]] == ["miss", "local", "confidence"]
    assert answer.headers[HEADERS[0]] == gateway.requests[0].interaction_id
    assert uuid.UUID(answer.headers[HEADERS[0]]).version == 7


async def test_a_request_reaches_the_gateway_whole() -> None:
    gateway = ScriptedGateway()
    body = {**QUESTION, "top_k": 7, "x_unknown": {"kept": [1, 2]}}
    await ask(gateway, body, **{"x-hybrid-agent-type": "coder"})
    request = gateway.requests[0]
    assert request.body == body
    assert request.native is None
    assert request.dialect is Dialect.OPENAI
    assert request.agent_type == "coder"
    assert request.caller.name == "loopback"
    assert request.started > 0


async def test_anthropics_own_body_is_kept_beside_the_canonical_one() -> None:
    gateway = ScriptedGateway()
    await ask(gateway, {**NATIVE, "system": "Be brief.", "top_k": 3}, "/v1/messages")
    request = gateway.requests[0]
    assert request.dialect is Dialect.ANTHROPIC
    assert request.native == {**NATIVE, "system": "Be brief.", "top_k": 3}
    assert request.system_text == "Be brief."
    assert request.question == "Capital of France?"
    assert request.max_output_tokens == 10


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        (None, CacheMode.USE),
        ("no-cache", CacheMode.REFRESH),
        ("No-Store", CacheMode.BYPASS),
        ("no-cache, no-store", CacheMode.BYPASS),
        ("max-age=0", CacheMode.USE),
    ],
)
async def test_cache_control_sets_the_cache_mode(value: str | None, mode: CacheMode) -> None:
    gateway = ScriptedGateway()
    await ask(gateway, QUESTION, **({"cache-control": value} if value else {}))
    assert gateway.requests[0].cache_mode is mode


@pytest.mark.parametrize("name", ["", "-x", "a b", "x" * 65, "é", "../etc"])
async def test_an_agent_type_that_is_no_name_is_refused(name: str) -> None:
    async with client(edge()) as http:
        answer = await http.post(
            "/v1/chat/completions",
            json=QUESTION,
            headers={b"x-hybrid-agent-type": name.encode("latin-1")},
        )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "x-hybrid-agent-type"


async def test_the_backends_bytes_go_out_unchanged_where_the_dialect_fits() -> None:
    raw = b'{"id": "up-1",   "odd":1e3, "choices":[]}'
    gateway = ScriptedGateway(whole=completion(raw=raw, raw_dialect=Dialect.OPENAI))
    assert (await ask(gateway, QUESTION)).content == raw
    message = (await ask(gateway, NATIVE, "/v1/messages")).json()
    assert message["type"] == "message"
    assert message["content"] == [{"type": "text", "text": "Paris."}]


async def test_an_anthropic_body_goes_out_unchanged_to_an_anthropic_client_only() -> None:
    raw = b'{"type":"message",  "id":"up-1"}'
    gateway = ScriptedGateway(whole=completion(raw=raw, raw_dialect=Dialect.ANTHROPIC))
    assert (await ask(gateway, NATIVE, "/v1/messages")).content == raw
    answer = (await ask(gateway, QUESTION)).json()
    assert answer["choices"][0]["message"]["content"] == "Paris."


RAW = (
    Delta(text="Pa", raw=b'data: {"n":1,  "choices":[{}]}\n\n', raw_dialect=Dialect.OPENAI),
    Delta(finish_reason=FinishReason.STOP, raw=b'data: {"n":2}\n\n', raw_dialect=Dialect.OPENAI),
    Delta(
        usage=Usage(7, 2),
        raw=b'data: {"n":3,"choices":[],"usage":{"prompt_tokens":7}}\n\n',
        raw_dialect=Dialect.OPENAI,
    ),
)


async def test_a_streams_bytes_go_out_unchanged_and_usage_only_to_who_asked() -> None:
    gateway = ScriptedGateway(deltas=RAW)
    answer = await ask(gateway, STREAM)
    assert answer.content == b"".join(d.raw or b"" for d in RAW[:2]) + b"data: [DONE]\n\n"
    answer = await ask(gateway, {**STREAM, "stream_options": {"include_usage": True}})
    assert answer.content == b"".join(d.raw or b"" for d in RAW) + b"data: [DONE]\n\n"


async def test_an_anthropic_stream_goes_out_unchanged_and_is_ended_once() -> None:
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    raw = [b"event: message_start\ndata: {}\n\n", b"event: ping\ndata: {}\n\n"]
    for given in (raw, [*raw, stop]):
        deltas = [Delta(raw=data, raw_dialect=Dialect.ANTHROPIC) for data in given]
        answer = await ask(ScriptedGateway(deltas=deltas), NATIVE_STREAM, "/v1/messages")
        assert answer.content == b"".join([*raw, stop])


async def test_a_stream_in_another_dialect_is_encoded() -> None:
    answer = await ask(ScriptedGateway(deltas=RAW), NATIVE_STREAM, "/v1/messages")
    names = [block.split("\n")[0] for block in events(answer)]
    assert names[0] == "event: message_start"
    assert names[-1] == "event: message_stop"
    assert "event: content_block_delta" in names


async def test_a_stream_without_any_increment_is_still_a_whole_stream() -> None:
    assert events(await ask(ScriptedGateway(deltas=()), STREAM))[-1] == "data: [DONE]"
    answer = await ask(ScriptedGateway(deltas=()), NATIVE_STREAM, "/v1/messages")
    assert events(answer)[-1].startswith("event: message_stop")


async def test_header_values_cannot_break_out_of_their_header() -> None:
    gateway = ScriptedGateway()

    async def script(request: ChatRequest) -> Answer:
        reason = "plain\r\nset-cookie: x=1\r\n\r\n<é>"
        found = AnswerMeta(request.interaction_id, CacheStatus.MISS, "local", reason)
        return Answer(found, completion=completion())

    gateway.script = script
    answer = await ask(gateway, QUESTION)
    assert answer.headers["x-hybrid-reason"] == "plain set-cookie: x=1 <?>"
    assert "set-cookie" not in answer.headers


async def test_requests_are_counted_by_template_and_status_class_only_lesson_20() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        await http.post("/v1/chat/completions", json=QUESTION)
        for index in range(50):
            await http.get(f"/v1/models/unknown-{index}")
            await http.get(f"/nowhere/{index}")
    samples = {
        (sample.labels["endpoint"], sample.labels["status"]): sample.value
        for metric in gateway.metrics.requests.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert samples == {
        ("/v1/chat/completions", "2xx"): 1,
        ("/v1/models/{id}", "4xx"): 50,
        ("unknown", "4xx"): 50,
    }


def test_interaction_ids_sort_by_time_and_are_uuids_of_version_7() -> None:
    early = new_interaction_id(lambda: 1_700_000_000.0, lambda n: b"\xff" * n)
    late = new_interaction_id(lambda: 1_700_000_000.001, lambda n: b"\x00" * n)
    assert early < late
    assert early == "018bcfe5-6800-7fff-bfff-ffffffffffff"
    assert uuid.UUID(late).version == 7
    assert uuid.UUID(late).variant == uuid.RFC_4122
