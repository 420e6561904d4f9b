"""What a backend's complaints become: the client's business, the operator's, or somebody else's."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.errors import (
    BackendError,
    BackendOverloaded,
    BackendRejected,
    BackendUnavailable,
)
from hybrid_coordinator.inference.upstream_errors import (
    BackendContextTooLong,
    BackendLacks,
    retry_after,
    upstream_error,
)


def error(status: int, body: object = None, **headers: str) -> BackendError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return upstream_error("b", status, orjson.dumps(body), named, secret="sk-secret")


def test_a_400_is_passed_on_with_the_backends_own_words_and_field() -> None:
    body = {"error": {"message": "bad schema", "param": "tools[0]", "type": "invalid"}}
    refused = error(400, body)
    assert isinstance(refused, BackendRejected)
    assert (refused.status, refused.field, refused.retryable) == (400, "tools[0]", False)
    assert "bad schema" in refused.message


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_is_the_operators_business_and_names_the_key_file(status: int) -> None:
    refused = error(status, {"error": {"message": "Incorrect API key provided: sk-secret"}})
    assert isinstance(refused, BackendUnavailable)
    assert refused.status == 503
    assert "backends.b.api_key_file" in refused.message
    assert not refused.retryable
    assert "sk-secret" not in refused.message


def test_a_key_that_an_error_body_repeats_does_not_get_into_the_message() -> None:
    assert "sk-secret" not in error(400, {"error": {"message": "no sk-secret here"}}).message


@pytest.mark.parametrize("status", [429, 503, 529])
def test_an_overloaded_backend_keeps_its_wish_for_a_pause(status: int) -> None:
    busy = error(status, {"error": {"message": "slow down"}}, retry_after="7")
    assert isinstance(busy, BackendOverloaded)
    assert busy.retry_after == 7.0
    assert busy.retryable


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504])
def test_a_failing_backend_may_be_asked_again(status: int) -> None:
    failed = error(status)
    assert isinstance(failed, BackendUnavailable)
    assert failed.retryable


def test_a_missing_model_is_only_this_backends_lack() -> None:
    assert isinstance(error(404, {"error": {"message": "no such model"}}), BackendLacks)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "m", "code": "context_length_exceeded"}},
        {"error": {"message": "m", "type": "exceed_context_size_error", "code": 400}},
        {"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}},
        {"error": {"message": "This model's maximum context length is 8192 tokens."}},
        {"error": "request (5010 tokens) exceeds the available context size (2048 tokens)"},
    ],
)
def test_a_prompt_over_the_context_is_recognised_in_every_servers_words(body: object) -> None:
    assert isinstance(error(400, body), BackendContextTooLong)


def test_an_html_page_of_a_proxy_is_not_quoted() -> None:
    page = upstream_error("b", 502, b"<html>secret layout</html>", {})
    assert "html" not in page.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Mon, 23 Nov 2026 18:00:10 GMT"}, 10.0),
        ({"retry-after": "Mon, 23 Nov 2026 17:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_the_wish_for_a_pause_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, 1795456800.0) == seconds


@given(st.integers(400, 599), st.binary(max_size=200), st.text(max_size=20))
def test_no_body_and_no_header_whatever_breaks_the_mapping(
    status: int, body: bytes, header: str
) -> None:
    mapped = upstream_error("b", status, body, {"retry-after": header}, secret="sk-secret")
    assert mapped.backend == "b"
    assert mapped.status != 401
