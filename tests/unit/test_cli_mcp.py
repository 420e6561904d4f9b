"""``hybrid-coordinator mcp``: the official client on its stdin and stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from hybrid_coordinator.api.mcp_tools import TOOLS
from tests.unit.api.mcp_session import called, over_stdio, refused
from tests.unit.api.scripted import ALICE, KEYS, ScriptedGateway, edge, running

COMMAND = [sys.executable, "-m", "hybrid_coordinator", "mcp"]


def environment(config: Path) -> dict[str, str]:
    return {**os.environ, "HYBRID_AI_CONFIG": str(config)}


def settings(folder: Path, port: int) -> Path:
    file = folder / "settings.json"
    file.write_text(json.dumps({"port": port, "state_directory": str(folder)}))
    return file


async def test_every_tool_is_there_and_works_through_the_coordinator(tmp_path: Path) -> None:
    gateway = ScriptedGateway()
    async with running(edge(gateway, keys=KEYS)) as server:
        config = settings(tmp_path, server.port)
        key_file = tmp_path / "key"
        key_file.write_text(ALICE)
        command = [*COMMAND, "--key-file", str(key_file)]
        with (tmp_path / "stderr").open("w+") as errlog:
            async with over_stdio(command, environment(config), errlog) as session:
                names = [tool.name for tool in (await session.list_tools()).tools]
                found = await called(session, "augment_query", query="Why?")
                hits = await called(
                    session, "search_context", query="q", filters={"language": "nix"}
                )
                id_ = (await called(session, "track_interaction", query="q", response="r"))[
                    "interaction_id"
                ]
                receipt = await called(
                    session, "update_outcome", interaction_id=id_, user_feedback=-1
                )
                shown = await called(session, "get_interaction", interaction_id=id_)
                written = await called(session, "generate_training_data")
                health = await called(session, "health")
                forgotten = await called(session, "forget", interaction_id=id_)
                gone = await refused(session, "forget", interaction_id=id_)
            errlog.seek(0)
            logged = errlog.read()
    assert names == [tool.name for tool in TOOLS]
    assert found["augmented_prompt"] == "context\nWhy?"
    assert hits["hits"][0]["id"] == "id-1"
    assert receipt["changed"] is True
    assert shown["payload"]["query"] == "q"
    assert written["dataset_size"] == 5
    assert health["ready"] is True
    assert forgotten["interaction_id"] == id_
    assert gone == "There is no such interaction."
    assert logged == ""


async def test_a_coordinator_may_come_and_go(tmp_path: Path) -> None:
    gateway = ScriptedGateway()
    async with running(edge(gateway)) as server:
        port = server.port
    async with over_stdio(COMMAND, environment(settings(tmp_path, port))) as session:
        away = await refused(session, "health")
        assert len((await session.list_tools()).tools) == len(TOOLS)
    assert away.startswith(f"no coordinator answers at http://127.0.0.1:{port}")


def test_stdout_has_nothing_but_the_protocol_and_the_log_no_content(tmp_path: Path) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    lines = [
        json.dumps(hello),
        json.dumps(ready),
        "no json: the-secret",
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "the-secret"}),
        json.dumps({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": "the-secret"}),
        json.dumps({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"x": 1}}),
        json.dumps({"jsonrpc": "2.0", "id": 5, "method": "tools/list"}),
    ]
    with subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(settings(tmp_path, 9)),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n".join(lines) + "\n")
        process.stdin.flush()
        # What is still being answered when stdin ends is given up, so the end comes after that.
        answered = [process.stdout.readline() for _ in range(4)]
        rest, logged = process.communicate(timeout=60)
    assert (rest, process.returncode) == ("", 0)
    answers = {message["id"]: message for message in map(json.loads, answered)}
    assert set(answers) == {1, 2, 4, 5}
    assert answers[1]["result"]["serverInfo"]["name"] == "hybrid-ai"
    assert answers[2]["error"]["code"] == -32601
    assert answers[4]["error"]["code"] == -32602
    assert len(answers[5]["result"]["tools"]) == len(TOOLS)
    assert "the-secret" not in logged
    assert logged.count("no message of the protocol") == 2
