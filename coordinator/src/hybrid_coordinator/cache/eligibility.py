"""Which requests the cache may answer: one rule set for the exact tier, a stricter one for the
semantic tier.

The exact tier takes every request by default, whatever its temperature: an equal request gets an
equal answer, and a client that wants another one says so (``Cache-Control: no-cache``) or changes
the seed. Not for judging answers (see ``storable``) or for telling questions apart (``guard``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hybrid_coordinator.conversation import ChatRequest

MAX_QUESTION_CHARACTERS = 2_000
MAX_CODE_CHARACTERS = 400
"""Longer code in a question means what it says to the letter; similarity cannot judge it."""

_CLIENT_TOOLS = frozenset({"function", "custom", None})


class Eligibility(NamedTuple):
    """Whether a tier may serve the request, and if not, why."""

    ok: bool
    why: str | None = None


_YES = Eligibility(ok=True)


def exact_eligible(request: ChatRequest) -> Eligibility:
    """Whether an equal request may be answered with an earlier answer."""
    body = request.body
    if _number(body.get("n")) > 1:
        return Eligibility(False, "several answers were asked for (n)")
    if body.get("logprobs") or body.get("top_logprobs"):
        return Eligibility(False, "log probabilities were asked for")
    if body.get("store"):
        return Eligibility(False, "the provider shall store the answer (store)")
    if body.get("audio") or set(_list(body.get("modalities"))) - {"text"}:
        return Eligibility(False, "an answer other than text was asked for")
    if body.get("web_search_options") is not None:
        return Eligibility(False, "a live search was asked for")
    native = request.native or {}
    if native.get("mcp_servers") or native.get("container"):
        return Eligibility(False, "the provider calls tools of its own")
    tools = [*_list(body.get("tools")), *_list(native.get("tools"))]
    if any(isinstance(t, dict) and t.get("type") not in _CLIENT_TOOLS for t in tools):
        return Eligibility(False, "the provider calls tools of its own")
    return _YES


def semantic_eligible(request: ChatRequest) -> Eligibility:
    """Whether a question that means the same may lend its answer; implies ``exact_eligible``."""
    exact = exact_eligible(request)
    if not exact.ok:
        return exact
    if request.uses_tools:
        return Eligibility(False, "tools are in use")
    if request.has_images:
        return Eligibility(False, "not text alone")
    roles = [m.get("role") for m in request.messages]
    if roles.count("user") != 1 or roles[-1] != "user":
        return Eligibility(False, "not a single question")
    if set(roles) - {"user", "system", "developer"}:
        return Eligibility(False, "an earlier turn of the conversation counts")
    question = request.question
    if not question.strip():
        return Eligibility(False, "the question is empty")
    if len(question) > MAX_QUESTION_CHARACTERS:
        return Eligibility(False, "the question is long")
    if _longest_code(question) > MAX_CODE_CHARACTERS:
        return Eligibility(False, "the question holds a long piece of code")
    return _YES


def _longest_code(text: str) -> int:
    """Characters of the longest fenced or indented block of code."""
    fenced = text.split("```")[1::2]
    longest = max((len(block) for block in fenced), default=0)
    indented = 0
    for line in text.split("\n"):
        indented = indented + len(line) + 1 if line.startswith(("    ", "\t")) else 0
        longest = max(longest, indented)
    return longest


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else 0
