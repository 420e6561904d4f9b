"""What is sent to a Qdrant server at once, where it is sent, and its refusals in words."""

from __future__ import annotations

import uuid

import httpx
import numpy as np
import pytest
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from hybrid_coordinator.knowledge.qdrant_points import struct
from hybrid_coordinator.knowledge.qdrant_wire import batches, in_words, server_client, status
from hybrid_coordinator.knowledge.store import Point, SparseVector

MIB = 1024 * 1024


def point(number: int, text: str = "", size: int = 8) -> Point:
    vector = np.full(size, -1.2345678e-05, dtype=np.float32)
    words = SparseVector(tuple(range(2**32 - size, 2**32)), (1.2345678901234567e-05,) * size)
    return Point(str(uuid.UUID(int=number)), vector, words, {"text": text})


def refusal(code: int, content: bytes) -> UnexpectedResponse:
    return UnexpectedResponse(code, "Some Reason", content, httpx.Headers())


def test_small_points_go_256_at_a_time_in_their_order() -> None:
    points = [point(n) for n in range(600)]
    sizes = [len(batch) for batch in batches(points)]
    assert sizes == [256, 256, 88]
    assert [one for batch in batches(points) for one in batch] == points


def test_nothing_is_sent_for_no_points() -> None:
    assert list(batches([])) == []


@pytest.mark.parametrize("text", ["x" * MIB, "é" * MIB, "数" * MIB, '"\n\x01' * MIB])
def test_no_request_exceeds_half_of_what_qdrant_takes(text: str) -> None:
    for batch in batches([point(n, text, size=384) for n in range(30)]):
        sent = sum(
            len(struct(one).model_dump_json(exclude_none=True).encode()) + 1 for one in batch
        )
        assert sent <= 16 * MIB or len(batch) == 1


def test_a_point_too_large_for_any_request_is_sent_alone_for_the_server_to_refuse() -> None:
    points = [point(1), point(2, "x" * 40 * MIB), point(3)]
    assert [len(batch) for batch in batches(points)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refusal(400, b'{"status":{"error":"Wrong input: no."}}'), "status 400: Wrong input: no"),
        (
            refusal(401, b"Must provide an API key"),
            "it refuses the key (status 401: Must provide an API key); check qdrant.api_key_file",
        ),
        (refusal(502, b"<html>\n bad  gateway</html>"), "status 502: <html> bad gateway</html>"),
        (refusal(503, b""), "status 503: Some Reason"),
        (refusal(500, b'["unexpected"]'), 'status 500: ["unexpected"]'),
        (ResponseHandlingException(httpx.ConnectError("no route")), "no route"),
        (ResponseHandlingException(httpx.ReadTimeout("")), "ReadTimeout"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_failure_is_told_in_the_servers_own_words(error: Exception, words: str) -> None:
    assert in_words(error) == words


def test_only_an_answer_has_a_status() -> None:
    assert status(refusal(404, b"")) == 404
    assert status(ResponseHandlingException(httpx.ConnectError("no route"))) is None


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [
        ("http://stores:6333", "http://stores:6333"),
        ("http://stores", "http://stores:80"),
        ("https://qdrant.example.com", "https://qdrant.example.com:443"),
        ("https://example.com/qdrant", "https://example.com:443/qdrant"),
    ],
)
async def test_a_url_without_a_port_means_its_schemes_own(url: str, sent_to: str) -> None:
    client = server_client(url, None, 5.0)
    assert client.http.client.host == sent_to
    await client.close()
