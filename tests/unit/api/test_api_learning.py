"""The learning endpoints: what they take, what they refuse and where they point."""

from __future__ import annotations

import uuid
from typing import get_args

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.api.learning_schemas import PostableOutcome, PostableSource, TrackRequest
from hybrid_coordinator.api.schemas import validate
from hybrid_coordinator.conversation import OPERATOR_CALLER
from hybrid_coordinator.errors import OutboxFull
from hybrid_coordinator.learning.records import (
    POSTED_SOURCES,
    DatasetFormat,
    DatasetRequest,
    NewInteraction,
    Outcome,
    OutcomeSource,
    PostedOutcome,
)
from tests.unit.api.scripted import ALICE, BOB, KEYS, OPERATOR, ScriptedGateway, client, edge
from tests.unit.api.scripted_learning import DEAD_ID, TRACKED_ID

ITEM = "01a209ab-9b27-740b-bcd2-cb0ea1bb5007"
NEW = {"query": "Why?", "response": "Because."}
OUTCOME = f"/v1/interactions/{TRACKED_ID}/outcome"


async def tracked(http: httpx.AsyncClient, **more: object) -> str:
    answer = await http.post("/v1/interactions", json={**NEW, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["interaction_id"])


async def test_an_interaction_is_tracked_with_every_field_the_specification_names() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        id_ = await tracked(
            http,
            model_used="small",
            tokens_used=12,
            agent_type="reviewer",
            context_provided=[ITEM.upper()],
            latency_ms=8,
            turns=2,
            tool_calls=1,
            interaction_id=TRACKED_ID.upper(),
        )
    assert id_ == TRACKED_ID
    assert gateway.kept == {
        ("loopback", TRACKED_ID): NewInteraction(
            query="Why?",
            response="Because.",
            model_used="small",
            tokens_used=12,
            agent_type="reviewer",
            context_ids=(ITEM,),
            latency_ms=8,
            turns=2,
            tool_calls=1,
            id=TRACKED_ID,
        )
    }


def test_what_is_left_away_is_what_the_record_says() -> None:
    assert validate(TrackRequest, dict(NEW)).to_record() == NewInteraction("Why?", "Because.")


async def test_context_ids_is_another_name_but_not_a_second_one() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        await tracked(http, context_ids=[ITEM])
        both = await http.post(
            "/v1/interactions", json={**NEW, "context_ids": [ITEM], "context_provided": [ITEM]}
        )
    assert next(iter(gateway.kept.values())).context_ids == (ITEM,)
    assert (both.status_code, both.json()["error"]["param"]) == (400, "context_ids")


async def test_the_same_report_again_has_no_second_effect_and_another_one_is_a_conflict() -> None:
    own = str(uuid.uuid4())
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        first = await tracked(http, interaction_id=own)
        second = await tracked(http, interaction_id=own)
        other = await http.post(
            "/v1/interactions", json={**NEW, "response": "No.", "interaction_id": own}
        )
    assert first == second == own
    assert len(gateway.kept) == 1
    assert other.status_code == 409


async def test_a_response_of_five_megabytes_is_accepted() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        await tracked(http, response="x" * 5_000_000)
        too_large = await http.post(
            "/v1/interactions", json={**NEW, "response": "x" * (8 * 1024 * 1024)}
        )
    assert len(next(iter(gateway.kept.values())).response) == 5_000_000
    assert too_large.status_code == 413


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"response": "r"}, "query"),
        ({"query": " ", "response": "r"}, "query"),
        ({"query": "q"}, "response"),
        ({**NEW, "tokens_used": -1}, "tokens_used"),
        ({**NEW, "tokens_used": "7"}, "tokens_used"),
        ({**NEW, "latency_ms": -0.5}, "latency_ms"),
        ({**NEW, "turns": 0}, "turns"),
        ({**NEW, "agent_type": "a b"}, "agent_type"),
        ({**NEW, "context_provided": ["x"]}, "context_provided[0]"),
        ({**NEW, "interaction_id": "mine"}, "interaction_id"),
        ({**NEW, "outcome": "success"}, "outcome"),
    ],
)
async def test_a_wrong_report_is_refused_by_its_field(body: dict[str, object], field: str) -> None:
    async with client(edge()) as http:
        answer = await http.post("/v1/interactions", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


async def test_an_outcome_is_noted_once_and_the_same_again_changes_nothing() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        await tracked(http)
        body = {"outcome": "success", "user_feedback": 1}
        first = await http.post(OUTCOME, json=body)
        again = await http.post(OUTCOME, json=body)
    assert first.status_code == again.status_code == 200
    assert first.json() == {
        "interaction_id": TRACKED_ID,
        "outcome": "success",
        "user_feedback": 1,
        "changed": True,
    }
    assert again.json() == {**first.json(), "changed": False}
    assert gateway.said == {TRACKED_ID: PostedOutcome(Outcome.SUCCESS, 1)}


async def test_another_outcome_is_a_conflict_that_says_how_to_mean_it() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        await tracked(http)
        await http.post(OUTCOME, json={"outcome": "success"})
        refused = await http.post(OUTCOME, json={"outcome": "failure"})
        meant = await http.post(OUTCOME, json={"outcome": "failure", "replace": True})
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "conflict"
    assert '"replace": true' in refused.json()["error"]["message"]
    assert (meant.status_code, meant.json()["outcome"]) == (200, "failure")


@pytest.mark.parametrize("feedback", [2, -2, 0.5, -1.5, 1e300, 10**30])
async def test_feedback_that_is_no_thumb_is_422_with_its_field(feedback: float) -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        await tracked(http)
        answer = await http.post(
            OUTCOME,
            content=f'{{"user_feedback": {feedback!r}}}',
            headers={"content-type": "application/json"},
        )
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "user_feedback")
    assert gateway.said == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"outcome": None}, None),
        ({"replace": True}, None),
        ({"outcome": "unknown"}, "outcome"),
        ({"outcome": "great"}, "outcome"),
        ({"user_feedback": "1"}, "user_feedback"),
        ({"user_feedback": True}, "user_feedback"),
        ({"outcome": "success", "source": "reask"}, "source"),
        ({"outcome": "success", "score": 1}, "score"),
    ],
)
async def test_what_says_nothing_or_something_else_is_400(
    body: dict[str, object], field: str | None
) -> None:
    async with client(edge()) as http:
        answer = await http.post(OUTCOME, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


@given(feedback=st.sampled_from([-1, 0, 1, -1.0, 1.0]), outcome=st.sampled_from([*Outcome, None]))
def test_every_outcome_but_unknown_may_be_posted(feedback: float, outcome: Outcome | None) -> None:
    from hybrid_coordinator.api.learning_schemas import OutcomeRequest
    from hybrid_coordinator.errors import InvalidRequest

    body = {"outcome": None if outcome is None else outcome.value, "user_feedback": feedback}
    if outcome is Outcome.UNKNOWN:
        with pytest.raises(InvalidRequest):
            validate(OutcomeRequest, body)
    else:
        assert validate(OutcomeRequest, body).to_record() == PostedOutcome(outcome, int(feedback))


def test_the_words_that_may_be_posted_are_those_of_the_records() -> None:
    assert {Outcome(word) for word in get_args(PostableOutcome)} == {*Outcome} - {Outcome.UNKNOWN}
    assert {OutcomeSource(word) for word in get_args(PostableSource)} == {*POSTED_SOURCES}


@pytest.mark.parametrize(
    "id_", ["x", "0190f7a0", TRACKED_ID + "0", TRACKED_ID.replace("-", ""), "%00", "0190f7a0%0A"]
)
@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [("GET", "", None), ("DELETE", "", None), ("POST", "/outcome", {"outcome": "success"})],
)
async def test_an_id_that_is_none_is_404_and_names_the_field(
    id_: str, method: str, rest: str, body: dict[str, object] | None
) -> None:
    async with client(edge()) as http:
        answer = await http.request(method, f"/v1/interactions/{id_}{rest}", json=body)
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "interaction_id"


