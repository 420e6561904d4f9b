"""How an answer ends other than well: errors, defects, cancellation, and the work afterwards."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator

import pytest

from hybrid_coordinator.conversation import CacheStatus, ChatRequest, Delta
from hybrid_coordinator.errors import (
    Attempt,
    BackendRejected,
    BackendTimeout,
    ContextTooLong,
    HybridError,
    NoBackend,
    UnknownModel,
)
from hybrid_coordinator.gateway import Answer, AnswerMeta, attach_meta
from tests.unit.api.scripted import RawCall, ScriptedGateway, completion, edge, meta
from tests.unit.api.test_api_chat import (
    HEADERS,
    NATIVE,
    NATIVE_STREAM,
    QUESTION,
    STREAM,
    ask,
    events,
)

ERRORS: list[tuple[HybridError, int, str]] = [
    (UnknownModel("No such model.", field="model"), 404, "not_found_error"),
    (ContextTooLong("Too long.", field="messages"), 400, "invalid_request_error"),
    (
        BackendRejected("Refused.", backend="remote", upstream_status=422),
        422,
        "invalid_request_error",
    ),
    (BackendTimeout("Too slow.", backend="small"), 504, "timeout_error"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "status", "kind"), ERRORS)
async def test_an_error_before_the_first_byte_has_its_status_and_the_dialects_shape(
    error: HybridError, status: int, kind: str, stream: bool
) -> None:
    gateway = ScriptedGateway(error=error)
    answer = await ask(gateway, {**QUESTION, "stream": stream})
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(error.message)
    assert answer.json()["error"]["code"] == error.code
    assert answer.json()["error"]["param"] == error.field
    assert answer.headers["x-hybrid-reason"] == error.code
    assert uuid.UUID(answer.headers["x-hybrid-interaction-id"])
    answer = await ask(gateway, {**NATIVE, "stream": stream}, "/v1/messages")
    assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert error.message in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == kind


async def test_an_error_tells_when_to_come_back_and_what_is_known_of_its_answer() -> None:
    error = NoBackend("Nothing answers.", attempts=[Attempt("small", "refused")], retry_after=2.4)
    attach_meta(error, AnswerMeta("the-id", CacheStatus.MISS, "local", "only one"))
    answer = await ask(ScriptedGateway(error=error), QUESTION)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert [answer.headers[name] for name in HEADERS] == ["the-id", "miss", "local", "only one"]


def failing_after(deltas: tuple[Delta, ...], error: Exception) -> ScriptedGateway:
    gateway = ScriptedGateway()

    async def stream() -> AsyncGenerator[Delta, None]:
        try:
            for delta in deltas:
                yield delta
            raise error
        finally:
            gateway.finished += 1

    async def script(request: ChatRequest) -> Answer:
        return Answer(meta(request), deltas=stream(), after=gateway.after)

    gateway.script = script
    return gateway


BROKEN = BackendTimeout("No next byte came.", backend="small")


async def test_an_error_at_the_first_increment_is_an_answer_with_a_status() -> None:
    gateway = failing_after((), BROKEN)
    answer = await ask(gateway, STREAM)
    assert answer.status_code == 504
    assert answer.headers["x-hybrid-route"] == "local"
    assert (gateway.finished, gateway.afters) == (1, 1)


async def test_an_error_after_the_stream_began_is_its_last_event() -> None:
    gateway = failing_after((Delta(text="Pa", id="c1"),), BROKEN)
    *_, last = events(await ask(gateway, STREAM))
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "backend_timeout"
    *_, last = events(await ask(gateway, NATIVE_STREAM, "/v1/messages"))
    name, _, data = last.partition("\ndata: ")
    assert name == "event: error"
    assert json.loads(data)["error"]["message"] == "No next byte came."
    assert (gateway.finished, gateway.afters) == (2, 2)


async def test_a_defect_is_a_500_that_tells_nothing_and_is_counted_lesson_7(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = failing_after((), RuntimeError("secret detail"))
    answer = await ask(gateway, STREAM)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-hybrid-interaction-id"] in caplog.text
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    labels = {"room": "api", "kind": "RuntimeError"}
    assert gateway.metrics.registry.get_sample_value("hybrid_failures_total", labels) == 1


async def test_a_defect_after_the_stream_began_is_its_last_event() -> None:
    gateway = failing_after((Delta(text="Pa", id="c1"),), RuntimeError("secret detail"))
    answer = await ask(gateway, STREAM)
    assert "internal_error" in events(answer)[-1]
    assert "secret" not in answer.text


async def test_what_is_to_be_done_afterwards_is_done_after_the_last_byte() -> None:
    gateway = ScriptedGateway()
    call = RawCall("/v1/chat/completions", json.dumps(QUESTION).encode())
    sent_before: list[int] = []

    async def after() -> None:
        sent_before.append(len(call.sent))

    async def script(request: ChatRequest) -> Answer:
        return Answer(meta(request), completion=completion(), after=after)

    gateway.script = script
    await call.run(edge(gateway))
    assert [message["type"] for message in call.sent] == [
        "http.response.start",
        "http.response.body",
    ]
    assert sent_before == [2]


async def test_a_failure_afterwards_is_counted_and_the_client_keeps_its_answer() -> None:
    gateway = ScriptedGateway()

    async def after() -> None:
        raise OSError("disk full")

    async def script(request: ChatRequest) -> Answer:
        return Answer(meta(request), completion=completion(), after=after)

    gateway.script = script
    assert (await ask(gateway, QUESTION)).status_code == 200
    labels = {"room": "api", "kind": "OSError"}
    assert gateway.metrics.registry.get_sample_value("hybrid_failures_total", labels) == 1


async def test_a_cancellation_from_outside_is_told_to_the_client_and_passes_on() -> None:
    gateway = ScriptedGateway()
    reached = asyncio.Event()

    async def stream() -> AsyncGenerator[Delta, None]:
        try:
            yield Delta(text="Pa", id="c1")
            reached.set()
            await asyncio.Event().wait()
        finally:
            gateway.finished += 1

    async def script(request: ChatRequest) -> Answer:
        return Answer(meta(request), deltas=stream(), after=gateway.after)

    gateway.script = script
    call = RawCall("/v1/chat/completions", json.dumps(STREAM).encode())
    task = asyncio.create_task(call.run(edge(gateway)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert b"shutting_down" in call.body
    assert not call.sent[-1].get("more_body")
    assert (gateway.finished, gateway.afters) == (1, 1)
