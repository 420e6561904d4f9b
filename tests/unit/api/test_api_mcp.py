"""The MCP endpoint, spoken to by the official client and by hand."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from mcp.shared.exceptions import McpError

from hybrid_coordinator.api.learning_schemas import OutcomeRequest, TrackRequest
from hybrid_coordinator.api.mcp_tools import TOOLS
from hybrid_coordinator.errors import OutboxFull
from hybrid_coordinator.settings import Collection, Settings
from tests.unit.api.mcp_session import called, over_http, refused
from tests.unit.api.scripted import ALICE, BOB, KEYS, ScriptedGateway, client, edge, running
from tests.unit.api.scripted_learning import TRACKED_ID

NAMES = [
    "augment_query",
    "search_context",
    "track_interaction",
    "update_outcome",
    "get_interaction",
    "forget",
    "generate_training_data",
    "health",
    "system_health",
    "system_analysis",
]
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def call(name: str, **arguments: object) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }


async def test_the_official_client_lists_and_calls_every_tool() -> None:
    gateway = ScriptedGateway()
    async with running(edge(gateway)) as server, over_http(server.url) as session:
        listed = (await session.list_tools()).tools
        found = await called(session, "augment_query", query="Why?", agent_type="coder")
        hits = await called(session, "search_context", query="q", collections=["best-practices"])
        new = {"query": "Why?", "response": "Because.", "model_used": "m", "tokens_used": 3}
        id_ = (await called(session, "track_interaction", **new))["interaction_id"]
        receipt = await called(
            session, "update_outcome", interaction_id=id_, outcome="success", user_feedback=1
        )
        shown = await called(session, "get_interaction", interaction_id=id_)
        written = await called(session, "generate_training_data", formats=["openai"])
        health = await called(session, "health")
        system = await called(session, "system_health")
        analysis = await called(session, "system_analysis")
        forgotten = await called(session, "forget", interaction_id=id_)
    assert [tool.name for tool in listed] == NAMES
    assert found["augmented_prompt"] == "context\nWhy?"
    assert found["context_ids"] == ["id-1"]
    assert hits["hits"][0] == {
        "id": "id-1",
        "collection": "best-practices",
        "score": 0.5,
        "payload": {"title": "t"},
    }
    assert receipt == {
        "interaction_id": id_,
        "outcome": "success",
        "user_feedback": 1,
        "changed": True,
    }
    assert shown["payload"]["query"] == "Why?"
    assert written["dataset_size"] == 5
    assert health["parts"]["lemonade"] == {"state": "ready", "detail": ""}
    assert (system["exit_status"], system["parts"][0]["remedy"]) == (1, "start it")
    line = "services.hybrid-ai.coordinator.settings.cache.max_entries = 200;"
    assert analysis["findings"][0]["proposal"]["line"] == line
    assert forgotten["removed"] == {"interaction-history": 1, "patterns": 2}
    assert ("augment", "Why?", "coder", None) in gateway.calls
    assert ("search", "q", (Collection.BEST_PRACTICES,), 10, {}) in gateway.calls


async def test_an_error_of_ours_is_the_tools_error_with_its_sentence() -> None:
    gateway = ScriptedGateway()
    async with running(edge(gateway)) as server, over_http(server.url) as session:
        unknown = await refused(session, "forget", interaction_id=TRACKED_ID)
        malformed = await refused(session, "get_interaction", interaction_id="x")
        out_of_range = await refused(
            session, "update_outcome", interaction_id=TRACKED_ID, user_feedback=3
        )
        empty = await refused(session, "update_outcome", interaction_id=TRACKED_ID)
        extra = await refused(session, "health", verbose=True)
        gateway.error = OutboxFull("The outbox is full: try again later.", retry_after=3)
        full = await refused(session, "track_interaction", query="q", response="r")
        with pytest.raises(McpError, match="no tool of this name: there are augment_query"):
            await session.call_tool("nonsense", {})
    assert unknown == "There is no such interaction."
    assert "'interaction_id'" in malformed
    assert "'user_feedback'" in out_of_range
    assert "outcome, user_feedback or both" in empty
    assert "'verbose'" in extra
    assert full == "The outbox is full: try again later."


async def test_a_defect_is_counted_logged_once_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = ScriptedGateway()

    async def broken() -> None:
        raise KeyError("internal detail")

    gateway.readiness = broken  # type: ignore[method-assign,assignment]
    async with client(edge(gateway)) as http:
        answer = (await http.post("/mcp", json=call("health"))).json()
    assert answer["result"]["isError"]
    assert "internal detail" not in answer["result"]["content"][0]["text"]
    counted = gateway.metrics.failures.labels(room="api", kind="KeyError")
    assert counted._value.get() == 1
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


def test_arguments_and_results_are_described_by_the_models_of_the_endpoints() -> None:
    by_name = {tool.name: tool for tool in TOOLS}
    track = by_name["track_interaction"].input_schema()
    assert track["properties"] == TrackRequest.model_json_schema()["properties"]
    update = by_name["update_outcome"].input_schema()["properties"]
    assert {"interaction_id", *OutcomeRequest.model_fields} == set(update)
    for tool in TOOLS:
        for schema in (tool.input_schema(), tool.output_schema()):
            Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            # Model APIs that take tools refuse these at the top.
            assert not {"anyOf", "oneOf", "allOf", "not"} & set(schema)
        assert len(tool.description) > 40


def test_what_a_tool_does_to_the_data_is_said() -> None:
    hints = {tool.name: (tool.reads, tool.destroys, tool.repeats) for tool in TOOLS}
    assert [name for name, (reads, _, _) in hints.items() if reads] == [
        "augment_query",
        "search_context",
        "get_interaction",
        "health",
        "system_health",
        "system_analysis",
    ]
    assert [name for name, (_, destroys, _) in hints.items() if destroys] == ["forget"]
    assert [name for name, (_, _, repeats) in hints.items() if not repeats] == ["track_interaction"]


async def test_the_caller_is_the_keys_caller() -> None:
    gateway = ScriptedGateway()
    app = edge(gateway, keys=KEYS)
    async with running(app) as server:
        async with over_http(server.url, authorization=f"Bearer {ALICE}") as session:
            await called(session, "track_interaction", query="q", response="r")
            await called(session, "get_interaction", interaction_id=TRACKED_ID)
        async with over_http(server.url, authorization=f"Bearer {BOB}") as session:
            assert "no such" in await refused(session, "forget", interaction_id=TRACKED_ID)


async def test_it_is_behind_the_same_rules_as_every_endpoint_lesson_22() -> None:
    async with client(edge(keys=KEYS)) as http:
        no_key = await http.post("/mcp", json=LIST)
        key = {"x-api-key": ALICE}
        allowed = await http.post("/mcp", json=LIST, headers=key)
        host = await http.post("/mcp", json=LIST, headers={**key, "host": "evil.example"})
        origin = await http.post(
            "/mcp", json=LIST, headers={**key, "origin": "http://evil.example"}
        )
    statuses = [answer.status_code for answer in (no_key, allowed, host, origin)]
    assert statuses == [401, 200, 403, 403]


async def test_a_page_of_an_allowed_origin_may_read_the_answer() -> None:
    settings = Settings.model_validate({"server": {"allowed_origins": ["http://page.example"]}})
    async with client(edge(settings=settings), origin="http://page.example") as http:
        answer = await http.post("/mcp", json=LIST)
    assert answer.headers["access-control-allow-origin"] == "http://page.example"
    assert answer.headers["x-hybrid-interaction-id"]


async def test_bodies_are_limited_as_elsewhere() -> None:
    settings = Settings.model_validate({"server": {"max_body_bytes": 2048}})
    deep: Any = {}
    for _ in range(100):
        deep = {"a": deep}
    async with client(edge(settings=settings)) as http:
        large = await http.post("/mcp", json=call("augment_query", query="x" * 3000))
        nested = await http.post("/mcp", json=call("search_context", query="q", filters=deep))
        form = await http.post(
            "/mcp", content=json.dumps(LIST), headers={"content-type": "text/plain"}
        )
    assert [answer.status_code for answer in (large, nested, form)] == [413, 400, 415]


async def test_an_answer_of_five_megabytes_is_tracked() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        answer = await http.post(
            "/mcp", json=call("track_interaction", query="q", response="x" * 5_000_000)
        )
    assert answer.json()["result"]["structuredContent"] == {"interaction_id": TRACKED_ID}
    assert len(next(iter(gateway.kept.values())).response) == 5_000_000


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json, text/event-stream", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/event-stream, application/json", "text/event-stream"),
        ("text/event-stream", "text/event-stream"),
    ],
)
async def test_the_answer_is_json_or_a_stream_as_the_client_likes_it(
    accept: str, kind: str
) -> None:
    async with running(edge()) as server, httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/mcp", json=LIST, headers={"accept": accept})
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["x-hybrid-route"] == "none"
    text = answer.text
    if kind == "text/event-stream":
        text = next(line for line in text.splitlines() if line.startswith("data:"))[5:]
    assert [tool["name"] for tool in json.loads(text)["result"]["tools"]] == NAMES


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**LIST, "method": "no/such"}, -32601),
        ({**LIST, "method": "tools/call"}, -32602),
        ({**LIST, "method": "tools/call", "params": {"name": 1}}, -32602),
    ],
)
async def test_what_the_protocol_does_not_know_is_its_own_error(
    body: dict[str, object], code: int
) -> None:
    async with client(edge()) as http:
        answer = await http.post("/mcp", json=body)
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == code
    assert answer.json()["id"] == 1


async def test_what_is_no_message_is_400_and_a_notification_is_taken_note_of() -> None:
    async with client(edge()) as http:
        wrong = [
            await http.post("/mcp", json={}),
            await http.post("/mcp", json=[LIST]),
            await http.post("/mcp", content=b"{"),
            await http.post("/mcp", json={**LIST, "jsonrpc": "1.0"}),
        ]
        note = await http.post(
            "/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}
        )
        stream = await http.get("/mcp")
        ended = await http.delete("/mcp")
    assert [answer.status_code for answer in wrong] == [400] * 4
    assert (note.status_code, note.content) == (202, b"")
    assert (stream.status_code, stream.headers["allow"]) == (405, "POST")
    assert ended.status_code == 405


async def test_no_question_and_no_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "the-secret-question"
    async with client(edge()) as http:
        await http.post("/mcp", json=call("track_interaction", query=secret, response=secret))
        await http.post("/mcp", json=call("track_interaction", query=secret, respons=secret))
        await http.post("/mcp", json={**call("x"), "params": {"name": [secret]}})
        await http.post("/mcp", json={"jsonrpc": "2.0", "method": secret, "params": {"a": secret}})
    assert secret not in caplog.text


async def test_nothing_is_left_of_a_request() -> None:
    import asyncio

    before = asyncio.all_tasks()
    async with client(edge()) as http:
        for _ in range(3):
            await http.post("/mcp", json=call("health"))
    assert asyncio.all_tasks() == before