async def test_an_unknown_interaction_is_never_updated_lesson_25() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        answers = [
            await http.post(OUTCOME, json={"outcome": "success"}),
            await http.get(f"/v1/interactions/{TRACKED_ID}"),
            await http.delete(f"/v1/interactions/{TRACKED_ID}"),
        ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert gateway.said == {}


async def test_each_caller_has_interactions_of_its_own() -> None:
    gateway = ScriptedGateway()
    app = edge(gateway, keys=KEYS)
    async with client(app, authorization=f"Bearer {ALICE}") as alice:
        await tracked(alice)
        own = await alice.get(f"/v1/interactions/{TRACKED_ID.upper()}")
    async with client(app, authorization=f"Bearer {BOB}") as bob:
        foreign = await bob.get(f"/v1/interactions/{TRACKED_ID}")
    assert own.json()["payload"]["query"] == "Why?"
    assert own.json()["id"] == TRACKED_ID
    assert foreign.status_code == 404


async def test_forgetting_says_what_was_removed_where() -> None:
    async with client(edge()) as http:
        await tracked(http)
        answer = await http.delete(f"/v1/interactions/{TRACKED_ID}")
        again = await http.delete(f"/v1/interactions/{TRACKED_ID}")
    assert answer.json() == {
        "interaction_id": TRACKED_ID,
        "removed": {"interaction-history": 1, "patterns": 2},
    }
    assert again.status_code == 404


@pytest.mark.parametrize("path", ["/v1/interactions", OUTCOME])
async def test_a_full_outbox_is_503_and_says_when_to_come_back(path: str) -> None:
    gateway = ScriptedGateway(error=OutboxFull("The outbox is full.", retry_after=7))
    body = NEW if path == "/v1/interactions" else {"outcome": "success"}
    async with client(edge(gateway)) as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "outbox_full"
    assert answer.headers["retry-after"] == "7"


async def test_training_data_needs_no_body_and_takes_a_choice() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        whole = await http.post("/v1/training-data")
        await http.post(
            "/v1/training-data",
            json={"formats": ["sharegpt", "sharegpt"], "min_score": 0.9, "validation_share": 0},
        )
        wrong = await http.post("/v1/training-data", json={"formats": ["csv"]})
    assert whole.json()["dataset_size"] == 5
    assert whole.json()["files"]["dataset.jsonl"]["examples"] == 5
    assert [call[1] for call in gateway.calls] == [
        DatasetRequest(),
        DatasetRequest((DatasetFormat.SHAREGPT,), 0.9, 0),
    ]
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "formats[0]")


