"""A whole MCP session with a served coordinator, over streamable HTTP and over stdio."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession

from hybrid_coordinator.client import HybridClient
from hybrid_coordinator.errors import Forbidden, NotFound
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import running
from tests.integration.served import Served, fake_backend, serving
from tests.unit.api.mcp_session import called, over_http, over_stdio, refused

KEYS = {"alice": "alice-key-0123456789", "bob": "bob-key-0123456789"}
TOOLS = {
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
}
QUESTION = "How is a failed unit found on NixOS?"
ANSWER = "Run `systemctl --failed`; it lists every unit that failed."
PRACTICE = {"title": "Look for failed units", "description": "systemctl --failed names them."}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{name}:{key}\n" for name, key in KEYS.items()))
    async with running(FakeOpenAI()) as url:
        backends = {"local": fake_backend(url)}
        async with serving(tmp_path / "state", backends=backends, api_keys_file=str(keys)) as it:
            yield it


async def session_of_all_tools(session: ClientSession) -> list[tuple[str, Any]]:
    """Call every tool as an agent would; what each said."""
    transcript: list[tuple[str, Any]] = []

    async def use(name: str, **arguments: object) -> dict[str, Any]:
        said = await called(session, name, **arguments)
        transcript.append((name, said))
        return said

    await use("health")
    found = await use("augment_query", query=QUESTION, agent_type="operator")
    await use("search_context", query=QUESTION, collections=["best-practices"], limit=1)
    tracked = await use(
        "track_interaction",
        query=QUESTION,
        response=ANSWER,
        model_used="elsewhere",
        tokens_used=40,
        context_provided=found["context_ids"],
        latency_ms=120.5,
    )
    id_ = tracked["interaction_id"]
    await use("update_outcome", interaction_id=id_, outcome="success", user_feedback=1)
    await use("update_outcome", interaction_id=id_, outcome="success", user_feedback=1)
    # It waits until what was accepted is delivered. What the practice says already is less new,
    # so the score is a little below the threshold.
    await use("generate_training_data", formats=["openai"], validation_share=0, min_score=0.6)
    await use("get_interaction", interaction_id=id_)
    await use("forget", interaction_id=id_)
    transcript.append(("gone", await refused(session, "get_interaction", interaction_id=id_)))
    # Of the whole machine, and so the operator's alone.
    system = ("system_health", "system_analysis")
    return [*transcript, *[(name, await refused(session, name)) for name in system]]


def check(transcript: list[tuple[str, Any]], item: str) -> None:
    said = [answer for _, answer in transcript]
    assert {name for name, _ in transcript} == TOOLS | {"gone"}
    health, found, hits, tracked, noted, again, data, shown, forgotten, gone, *system = said
    id_ = tracked["interaction_id"]
    assert health["ready"] is True
    assert health["parts"]["learning"]["state"] == "ready"
    assert (found["original_query"], found["context_ids"]) == (QUESTION, [item])
    assert PRACTICE["title"] in found["augmented_prompt"]
    assert [hit["id"] for hit in hits["hits"]] == [item]
    receipt = {"interaction_id": id_, "outcome": "success", "user_feedback": 1}
    assert (noted, again) == ({**receipt, "changed": True}, {**receipt, "changed": False})
    assert (data["dataset_size"], data["new_examples"]) == (1, 1)
    written = Path(data["path"])
    assert not written.exists() or QUESTION not in written.read_text()
    payload = shown["payload"]
    assert (shown["id"], shown["delivered"]) == (id_, True)
    assert (payload["query"], payload["response"]) == (QUESTION, ANSWER)
    assert (payload["outcome"], payload["user_feedback"]) == ("success", 1)
    assert payload["context_provided"] == [item]
    assert 0.6 < payload["value_score"] < 0.7
    assert forgotten["interaction_id"] == id_
    assert forgotten["removed"]["interaction-history"] == 1
    assert "interaction" in gone
    assert all("operator" in refusal for refusal in system)


async def taught(served: Served) -> str:
    """Something worth finding, stored by alice; its id."""
    async with served.client(headers={"x-api-key": KEYS["alice"]}) as http:
        answer = await http.post(
            "/v1/knowledge/best-practices", json={"items": [{"payload": PRACTICE}]}
        )
        answer.raise_for_status()
        return str(answer.json()["ids"][0])


async def test_a_session_over_streamable_http_outlives_a_reload(served: Served) -> None:
    item = await taught(served)
    async with over_http(served.url, **{"x-api-key": KEYS["alice"]}) as session:
        assert {tool.name for tool in (await session.list_tools()).tools} == TOOLS
        check(await session_of_all_tools(session), item)
        served.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(30):
            while "reloaded:" not in served.log:
                await asyncio.sleep(0.05)
        check(await session_of_all_tools(session), item)


async def test_the_operator_is_told_how_the_machine_is(served: Served) -> None:
    key = (served.state / "operator.key").read_text().strip()
    async with over_http(served.url, **{"x-api-key": key}) as session:
        health = await called(session, "system_health")
        analysis = await called(session, "system_analysis")
    assert {"coordinator", "outbox", "keys", "disk"} <= {part["name"] for part in health["parts"]}
    assert {finding["state"] for finding in analysis["findings"]} >= {"no data"}


async def test_a_session_over_stdio(served: Served, tmp_path: Path) -> None:
    item = await taught(served)
    key_file = tmp_path / "alice"
    key_file.write_text(KEYS["alice"])
    command = served.command("mcp", "--url", served.url, "--key-file", str(key_file))
    environment = {**os.environ, "HYBRID_AI_CONFIG": str(served.config)}
    async with over_stdio(command, environment) as session:
        assert {tool.name for tool in (await session.list_tools()).tools} == TOOLS
        check(await session_of_all_tools(session), item)


async def test_a_caller_has_nothing_to_do_with_anothers_interaction(served: Served) -> None:
    async with over_http(served.url, **{"x-api-key": KEYS["alice"]}) as session:
        id_ = (await called(session, "track_interaction", query=QUESTION, response=ANSWER))[
            "interaction_id"
        ]
    async with over_http(served.url, **{"x-api-key": KEYS["bob"]}) as session:
        await refused(session, "get_interaction", interaction_id=id_)
        await refused(session, "update_outcome", interaction_id=id_, outcome="failure")
        await refused(session, "forget", interaction_id=id_)
    async with HybridClient(served.url, KEYS["bob"]) as bob:
        with pytest.raises(NotFound):
            await bob.update_outcome(id_, "failure")
        with pytest.raises(Forbidden):
            await bob.extract_patterns()
    async with HybridClient(served.url, KEYS["alice"]) as alice:
        assert (await alice.update_outcome(id_, "success")).changed


async def test_the_commands_are_the_operators_by_the_key_in_the_state_directory(
    served: Served,
) -> None:
    async with HybridClient(served.url, KEYS["alice"]) as alice:
        id_ = await alice.track_interaction(QUESTION, ANSWER)

    async def told(*arguments: str) -> Any:
        done = await asyncio.to_thread(served.cli, *arguments, "--url", served.url, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert (await told("outcome", id_, "success", "--feedback", "1"))["changed"] is True
    # This model echoes, which is no pattern.
    assert (await told("extract-patterns"))["dead"] == 1
    assert (await told("queue"))["dead"] == 1
    assert await told("experiments") == []
    assert (await told("dataset"))["dataset_size"] == 1
    assert (await told("forget", id_))["removed"]["interaction-history"] == 1
    assert (served.state / "operator.key").stat().st_mode & 0o777 == 0o600
