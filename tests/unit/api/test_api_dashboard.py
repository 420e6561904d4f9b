"""The dashboard's endpoints: who may ask, what the stream sends, and that it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from hybrid_coordinator.api import dashboard
from hybrid_coordinator.api.edge import Edge
from hybrid_coordinator.reporting.figures import DashboardData
from tests.unit.api.scripted import (
    ALICE,
    KEYS,
    OPERATOR,
    RawCall,
    ScriptedGateway,
    client,
    edge,
    running,
)


@asynccontextmanager
async def opened(app: Edge) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of the stream, from a real server."""
    async with (
        running(app) as server,
        httpx.AsyncClient(base_url=server.url) as http,
        http.stream("GET", "/v1/dashboard/events") as answer,
    ):
        yield answer.aiter_lines()


@pytest.mark.parametrize(
    ("query", "seconds"),
    [("", 86_400), ("?range=1h", 3600), ("?range=7d", 604_800), ("?range=30d", 2_592_000)],
)
async def test_figures_are_told_for_a_range(query: str, seconds: int) -> None:
    async with client(edge()) as http:
        answer = await http.get(f"/v1/dashboard{query}")
    assert answer.status_code == 200
    assert DashboardData.model_validate_json(answer.content).range_s == seconds
    assert answer.headers["x-hybrid-route"] == "none"


@pytest.mark.parametrize("path", ["/v1/dashboard", "/v1/dashboard/events"])
@pytest.mark.parametrize("query", ["range=2h", "range=", "range=1h&range=7d", "rang=1h"])
async def test_a_wrong_range_is_400_and_names_the_field(path: str, query: str) -> None:
    async with client(edge()) as http:
        answer = await http.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] in ("range", "query")


@pytest.mark.parametrize("path", ["/v1/dashboard", "/v1/dashboard/events"])
async def test_figures_are_for_operators_where_keys_are_in_use(path: str) -> None:
    app = edge(keys=KEYS, operator=OPERATOR)
    async with client(app) as http:
        assert (await http.get(path)).status_code == 401
        alice = await http.get(path, headers={"authorization": f"Bearer {ALICE}"})
        assert alice.status_code == 403
        assert alice.json()["error"]["code"] == "forbidden"
        operator = await http.get(path, headers={"authorization": f"Bearer {OPERATOR}"})
        assert operator.status_code == 200


async def test_the_stream_tells_at_once_and_again_and_ends() -> None:
    gateway = ScriptedGateway(tellings=3)
    async with client(edge(gateway)) as http:
        answer = await http.get("/v1/dashboard/events?range=1h")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    first, *told = answer.text.removesuffix("\n\n").split("\n\n")
    assert first == "retry: 3000"
    assert len(told) == 3
    for event in told:
        name, data = event.split("\n")
        assert name == "event: figures"
        assert json.loads(data.removeprefix("data: "))["range_s"] == 3600
    assert gateway.ended.is_set()


async def test_a_head_of_the_stream_ends_at_once() -> None:
    gateway = ScriptedGateway(held=True)
    async with asyncio.timeout(5), client(edge(gateway)) as http:
        answer = await http.head("/v1/dashboard/events")
    assert answer.status_code == 200
    assert gateway.ended.is_set()


async def test_a_stream_without_news_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "HEARTBEAT", 0.01)
    gateway = ScriptedGateway(held=True)
    async with asyncio.timeout(10), opened(edge(gateway)) as lines:
        async for line in lines:
            if line == ": still here":
                break
        gateway.released.set()
        assert [line async for line in lines if line and line != ": still here"] == []


async def test_a_stream_whose_client_leaves_is_closed_and_its_place_is_free() -> None:
    gateway = ScriptedGateway(held=True)
    app = edge(gateway)
    async with asyncio.timeout(10), running(app) as server:
        async with (
            httpx.AsyncClient(base_url=server.url) as http,
            http.stream("GET", "/v1/dashboard/events") as answer,
        ):
            await anext(answer.aiter_bytes())
        await gateway.ended.wait()
        assert server.server.server_state.open_answers == 0


async def test_more_streams_than_are_served_are_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dashboard, "MAX_STREAMS", 1)
    gateway = ScriptedGateway(held=True)
    app = edge(gateway)
    async with asyncio.timeout(10):
        first = RawCall("/v1/dashboard/events", b"", method="GET")
        holding = asyncio.create_task(first.run(app))
        while not first.sent:
            await asyncio.sleep(0)
        async with client(app) as http:
            refused = await http.get("/v1/dashboard/events")
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "too_many_streams"
            assert refused.headers["retry-after"] == "10"
            gateway.released.set()
            await holding
            assert (await http.get("/v1/dashboard/events")).status_code == 200