async def test_extraction_is_for_operators() -> None:
    gateway = ScriptedGateway()
    app = edge(gateway, keys=KEYS, operator=OPERATOR)
    async with client(app) as http:
        refused = await http.post("/v1/patterns/extract", headers={"x-api-key": ALICE})
        assert gateway.calls == []
        done = await http.post(
            "/v1/patterns/extract", json={"limit": 3}, headers={"x-api-key": OPERATOR}
        )
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert done.json()["processed"] == 3
    assert gateway.calls == [("extract", 3)]


async def test_the_queue_is_shown_and_its_dead_letters_are_replayed() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway, keys=KEYS, operator=OPERATOR), authorization="") as http:
        http.headers["authorization"] = f"Bearer {OPERATOR}"
        shown = (await http.get("/v1/patterns/queue?limit=7")).json()
        one = await http.post("/v1/patterns/queue/replay", json={"ids": [DEAD_ID.upper()]})
        every = await http.post("/v1/patterns/queue/replay")
    assert (shown["waiting"], shown["dead"]) == (1, 1)
    assert shown["entries"][0]["interaction_id"] == TRACKED_ID
    assert shown["dead_letters"][0]["reason"] == "it was no JSON"
    assert one.json() == every.json() == {"replayed": 1}
    assert gateway.calls == [
        ("queue", 7, OPERATOR_CALLER),
        ("replay", (DEAD_ID,), OPERATOR_CALLER),
        ("replay", (), OPERATOR_CALLER),
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("size=1", "query"),
    ],
)
async def test_a_wrong_query_of_the_queue_is_400(query: str, field: str) -> None:
    async with client(edge()) as http:
        answer = await http.get(f"/v1/patterns/queue?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


async def test_experiments_are_listed_and_what_is_not_known_is_null_lesson_13() -> None:
    async with client(edge()) as http:
        answer = (await http.get("/v1/experiments")).json()
    plain, short = answer["experiments"][0]["variants"]
    assert answer["experiments"][0]["winner"] == "short-prompt"
    assert plain["tokens_mean"] is None
    assert short["tokens_mean"] == 812.5
