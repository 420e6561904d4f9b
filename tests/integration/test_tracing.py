"""Traces of a real coordinator, as a collector gets them; and what requests feel of it: nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, running
from tests.integration.otlp import Collector, collector, values
from tests.integration.served import Served, fake_backend, serving
from tests.testbed.process import free_port

QUESTION = "Where is the lost city of Atlantis?"
ANSWER = "Somewhere below the waves, most likely."
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@asynccontextmanager
async def traced(
    state: Path, url: str, tracing: dict[str, Any], **more: Any
) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    """A coordinator with one backend, and a client of it."""
    backends = {"near": fake_backend(url), **more}
    async with (
        serving(state, backends=backends, tracing=tracing) as served,
        served.client() as client,
    ):
        yield served, client


async def drops(client: httpx.AsyncClient) -> None:
    """Wait until spans were dropped since the collector did not take them."""
    async with asyncio.timeout(30):
        while not await metric(client, "hybrid_spans_dropped_total", cause="export_failed"):
            await asyncio.sleep(0.1)  # another process' number can only be asked for


@dataclass(frozen=True)
class Place:
    """One coordinator with one backend, and the collector that it sends to."""

    api: FakeOpenAI
    collector: Collector
    client: httpx.AsyncClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """For the tests that break nothing. Each asks questions of its own."""
    folder = tmp_path_factory.mktemp("traced")
    secret = folder / "headers"
    secret.write_text("x-collector-key: only-for-tests\n")
    api = FakeOpenAI(default=Answer(text=ANSWER))
    with collector() as kept:
        tracing = {"endpoint": kept.url, "headers_file": str(secret)}
        async with running(api) as url, traced(folder / "state", url, tracing) as (_, client):
            yield Place(api, kept, client)


async def ask(client: httpx.AsyncClient, question: str, **options: Any) -> httpx.Response:
    headers = options.pop("headers", {})
    body = {"model": "auto", "messages": [{"role": "user", "content": question}], **options}
    answer = await client.post("/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


async def trace_of(kept: Collector, answer: httpx.Response) -> dict[str, Span]:
    """The spans of an answered request by name."""
    id_ = answer.headers["x-hybrid-interaction-id"]
    return {span.name: span for span in await asyncio.to_thread(kept.trace_of, id_)}


async def metric(client: httpx.AsyncClient, name: str, **labels: str) -> float:
    text = (await client.get("/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_is_one_trace_with_a_span_for_every_step(place: Place) -> None:
    began = time.time_ns()
    answer = await ask(place.client, QUESTION)
    spans = await trace_of(place.collector, answer)
    ended = time.time_ns()
    assert set(spans) == {
        "chat auto",
        "cache.exact",
        "cache.semantic",
        "single_flight",
        "embedding",
        "routing",
        "chat gpt-fake",
        "validation",
    }
    root = spans["chat auto"]
    assert not root.parent_span_id
    assert root.kind == Span.SPAN_KIND_SERVER
    assert began <= root.start_time_unix_nano <= root.end_time_unix_nano <= ended
    for name, span in spans.items():
        assert root.start_time_unix_nano <= span.start_time_unix_nano, name
        assert span.end_time_unix_nano <= root.end_time_unix_nano, name
    attempt = values(spans["chat gpt-fake"].attributes)
    assert attempt["gen_ai.operation.name"] == "chat"
    assert attempt["gen_ai.usage.output_tokens"] > 0
    assert attempt["gen_ai.response.finish_reasons"] == ["stop"]
    assert {it["service.name"] for it in place.collector.resources} == {"hybrid-coordinator"}
    keys = {told["x-collector-key"] for told in place.collector.headers}
    assert keys == {"only-for-tests"}
    sent = b"".join(place.collector.bodies)
    assert b"Atlantis" not in sent
    assert b"waves" not in sent


@pytest.mark.asyncio(loop_scope="module")
async def test_a_clients_trace_goes_on_to_the_backend(place: Place) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
    answer = await ask(place.client, "What is handed on?", stream=True, headers=headers)
    spans = await trace_of(place.collector, answer)
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert spans["chat auto"].parent_span_id.hex() == SPAN
    request = place.api.chat_requests[-1]
    attempt = spans["chat gpt-fake"]
    assert request.headers["traceparent"] == f"00-{TRACE}-{attempt.span_id.hex()}-01"
    assert request.headers["tracestate"] == "vendor=1"
    assert "gen_ai.response.time_to_first_chunk" in values(attempt.attributes)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_same_question_again_is_a_trace_of_the_cache_alone(place: Place) -> None:
    await ask(place.client, "What is asked twice?")
    spans = await trace_of(place.collector, await ask(place.client, "What is asked twice?"))
    assert set(spans) == {"chat auto", "cache.exact"}
    assert values(spans["chat auto"].attributes)["hybrid.cache.status"] == "exact"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_header_that_is_no_trace_is_no_reason_to_refuse_a_question(place: Place) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Which one counts?"}]}
    twice = [("traceparent", f"00-{TRACE}-{SPAN}-0{flag}") for flag in (1, 0)]
    answer = await place.client.post("/v1/chat/completions", json=body, headers=twice)
    assert answer.status_code == 200, answer.text
    spans = await trace_of(place.collector, answer)
    assert TRACE not in {span.trace_id.hex() for span in spans.values()}


async def test_a_rejected_answer_and_the_one_instead_are_two_attempts(tmp_path: Path) -> None:
    weak, strong = FakeOpenAI(default=Answer(text="")), FakeOpenAI(models=("large",))
    with collector() as kept:
        async with (
            running(weak) as near,
            running(strong) as far,
            traced(
                tmp_path,
                near,
                {"endpoint": kept.url},
                paid=fake_backend(far, tier="remote", model="large"),
            ) as (_, client),
        ):
            answer = await ask(client, "Hi!")
            spans = await trace_of(kept, answer)
    failed = spans["chat gpt-fake"]
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert values(failed.attributes)["error.type"] == "answer_rejected"
    told = values(spans["chat large"].attributes)
    assert told["hybrid.tier"] == "remote"
    assert told["hybrid.outcome"] == "ok"
    assert spans["chat auto"].status.code == Status.STATUS_CODE_UNSET


async def test_nothing_is_told_to_a_backend_where_tracing_is_off(tmp_path: Path) -> None:
    api = FakeOpenAI()
    async with running(api) as url, traced(tmp_path, url, {}) as (_, client):
        await ask(client, QUESTION, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        assert await metric(client, "hybrid_spans_sent_total") == 0
    [request] = api.chat_requests
    assert "traceparent" not in request.headers


async def test_a_collector_that_is_away_costs_no_request_and_is_counted(tmp_path: Path) -> None:
    tracing = {"endpoint": f"http://127.0.0.1:{free_port()}", "timeout": 0.5}
    async with (
        running(FakeOpenAI()) as url,
        traced(tmp_path, url, tracing) as (served, client),
    ):
        for number in range(5):
            await ask(client, f"What is number {number}?")
        await drops(client)
    assert served.log.count("the collector of traces did not take spans") == 1


async def test_a_collector_that_refuses_is_counted_too(tmp_path: Path) -> None:
    with collector() as kept:
        kept.refuse = 401
        async with (
            running(FakeOpenAI()) as url,
            traced(tmp_path, url, {"endpoint": kept.url, "timeout": 1}) as (_, client),
        ):
            await ask(client, QUESTION)
            await asyncio.to_thread(kept.wait_for_delivery)
            await drops(client)
            assert await metric(client, "hybrid_spans_sent_total") == 0


async def test_the_end_of_the_service_sends_what_waits(tmp_path: Path) -> None:
    with collector() as kept:
        async with (
            running(FakeOpenAI()) as url,
            traced(tmp_path, url, {"endpoint": kept.url}) as (served, client),
        ):
            answer = await ask(client, QUESTION)
            assert await asyncio.to_thread(served.stop) == 0
        id_ = answer.headers["x-hybrid-interaction-id"]
        names = {span.name for span in kept.trace_of(id_, timeout=0.1)}
    assert "chat gpt-fake" in names
