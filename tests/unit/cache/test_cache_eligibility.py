"""Which requests may be answered from the cache, by tier."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_coordinator.cache.eligibility import exact_eligible, semantic_eligible
from hybrid_coordinator.conversation import ChatRequest, Dialect
from tests.unit.cache.cache_parts import ALICE, request

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
TOOLS = [{"type": "function", "function": {"name": "clock"}}]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 2, "seed": 1, "n": 1, "logprobs": False, "store": False},
        {"modalities": ["text"]},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_ordinary_requests_may_be_answered_by_both_tiers(fields: dict[str, Any]) -> None:
    assert exact_eligible(request(**fields)) == (True, None)
    assert semantic_eligible(request(**fields)) == (True, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"logprobs": True},
        {"top_logprobs": 3},
        {"store": True},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "alloy"}},
        {"web_search_options": {}},
        {"tools": [{"type": "web_search"}]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_requests_of_a_kind_never_cached_are_refused_by_both_tiers(fields: dict[str, Any]) -> None:
    for judge in (exact_eligible, semantic_eligible):
        verdict = judge(request(**fields))
        assert not verdict.ok
        assert verdict.why


@pytest.mark.parametrize(
    "native",
    [
        {"mcp_servers": [{"url": "https://example.org"}]},
        {"container": "c"},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    ],
    ids=lambda native: next(iter(native)),
)
def test_tools_that_the_provider_runs_are_never_cached(native: dict[str, Any]) -> None:
    plain = request()
    asked = ChatRequest(Dialect.ANTHROPIC, plain.body, ALICE, "i", native=native)
    assert not exact_eligible(asked).ok


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    "messages",
    [
        [user("a"), {"role": "assistant", "content": "b"}, user("c")],
        [user("a"), user("b")],
        [{"role": "assistant", "content": "How can I help?"}, user("a")],
        [user("a"), {"role": "assistant", "content": "The answer is"}],
        [user([{"type": "text", "text": "What is this?"}, IMAGE])],
        [user("")],
        [user(" \n ")],
        [user("x" * 2001)],
        [user("Why?\n```\n" + "code\n" * 100 + "```")],
        [user("Why?\n\n" + "    code = 1\n" * 50)],
        [{"role": "system", "content": "s"}],
    ],
    ids=[
        *("two-turns", "two-questions", "greeting", "prefill", "image", "empty"),
        *("blank", "long", "fenced", "indented", "none"),
    ],
)
def test_only_the_exact_tier_takes_what_is_not_a_single_short_question(
    messages: list[dict[str, Any]],
) -> None:
    assert exact_eligible(request(messages=messages)).ok
    verdict = semantic_eligible(request(messages=messages))
    assert not verdict.ok
    assert verdict.why


def test_only_the_exact_tier_takes_requests_with_tools() -> None:
    assert exact_eligible(request(tools=TOOLS)).ok
    assert not semantic_eligible(request(tools=TOOLS)).ok


def test_a_system_prompt_and_short_code_are_no_obstacle() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        user([{"type": "text", "text": "What does ```ls -l``` do?"}]),
    ]
    assert semantic_eligible(request(messages=messages)).ok
