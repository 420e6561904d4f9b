"""The client library: typed answers, the coordinator's own errors, and safe repeats."""

from __future__ import annotations

import inspect
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from hybrid_coordinator import errors
from hybrid_coordinator.api import learning_schemas, schemas
from hybrid_coordinator.client import CoordinatorUnavailable, HybridClient
from hybrid_coordinator.client_errors import error_in
from hybrid_coordinator.errors import (
    Conflict,
    HybridError,
    InvalidRequest,
    NotFound,
    OutboxFull,
    Unauthorized,
    Unprocessable,
)
from hybrid_coordinator.gateway import PartState
from hybrid_coordinator.learning.experiments import Decision
from hybrid_coordinator.learning.records import DatasetFormat, DatasetRequest, Outcome
from hybrid_coordinator.settings import Collection
from tests.unit.api.scripted import ALICE, KEYS, OPERATOR, ScriptedGateway, edge, running
from tests.unit.api.scripted_learning import DEAD_ID, TRACKED_ID

OWN_ID = "11111111-2222-4333-8444-555555555555"


def inside(gateway: ScriptedGateway, key: str | None = None, **rules: Any) -> HybridClient:
    """A client of a scripted edge in this process."""
    app = edge(gateway, **rules)
    return HybridClient("http://127.0.0.1:8092", key, transport=httpx.ASGITransport(app=app))


