"""The lists of interactions and patterns over HTTP: parameters, answers, refusals."""

from __future__ import annotations

import pytest

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.records import LearnedRef, Outcome
from hybrid_coordinator.learning.view_records import InteractionQuery, PatternQuery
from hybrid_coordinator.settings import Collection
from tests.unit.api.scripted import ALICE, KEYS, ScriptedGateway, client, edge
from tests.unit.api.scripted_views import LISTED_ID, PATTERN_ID

STATUS = f"/v1/patterns/skills-patterns/{PATTERN_ID}/status"


async def test_a_list_of_interactions_is_asked_for_with_its_parameters() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway, keys=KEYS), authorization=f"Bearer {ALICE}") as caller:
        found = await caller.get(
            "/v1/interactions?query=unit&limit=7&before=170.5_x&outcome=success&route=local"
        )
        assert found.status_code == 200
        assert found.json()["items"][0]["id"] == LISTED_ID
        assert found.json()["next"] == "1700000000.0_x"
    (_, wanted, who) = gateway.calls[0]
    assert wanted == InteractionQuery("unit", 7, "170.5_x", Outcome.SUCCESS, "local")
    assert getattr(who, "name", None) == "alice"


async def test_a_field_of_a_form_that_was_left_empty_asks_for_nothing() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as caller:
        assert (await caller.get("/v1/interactions?query=&outcome=&route=")).status_code == 200
        assert (await caller.get("/v1/patterns?status=")).status_code == 200
    assert gateway.calls[0][1] == InteractionQuery()
    assert gateway.calls[1][1] == PatternQuery()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("outcome=great", "outcome"),
        ("limit=1&limit=2", "limit"),
        ("key=abc", "query"),
        (f"before={'1' * 200}", "before"),
    ],
)
async def test_a_wrong_parameter_is_named(query: str, field: str) -> None:
    async with client(edge()) as caller:
        answer = await caller.get(f"/v1/interactions?{query}")
        assert answer.status_code in (400, 422)
        assert answer.json()["error"]["param"] == field


async def test_a_store_that_is_away_is_said() -> None:
    gateway = ScriptedGateway(error=StoreUnavailable("Qdrant does not answer."))
    async with client(edge(gateway)) as caller:
        answer = await caller.get("/v1/interactions")
        assert answer.status_code == 503
        assert "Qdrant" in answer.json()["error"]["message"]


async def test_the_whole_way_of_one_interaction() -> None:
    async with client(edge()) as caller:
        answer = await caller.get(f"/v1/interactions/{LISTED_ID}/steps")
        assert answer.json()["interaction"]["payload"] == {"query": "Why is the unit failed?"}
        assert answer.json()["events"][0]["type"] == "routing_decision"
        assert answer.json()["context"][0]["id"] == PATTERN_ID
        missing = await caller.get("/v1/interactions/nothing/steps")
        assert missing.status_code == 404


async def test_a_pattern_is_retired_and_restored_by_its_place() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as caller:
        answer = await caller.post(STATUS, json={"status": "retired"})
        assert answer.json() == {
            "collection": "skills-patterns",
            "id": PATTERN_ID,
            "status": "retired",
            "changed": True,
        }
    ref = LearnedRef(Collection.SKILLS_PATTERNS, PATTERN_ID)
    assert gateway.calls[0][:3] == ("pattern_status", ref, PatternStatus.RETIRED)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (STATUS, {"status": "gone"}, 400),
        (STATUS, {}, 400),
        (STATUS, {"status": "retired", "more": 1}, 400),
        (f"/v1/patterns/interaction-history/{PATTERN_ID}/status", {"status": "retired"}, 404),
        (f"/v1/patterns/nothing/{PATTERN_ID}/status", {"status": "retired"}, 404),
        ("/v1/patterns/skills-patterns/x/status", {"status": "retired"}, 404),
    ],
)
async def test_a_wrong_place_or_status_is_refused(
    path: str, body: dict[str, object], status: int
) -> None:
    async with client(edge()) as caller:
        assert (await caller.post(path, json=body)).status_code == status


async def test_patterns_are_filtered_by_status_and_collection() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as caller:
        path = "/v1/patterns?status=trusted&collection=best-practices&query=port&limit=3"
        answer = await caller.get(path)
        assert answer.json()["items"][0]["source_interactions"] == [LISTED_ID]
        wrong = await caller.get("/v1/patterns?collection=interaction-history")
        assert wrong.status_code == 400
    wanted = PatternQuery("port", 3, None, PatternStatus.TRUSTED, Collection.BEST_PRACTICES)
    assert gateway.calls[0][1] == wanted
