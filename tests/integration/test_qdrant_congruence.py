"""The stand-in of Qdrant answers as the server does.

Each exchange is asserted of the stand-in and, where QDRANT_BIN names it, of the real server, so
the stand-in cannot drift from it. What the product makes of a server is ``test_knowledge_server``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.testbed import qdrant as handle
from tests.testbed.qdrant import QdrantServer, qdrant_server
from tests.testbed.requirement import require

VECTORS = {"vectors": {"d": {"size": 2, "distance": "Cosine"}}, "sparse_vectors": {"w": {}}}
PAYLOAD = {"n": 1, "none": None, "tags": ["a", "b"]}
ONE = {"id": 1, "vector": {"d": [3, 4]}, "payload": PAYLOAD}
TWO = {"id": "00000000-0000-0000-0000-000000000002", "vector": {"d": [1, 0]}}
NEAR = {"query": [1, 0], "using": "d"}
BY_TAG = {"must": [{"key": "tags", "match": {"any": ["b", "z"]}}]}
NONE_OF = {"must": [{"min_should": {"conditions": [], "min_count": 1}}]}

Exchange = tuple[str, str, object, int, object]
EXCHANGES: list[Exchange] = [
    ("GET", "/collections", None, 200, {"collections": []}),
    ("GET", "/collections/c/exists", None, 200, {"exists": False}),
    ("GET", "/collections/c", None, 404, "Not found: Collection `c` doesn't exist!"),
    ("DELETE", "/collections/c", None, 200, False),
    ("PUT", "/collections/c", VECTORS, 200, True),
    ("PUT", "/collections/c", VECTORS, 409, "Wrong input: Collection `c` already exists!"),
    ("GET", "/collections", None, 200, {"collections": [{"name": "c"}]}),
    ("PUT", "/collections/c/points?wait=true", {"points": [ONE, TWO]}, 200, "completed"),
    ("PUT", "/collections/c/points?wait=false", {"points": [ONE]}, 200, "acknowledged"),
    (
        "PUT",
        "/collections/c/index?wait=true",
        {"field_name": "n", "field_schema": "integer"},
        200,
        "completed",
    ),
    ("POST", "/collections/c/points/count", {"exact": True}, 200, {"count": 2}),
    ("POST", "/collections/c/points/count", {"filter": BY_TAG}, 200, {"count": 1}),
    ("POST", "/collections/c/points/count", {"filter": NONE_OF}, 200, {"count": 0}),
    (
        "POST",
        "/collections/c/points/count",
        {"filter": {"must": [{"has_id": []}]}},
        200,
        {"count": 0},
    ),
    (
        "POST",
        "/collections/c/points",
        {"ids": [1, 99], "with_vector": ["d"], "with_payload": True},
        200,
        [{"id": 1, "payload": PAYLOAD, "vector": {"d": [0.6, 0.8]}}],
    ),
    ("POST", "/collections/c/points", {"ids": [1]}, 200, [{"id": 1}]),
    (
        "POST",
        "/collections/c/points/scroll",
        {"limit": 1},
        200,
        {"points": [{"id": 1, "payload": PAYLOAD}], "next_page_offset": TWO["id"]},
    ),
    (
        "POST",
        "/collections/c/points/scroll",
        {"limit": 5, "offset": TWO["id"]},
        200,
        {"points": [{"id": TWO["id"], "payload": {}}], "next_page_offset": None},
    ),
    ("POST", "/collections/c/points/scroll", {"limit": 0}, 422, "[scroll_request.limit: value 0"),
    ("POST", "/collections/c/points/scroll", {"limit": "x"}, 400, "Format error in JSON body"),
    (
        "POST",
        "/collections/c/points/query",
        {**NEAR, "with_vector": True},
        200,
        [
            {"id": TWO["id"], "score": 1.0, "vector": {"d": [1.0, 0.0]}},
            {"id": 1, "score": 0.6, "vector": {"d": [0.6, 0.8]}},
        ],
    ),
    (
        "POST",
        "/collections/c/points/query/batch",
        {"searches": [{**NEAR, "filter": BY_TAG, "with_payload": True}]},
        200,
        [[{"id": 1, "score": 0.6, "payload": PAYLOAD}]],
    ),
    (
        "POST",
        "/collections/c/points/query",
        {"query": {"indices": [1], "values": [1.0]}, "using": "w"},
        200,
        [],
    ),
    ("POST", "/collections/c/points/query", {**NEAR, "query": [1]}, 400, "expected dim: 2, got 1"),
    (
        "POST",
        "/collections/c/points/query",
        {**NEAR, "using": "x"},
        400,
        "Not existing vector name",
    ),
    ("POST", "/collections/c/points/query", {**NEAR, "limit": 0}, 422, "[internal.limit: value 0"),
    (
        "POST",
        "/collections/c/points/payload?wait=true",
        {"payload": {"n": 2}, "points": [1]},
        200,
        "completed",
    ),
    (
        "POST",
        "/collections/c/points",
        {"ids": [1], "with_payload": True},
        200,
        [{"id": 1, "payload": {**PAYLOAD, "n": 2}}],
    ),
    (
        "PUT",
        "/collections/c/points?wait=true",
        {"points": [{"id": 3, "vector": {"d": [1, 0]}}, {"id": 4, "vector": {"d": [1, 0, 0]}}]},
        400,
        "Wrong input: Vector dimension error: expected dim: 2, got 3 for vector 'd'",
    ),
    ("POST", "/collections/c/points", {"ids": [3, 4]}, 200, []),
    (
        "PUT",
        "/collections/c/points?wait=true",
        {"points": [{"id": 3, "vector": {"x": [1, 0]}}]},
        400,
        "Not existing vector name error: x",
    ),
    (
        "PUT",
        "/collections/c/points?wait=true",
        {"points": [{"id": "three", "vector": {"d": [1, 0]}}]},
        400,
        "Format error in JSON body: value three is not a valid point ID",
    ),
    ("PUT", "/collections/c/points", b'{"points": [', 400, "Format error in JSON body"),
    ("PUT", "/collections/x/points", {"points": [ONE]}, 404, "Not found: Collection `x`"),
    (
        "POST",
        "/collections/c/points/delete?wait=true",
        {"filter": BY_TAG},
        200,
        "completed",
    ),
    ("POST", "/collections/c/points/count", {}, 200, {"count": 1}),
    ("GET", "/collections/", None, 200, {"collections": [{"name": "c"}]}),
    ("PUT", "/collections/c/index", {"field_name": "n"}, 400, "Can't auto-detect field type"),
    ("POST", "/collections/c/points/payload", {"payload": {}}, 400, "Either list of point ids"),
    ("POST", "/collections/c/points/delete?wait=true", {"points": [7]}, 200, "completed"),
    ("DELETE", "/collections/c", None, 200, True),
    ("GET", "/no/such/path", None, 404, None),
]


@pytest.fixture(scope="module", params=["stand-in", "real"])
def server(request: pytest.FixtureRequest) -> Iterator[QdrantServer]:
    require("qdrant")
    if request.param == "real" and not os.environ.get(handle.VARIABLE):
        pytest.skip(f"set {handle.VARIABLE} to Qdrant's binary to compare the stand-in with it")
    with qdrant_server(stand_in=request.param == "stand-in") as started:
        yield started


def said(result: Any) -> object:
    """The parts of an answer that servers must agree on: no versions, numbers or defaults."""
    if isinstance(result, list):
        return [said(one) for one in result]
    if not isinstance(result, dict):
        return result
    if "operation_id" in result:
        return result["status"]
    if "points" in result and "next_page_offset" not in result:
        return said(result["points"])
    return {
        key: round(value, 5) if key == "score" else rounded(value) if key == "vector" else value
        for key, value in result.items()
        if key != "version"
    }


def rounded(vectors: dict[str, Any]) -> dict[str, Any]:
    return {name: [round(x, 5) for x in v] for name, v in vectors.items() if isinstance(v, list)}


def test_every_exchange_is_answered_as_the_server_does(server: QdrantServer) -> None:
    server.clear()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for method, path, body, status, expected in EXCHANGES:
            content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            headers = {"content-type": "application/json"}
            answer = client.request(method, path, content=content, headers=headers)
            where = f"{method} {path} {body!r}: {answer.status_code} {answer.text}"
            assert answer.status_code == status, where
            if status == 200:
                told = answer.json()
                assert (told["status"], told["time"] >= 0) == ("ok", True), where
                assert expected is None or said(told["result"]) == expected, where
            elif expected is not None:
                assert str(expected) in answer.json()["status"]["error"], where


@pytest.mark.parametrize("stand_in", [True, False])
def test_a_key_opens_what_it_may_and_nothing_else(stand_in: bool) -> None:
    require("qdrant")
    if not stand_in and not os.environ.get(handle.VARIABLE):
        pytest.skip(f"set {handle.VARIABLE} to Qdrant's binary to compare the stand-in with it")
    must = (401, "Must provide an API key or an Authorization bearer token")
    wrong = (401, "Invalid API key or JWT")
    may_not = (403, "Forbidden: Global manage access is required")
    expected: list[tuple[str, str, dict[str, str], tuple[int, str]]] = [
        ("GET", "/collections", {}, must),
        ("GET", "/metrics", {}, must),
        ("GET", "/no/such/path", {}, must),
        ("GET", "/collections", {"api-key": "other"}, wrong),
        ("GET", "/collections", {"authorization": "Bearer other"}, wrong),
        ("GET", "/collections", {"authorization": "Bearer right"}, (200, "collections")),
        ("PUT", "/collections/c", {"api-key": "reader"}, may_not),
        ("GET", "/collections", {"api-key": "reader"}, (200, "collections")),
        ("PUT", "/collections/c", {"api-key": "right"}, (200, "true")),
        ("PUT", "/collections/c/points", {"api-key": "reader"}, may_not),
        ("DELETE", "/collections/c", {"api-key": "reader"}, may_not),
        ("GET", "/", {}, (200, "qdrant")),
        ("GET", "/readyz", {}, (200, "ready")),
    ]
    with qdrant_server(stand_in=stand_in, api_key="right", read_only_api_key="reader") as server:
        for method, path, headers, (status, text) in expected:
            body = {"points": [ONE]} if path.endswith("points") else VECTORS
            answer = httpx.request(method, server.url + path, headers=headers, json=body)
            assert (answer.status_code, text in answer.text) == (status, True), answer.text


def test_the_paths_that_health_checks_ask_answer_in_plain_text(server: QdrantServer) -> None:
    for path, text in {"/healthz": "passed", "/livez": "passed", "/readyz": "ready"}.items():
        answer = httpx.get(server.url + path)
        assert (answer.status_code, text in answer.text) == (200, True)
    assert httpx.get(server.url).json()["title"] == "qdrant - vector search engine"
    assert "\ncollections_total " in httpx.get(f"{server.url}/metrics").text
    assert httpx.get(f"{server.url}/telemetry").json()["result"]["app"]["name"] == "qdrant"


def test_a_body_above_the_limit_is_refused_with_both_sizes(server: QdrantServer) -> None:
    server.clear()
    httpx.put(f"{server.url}/collections/c", json=VECTORS).raise_for_status()
    body = json.dumps({"points": [{**ONE, "payload": {"text": "x" * 33 * 1024 * 1024}}]})
    headers = {"content-type": "application/json"}
    answer = httpx.put(
        f"{server.url}/collections/c/points", content=body, headers=headers, timeout=60
    )
    assert answer.status_code == 400
    assert f"({len(body)} bytes) is larger than allowed (limit: 33554432" in answer.text


def test_the_stand_in_finds_what_the_server_finds() -> None:
    if not os.environ.get(handle.VARIABLE):
        pytest.skip(f"set {handle.VARIABLE} to Qdrant's binary to compare the stand-in with it")
    random = np.random.default_rng(7)
    words = {"sparse_vectors": {"w": {"modifier": "idf"}}}
    points = [
        {
            "id": number,
            "vector": {
                "d": random.normal(size=16).tolist(),
                "w": {
                    "indices": sorted({int(w) for w in random.integers(0, 40, 6)}),
                    "values": [],
                },
            },
            "payload": {"n": int(random.integers(0, 9)), "tag": f"t{random.integers(0, 4)}"},
        }
        for number in range(400)
    ]
    for one in points:
        sparse = one["vector"]["w"]  # type: ignore[index]
        sparse["values"] = random.uniform(0.1, 2, len(sparse["indices"])).tolist()
    tag = {"must": [{"key": "tag", "match": {"any": ["t1", "t2"]}}]}
    number = {"must": [{"key": "n", "range": {"gte": 3, "lt": 7}}], "must_not": tag["must"]}
    searches: list[dict[str, Any]] = [
        {"query": random.normal(size=16).tolist(), "using": "d", "filter": chosen, "limit": 25}
        for chosen in (None, tag, number)
        for _ in range(10)
    ]
    searches += [
        {"query": {"indices": [3, 5, 8], "values": [1.0, 0.5, 2.0]}, "using": "w", "filter": chosen}
        for chosen in (None, tag, number)
    ]
    answers = []
    for stand_in in (True, False):
        with (
            qdrant_server(stand_in=stand_in) as server,
            httpx.Client(base_url=server.url, timeout=60) as client,
        ):
            config = {"vectors": {"d": {"size": 16, "distance": "Cosine"}}, **words}
            client.put("/collections/c", json=config).raise_for_status()
            client.put("/collections/c/points?wait=true", json={"points": points})
            found = client.post("/collections/c/points/query/batch", json={"searches": searches})
            answers.append(
                [
                    [(hit["id"], hit["score"]) for hit in answer["points"]]
                    for answer in found.json()["result"]
                ]
            )
    for mine, real in zip(*answers, strict=True):
        assert [id_ for id_, _ in mine] == [id_ for id_, _ in real]
        assert [score for _, score in mine] == pytest.approx([s for _, s in real], rel=1e-3)