class Answers(httpx.AsyncBaseTransport):
    """Gives what a test wrote down, one after another, and keeps what it was sent."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


def scripted(answers: Answers, slept: list[float] | None = None, **options: Any) -> HybridClient:
    pauses = [] if slept is None else slept

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    options = {"sleep": sleep, "new_id": lambda: OWN_ID, **options}
    return HybridClient("http://x", transport=answers, **options)


def error(status: int, code: str, *, after: str | None = None) -> httpx.Response:
    headers = {} if after is None else {"retry-after": after}
    body = {"error": {"message": f"It is {code}.", "param": "f", "code": code, "type": "t"}}
    return httpx.Response(status, json=body, headers=headers)


GOT_IT = httpx.Response(201, json={"interaction_id": OWN_ID})


async def test_every_verb_gives_what_the_coordinator_works_with() -> None:
    gateway = ScriptedGateway()
    async with inside(gateway) as hybrid:
        found = await hybrid.augment_query("Why?", "coder", token_budget=100)
        hits = await hybrid.search_context("q", [Collection.BEST_PRACTICES], filters={"a": 1})
        id_ = await hybrid.track_interaction("Why?", "Because.", "m", 3, interaction_id=OWN_ID)
        receipt = await hybrid.update_outcome(id_, "success", 1)
        shown = await hybrid.interaction(id_)
        written = await hybrid.generate_training_data([DatasetFormat.OPENAI], min_score=0.8)
        report = await hybrid.extract_patterns(limit=3)
        queue = await hybrid.extraction_queue(limit=4)
        replayed = await hybrid.replay_extractions([DEAD_ID])
        experiments = await hybrid.experiments()
        health = await hybrid.health()
        forgotten = await hybrid.forget(id_)
    assert found.augmented_prompt == "context\nWhy?"
    assert (hits[0].collection, hits[0].score) == (Collection.BEST_PRACTICES, 0.5)
    assert id_ == OWN_ID
    assert (receipt.outcome, receipt.user_feedback, receipt.changed) == (Outcome.SUCCESS, 1, True)
    assert shown.payload["query"] == "Why?"
    assert written.files["dataset.jsonl"]["examples"] == 5
    assert report == gateway.extracted
    assert (queue.entries[0].score, queue.dead_letters[0].tries) == (0.9, 3)
    assert replayed == 1
    assert experiments[0].decision is Decision.DECIDED
    assert experiments[0].variants[0].tokens_mean is None
    assert health.parts["lemonade"].state is PartState.READY
    assert forgotten.removed == {"interaction-history": 1, "patterns": 2}
    names = [call[0] for call in gateway.calls]
    assert names == ["augment", "search", "training_data", "extract", "queue", "replay"]
    assert gateway.calls[2][1] == DatasetRequest((DatasetFormat.OPENAI,), 0.8)


async def test_it_is_not_ready_is_an_answer_and_no_error() -> None:
    async with inside(ScriptedGateway(is_ready=False)) as hybrid:
        health = await hybrid.health()
    assert not health.ready
    assert health.parts["lemonade"].detail == "connection refused"


async def test_a_coordinator_that_stops_is_an_error_also_to_health() -> None:
    answers = Answers(error(503, "shutting_down"), error(503, "shutting_down"))
    async with scripted(answers, retries=0) as hybrid:
        with pytest.raises(HybridError) as caught:
            await hybrid.health()
    assert caught.value.code == "shutting_down"


async def test_the_coordinators_errors_are_raised_as_they_were_there() -> None:
    gateway = ScriptedGateway()
    async with inside(gateway) as hybrid:
        await hybrid.track_interaction("q", "r", interaction_id=TRACKED_ID)
        await hybrid.update_outcome(TRACKED_ID, Outcome.SUCCESS)
        with pytest.raises(NotFound) as unknown:
            await hybrid.update_outcome(OWN_ID, Outcome.SUCCESS)
        with pytest.raises(Conflict, match='"replace": true'):
            await hybrid.update_outcome(TRACKED_ID, Outcome.FAILURE)
        with pytest.raises(Unprocessable) as range_:
            await hybrid.update_outcome(TRACKED_ID, user_feedback=2)
        with pytest.raises(InvalidRequest):
            await hybrid.update_outcome(TRACKED_ID)
    assert (unknown.value.status, unknown.value.field) == (404, "interaction_id")
    assert (range_.value.status, range_.value.field) == (422, "user_feedback")


async def test_the_key_is_sent_and_a_wrong_one_is_named() -> None:
    gateway = ScriptedGateway()
    async with inside(gateway, ALICE, keys=KEYS) as hybrid:
        await hybrid.experiments()
        with pytest.raises(errors.Forbidden):
            await hybrid.extract_patterns()
    async with inside(gateway, OPERATOR, keys=KEYS) as hybrid:
        with pytest.raises(Unauthorized):
            await hybrid.experiments()


@pytest.mark.parametrize("id_", ["../cache/invalidate", "..", "a/b", "x?y=1", "%2e%2e", "", "ä b"])
async def test_an_id_cannot_lead_to_another_path(id_: str) -> None:
    gateway = ScriptedGateway()
    async with inside(gateway) as hybrid:
        for ask in (hybrid.interaction, hybrid.forget):
            with pytest.raises(NotFound):
                await ask(id_)
        with pytest.raises(NotFound):
            await hybrid.update_outcome(id_, Outcome.SUCCESS)
    assert gateway.calls == []


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("gone"),
        httpx.ReadTimeout("slow"),
        error(503, "outbox_full", after="1"),
        error(502, "no_error_object"),
    ],
)
async def test_tracking_is_repeated_under_the_same_id(trouble: httpx.Response | Exception) -> None:
    answers, slept = Answers(trouble, GOT_IT), list[float]()
    async with scripted(answers, slept) as hybrid:
        assert await hybrid.track_interaction("q", "r") == OWN_ID
    first, second = answers.bodies
    assert first == second
    assert first["interaction_id"] == OWN_ID
    assert len(slept) == 1


async def test_a_fresh_id_is_made_for_each_interaction() -> None:
    gateway = ScriptedGateway()
    async with inside(gateway) as hybrid:
        ids = {await hybrid.track_interaction("q", "r") for _ in range(3)}
    assert len(ids) == 3
    assert {uuid.UUID(id_).version for id_ in ids} == {4}


async def test_the_pause_is_what_the_coordinator_asks_for() -> None:
    answers, slept = Answers(error(503, "outbox_full", after="3"), GOT_IT), list[float]()
    async with scripted(answers, slept) as hybrid:
        await hybrid.track_interaction("q", "r")
    assert 3.0 <= slept[0] <= 5.0


async def test_who_should_wait_long_is_told_so_at_once() -> None:
    answers, slept = Answers(error(503, "outbox_full", after="60")), list[float]()
    async with scripted(answers, slept) as hybrid:
        with pytest.raises(OutboxFull) as caught:
            await hybrid.track_interaction("q", "r")
    assert caught.value.retry_after == 60
    assert slept == []


async def test_tries_come_to_an_end() -> None:
    answers = Answers(*[httpx.ConnectError("refused")] * 3)
    async with scripted(answers) as hybrid:
        with pytest.raises(CoordinatorUnavailable, match="hybrid-coordinator serve") as caught:
            await hybrid.track_interaction("q", "r")
    assert len(answers.requests) == 3
    assert not caught.value.sent


ONCE: Sequence[Callable[[HybridClient], Any]] = (
    lambda hybrid: hybrid.forget(OWN_ID),
    lambda hybrid: hybrid.generate_training_data(),
    lambda hybrid: hybrid.extract_patterns(),
    lambda hybrid: hybrid.replay_extractions(),
)


@pytest.mark.parametrize("ask", ONCE)
async def test_what_may_have_been_done_is_not_done_again(
    ask: Callable[[HybridClient], Any],
) -> None:
    for trouble in (httpx.ReadError("reset"), error(503, "store_unavailable")):
        answers = Answers(trouble)
        async with scripted(answers) as hybrid:
            with pytest.raises(HybridError):
                await ask(hybrid)
        assert len(answers.requests) == 1


@pytest.mark.parametrize("ask", ONCE)
async def test_what_was_never_sent_is_tried_again(ask: Callable[[HybridClient], Any]) -> None:
    answers = Answers(httpx.ConnectError("refused"), error(404, "not_found"))
    async with scripted(answers) as hybrid:
        with pytest.raises(NotFound):
            await ask(hybrid)
    assert len(answers.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 500])
async def test_what_would_fail_again_is_not_repeated(status: int) -> None:
    answers = Answers(error(status, "some_code"))
    async with scripted(answers) as hybrid:
        with pytest.raises(HybridError) as caught:
            await hybrid.track_interaction("q", "r")
    assert (caught.value.status, caught.value.code) == (status, "some_code")
    assert len(answers.requests) == 1


async def test_a_proxys_page_is_no_coordinators_error() -> None:
    answers = Answers(httpx.Response(404, text="<html>"), httpx.Response(200, text="<html>"))
    async with scripted(answers) as hybrid:
        with pytest.raises(HybridError, match="status 404"):
            await hybrid.interaction(OWN_ID)
        with pytest.raises(CoordinatorUnavailable, match="version"):
            await hybrid.interaction(OWN_ID)


async def test_over_a_socket_too() -> None:
    async with running(edge(ScriptedGateway())) as server, HybridClient(server.url) as hybrid:
        assert (await hybrid.health()).ready


def test_every_error_of_the_tree_comes_back_as_itself() -> None:
    def all_below(kind: type[HybridError]) -> set[type[HybridError]]:
        below = set(kind.__subclasses__())
        return below.union(*map(all_below, below)) if below else below

    ours = {k for k in all_below(HybridError) if k.__module__ == errors.__name__}
    local = {errors.SettingsError, errors.ResourceBusy, errors.RequestError}
    for kind in ours - local:
        made = error_in(error(kind.status, kind.code, after="2"))
        assert (made.status, made.code) == (kind.status, kind.code)
        assert (made.message, made.retry_after) == (f"It is {kind.code}.", 2)
        if not issubclass(kind, errors.BackendError):
            assert isinstance(made, kind)


@pytest.mark.parametrize(
    ("method", "body"),
    [
        (HybridClient.augment_query, schemas.AugmentRequest),
        (HybridClient.search_context, schemas.SearchRequest),
        (HybridClient.track_interaction, learning_schemas.TrackRequest),
        (HybridClient.update_outcome, learning_schemas.UpdateOutcomeRequest),
        (HybridClient.generate_training_data, learning_schemas.TrainingDataRequest),
        (HybridClient.extract_patterns, learning_schemas.ExtractRequest),
        (HybridClient.extraction_queue, learning_schemas.QueueRequest),
        (HybridClient.replay_extractions, learning_schemas.ReplayRequest),
    ],
)
def test_the_arguments_are_the_fields_of_the_body_with_its_defaults(
    method: Callable[..., Any], body: type[schemas.Body]
) -> None:
    parameters = dict(inspect.signature(method).parameters)
    del parameters["self"]
    assert set(parameters) == set(body.model_fields)
    for name, parameter in parameters.items():
        field = body.model_fields[name]
        if parameter.default is inspect.Parameter.empty:
            assert field.is_required()
        elif isinstance(field.default, list | dict):
            assert list(parameter.default or ()) == list(field.default)
        else:
            assert parameter.default == field.default
