"""The endpoints beside chat: embeddings, models, knowledge, and the service's own."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from hybrid_coordinator.api.application import build_app
from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.errors import EmbeddingError
from hybrid_coordinator.gateway import KnowledgeItem
from hybrid_coordinator.settings import Collection, Settings
from tests.unit.api.scripted import ALICE, KEYS, SIZE, ScriptedGateway, client, edge

SOME_ID = "01a209ab-9b27-740b-bcd2-cb0ea1bb5007"
OTHER_ID = "01a209ab-9b27-740b-bcd2-cb0ea1bb5008"


async def test_embeddings_are_the_same_vectors_as_floats_and_as_base64() -> None:
    async with client(edge()) as http:
        floats = await http.post("/v1/embeddings", json={"input": ["a", "b"], "model": "m"})
        packed = await http.post(
            "/v1/embeddings", json={"input": ["a", "b"], "encoding_format": "base64"}
        )
    assert floats.status_code == packed.status_code == 200
    body = floats.json()
    assert body["object"] == "list"
    assert body["model"] == "bundled"
    assert body["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    for index, (plain, coded) in enumerate(zip(body["data"], packed.json()["data"], strict=True)):
        assert plain["index"] == coded["index"] == index
        vector = np.frombuffer(base64.b64decode(coded["embedding"]), dtype="<f4")
        assert vector.tolist() == plain["embedding"]
        assert vector[index] == 1.0
        assert len(vector) == SIZE


async def test_one_text_is_one_vector_and_many_are_encoded_off_the_loop() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        one = await http.post("/v1/embeddings", json={"input": "alone"})
        many = await http.post("/v1/embeddings", json={"input": [str(n) for n in range(100)]})
    assert gateway.calls[0][1] == ("alone",)
    assert len(one.json()["data"]) == 1
    assert [entry["index"] for entry in many.json()["data"]] == list(range(100))


async def test_other_dimensions_than_the_embedders_are_refused_by_name() -> None:
    async with client(edge()) as http:
        right = await http.post("/v1/embeddings", json={"input": "a", "dimensions": SIZE})
        wrong = await http.post("/v1/embeddings", json={"input": "a", "dimensions": 256})
    assert right.status_code == 200
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"] == "dimensions"
    assert str(SIZE) in wrong.json()["error"]["message"]


async def test_a_failed_embedder_is_a_503_and_never_a_zero_vector_lesson_2() -> None:
    gateway = ScriptedGateway(error=EmbeddingError("The embedder failed."))
    async with client(edge(gateway)) as http:
        answer = await http.post("/v1/embeddings", json={"input": "a"})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "embedding_failed"


async def test_models_are_listed_and_found_one_by_one() -> None:
    async with client(edge()) as http:
        listed = (await http.get("/v1/models")).json()
        for entry in listed["data"]:
            assert (await http.get(f"/v1/models/{entry['id']}")).json() == entry
        quoted = await http.get("/v1/models/org%2Flarge")
        missing = await http.get("/v1/models/nonsense")
    assert [entry["id"] for entry in listed["data"]] == ["auto", "small", "org/large"]
    assert quoted.json()["id"] == "org/large"
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"


async def test_augment_answers_with_what_the_architecture_names() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        answer = await http.post(
            "/v1/augment", json={"query": "q?", "agent_type": "coder", "token_budget": 100}
        )
        await http.post("/v1/augment", json={"query": "q?"})
    assert answer.json() == {
        "augmented_prompt": "context\nq?",
        "context_ids": ["id-1"],
        "original_query": "q?",
        "context_count": 1,
        "context_tokens": 12,
    }
    assert gateway.calls == [("augment", "q?", "coder", 100), ("augment", "q?", "generic", None)]


async def test_search_passes_collections_limit_and_filters() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        answer = await http.post(
            "/v1/search",
            json={
                "query": "q",
                "collections": ["best-practices"],
                "limit": 3,
                "filters": {"category": ["a", "b"], "endorsement_count": 2, "ok": True},
            },
        )
        await http.post("/v1/search", json={"query": "q"})
    hit = {
        "id": "id-1",
        "collection": "best-practices",
        "score": 0.5,
        "payload": {"title": "t"},
    }
    assert answer.json() == {"hits": [hit]}
    filters = {"category": ["a", "b"], "endorsement_count": 2, "ok": True}
    assert gateway.calls == [
        ("search", "q", (Collection.BEST_PRACTICES,), 3, filters),
        ("search", "q", (), 10, {}),
    ]


async def test_knowledge_is_stored_and_deleted() -> None:
    gateway = ScriptedGateway()
    items = [{"payload": {"title": "t"}}, {"payload": {"title": "u"}, "id": SOME_ID}]
    async with client(edge(gateway)) as http:
        stored = await http.post("/v1/knowledge/best-practices", json={"items": items})
        deleted = await http.delete(
            "/v1/knowledge/best-practices", params={"id": [SOME_ID, OTHER_ID]}
        )
    assert stored.json() == {"ids": ["new-0", SOME_ID]}
    assert deleted.json() == {"deleted": 2}
    stored_call, deleted_call = gateway.calls
    expected = (KnowledgeItem({"title": "t"}), KnowledgeItem({"title": "u"}, id=SOME_ID))
    assert stored_call[1:3] == (Collection.BEST_PRACTICES, expected)
    assert deleted_call == ("delete", Collection.BEST_PRACTICES, (SOME_ID, OTHER_ID))


async def test_a_vector_of_the_wrong_size_is_unprocessable_lesson_1() -> None:
    item = {"payload": {"title": "t"}, "vector": [0.5] * 768}
    async with client(edge()) as http:
        answer = await http.post("/v1/knowledge/best-practices", json={"items": [item]})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "items[0].vector"


@pytest.mark.parametrize("name", ["nonsense", "best_practices", "Best-Practices", "%00", "..%2f"])
async def test_an_unknown_collection_is_a_404_that_lists_the_five_lesson_5(name: str) -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        stored = await http.post(
            f"/v1/knowledge/{name}", json={"items": [{"payload": {"title": "t"}}]}
        )
    assert stored.status_code == 404
    assert gateway.calls == []
    if "%" not in name:
        assert all(one in stored.json()["error"]["message"] for one in Collection)


@pytest.mark.parametrize("query", ["", "?id=7", "?id=", f"?id={SOME_ID}&all=true", "?ids=7"])
async def test_a_deletion_names_ids_and_nothing_else(query: str) -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        answer = await http.delete(f"/v1/knowledge/best-practices{query}")
    assert answer.status_code == 400
    assert gateway.calls == []


async def test_invalidation_by_interaction_or_by_question() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        one = await http.post("/v1/cache/invalidate", json={"interaction_id": SOME_ID})
        other = await http.post("/v1/cache/invalidate", json={"query": "q"})
    assert one.json() == other.json() == {"evicted": 1}
    assert gateway.calls == [("invalidate", SOME_ID, None), ("invalidate", None, "q")]


async def test_health_and_ready_are_open_and_ready_names_every_part_lesson_14() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway, keys=KEYS)) as http:
        health = await http.get("/health")
        ready = await http.get("/ready")
        gateway.is_ready = False
        down = await http.get("/ready")
        still = await http.get("/health")
    assert health.status_code == still.status_code == 200
    assert ready.status_code == 200
    assert down.status_code == 503
    assert down.json() == {
        "ready": False,
        "parts": {
            "lemonade": {"state": "down", "detail": "connection refused"},
            "redis": {"state": "degraded", "detail": "no vector sets"},
        },
    }


async def test_metrics_are_prometheus_text_behind_the_key_lesson_11() -> None:
    app = edge(keys=KEYS)
    async with client(app) as http:
        assert (await http.get("/metrics")).status_code == 401
        answer = await http.get("/metrics", headers={"authorization": f"Bearer {ALICE}"})
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert "hybrid_requests" in families


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nonsense", "/api/v1/models", "/v1/models//"])
async def test_an_unknown_path_is_a_404_with_a_pointer(path: str) -> None:
    async with client(edge()) as http:
        answer = await http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]


async def test_an_unknown_path_below_messages_is_told_in_anthropics_shape() -> None:
    async with client(edge()) as http:
        answer = await http.post("/v1/messages/batches", json={})
    assert answer.status_code == 404
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/models", "GET, HEAD"),
        ("GET", "/v1/knowledge/best-practices", "DELETE, POST"),
        ("BREW", "/v1/messages", "POST"),
    ],
)
async def test_another_method_is_a_405_that_names_the_right_ones(
    method: str, path: str, allow: str
) -> None:
    async with client(edge()) as http:
        answer = await http.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow


async def test_mounted_applications_are_behind_the_same_rules() -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("inside")(scope, receive, send)

    async def page(request: object) -> PlainTextResponse:
        return PlainTextResponse("page")

    mounts = [Mount("/dashboard", app=inner), Route("/page", page)]
    gateway = ScriptedGateway()
    app = build_app(gateway, Settings(), KeyRing(KEYS), mounts=mounts)
    async with client(app) as http:
        for path, text in (("/dashboard/x", "inside"), ("/page", "page")):
            assert (await http.get(path)).status_code == 401
            answer = await http.get(path, headers={"x-api-key": ALICE})
            assert (answer.status_code, answer.text) == (200, text)
            assert answer.headers["x-hybrid-interaction-id"]
        refused = await http.post("/page", headers={"x-api-key": ALICE})
        assert refused.status_code == 405
