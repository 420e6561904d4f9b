"""The key: equal for equal requests, different for any difference that can change the answer."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.cache.key import (
    IRRELEVANT,
    cache_key,
    caller_digest,
    partition_at,
    question_digest,
)
from hybrid_coordinator.conversation import Caller, ChatRequest, Dialect, Json
from hybrid_coordinator.settings import Collection
from tests.unit.cache.cache_parts import ALICE, BOB, request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.text(min_size=1).filter(lambda name: name not in {*IRRELEVANT, "model", "n"}),
    JSON.filter(lambda value: value is not False),
    max_size=4,
)


def asked(body: Json, *, native: Json | None = None, caller: Caller = ALICE) -> ChatRequest:
    return ChatRequest(Dialect.OPENAI, body, caller, "i-1", native=native)


def exact(body: Json, **more: Any) -> str:
    return cache_key(asked(body, **more), "e").exact


def body(**fields: Any) -> Json:
    return {"model": "auto", "messages": [{"role": "user", "content": "hello"}], **fields}


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def floats_for_ints(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: floats_for_ints(item) for name, item in value.items()}
    if isinstance(value, list):
        return [floats_for_ints(item) for item in value]
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    return float(value) if whole else value


@settings(max_examples=60)
@given(FIELDS)
def test_lesson_18_the_order_of_fields_does_not_matter(fields: Json) -> None:
    assert exact(body(**fields)) == exact(reordered(body(**fields)))


@settings(max_examples=60)
@given(FIELDS)
def test_whole_numbers_are_equal_as_int_and_as_float(fields: Json) -> None:
    assert exact(body(**fields)) == exact(floats_for_ints(body(**fields)))


@settings(max_examples=60)
@given(FIELDS)
def test_lesson_18_equal_requests_have_equal_keys_and_stay_unchanged(fields: Json) -> None:
    one = body(**fields)
    before = copy.deepcopy(one)
    assert exact(one) == exact(copy.deepcopy(one))
    assert repr(one) == repr(before)


@settings(max_examples=60)
@given(FIELDS, FIELDS)
def test_requests_that_differ_in_any_field_have_different_keys(one: Json, two: Json) -> None:
    def written(fields: Json) -> str:
        return json.dumps(floats_for_ints(fields), sort_keys=True)

    equal = written(one) == written(two)
    # -0.0 is the number 0: equal though it is written in another way.
    if not equal and "-0.0" not in written(one) + written(two):
        assert exact(body(**one)) != exact(body(**two))


@settings(max_examples=60)
@given(st.text(), st.text())
def test_questions_that_differ_share_the_partition_only(one: str, two: str) -> None:
    first, second = (cache_key(request(text), "e") for text in (one, two))
    assert first.partition == second.partition
    assert first.caller == second.caller
    assert (first.exact == second.exact) == (one == two)
    assert (first.question == second.question) == (one == two)


def test_lesson_18_keys_are_the_same_in_another_process_and_another_year() -> None:
    key = cache_key(request("What is NixOS?", temperature=0.5, tools=[{"b": 1, "a": 2}]), "e")
    script = (
        "from tests.unit.cache.cache_parts import request\n"
        "from hybrid_coordinator.cache.key import cache_key\n"
        "asked = request('What is NixOS?', tools=[{'a': 2.0, 'b': 1}], temperature=0.5)\n"
        "print(cache_key(asked, 'e').member)"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": path},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert printed.strip() == key.member
    # Written down: a change of this value throws away everybody's cache, so raise the form.
    assert cache_key(request("What is NixOS?"), "e").exact == "cb80f28480c83a0f8e97227521d41762"


HASHED_APART = {"messages", "max_tokens", "max_completion_tokens"}


@pytest.mark.parametrize("name", sorted(IRRELEVANT.keys() - HASHED_APART))
def test_fields_that_cannot_change_the_answer_are_left_out(name: str) -> None:
    assert exact(body(**{name: "x"})) == exact(body())


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.2},
        {"top_p": 0.9},
        {"seed": 7},
        {"stop": ["\n"]},
        {"max_tokens": 10},
        {"presence_penalty": 1},
        {"logit_bias": {"50256": -100}},
        {"tools": [{"type": "function", "function": {"name": "clock"}}]},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "low"},
        {"a_field_of_the_future": True},
        {"model": "small"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_fields_that_can_change_the_answer_change_key_and_partition(fields: Json) -> None:
    plain, changed = cache_key(asked(body()), "e"), cache_key(asked({**body(), **fields}), "e")
    assert plain.exact != changed.exact
    assert plain.partition != changed.partition


def test_documented_defaults_are_the_same_as_absent() -> None:
    assert exact(body(n=1, logprobs=False, store=False)) == exact(body())
    without_model = {"messages": body()["messages"]}
    assert exact(without_model) == exact(body())


def test_both_names_of_the_output_limit_are_one() -> None:
    old, new = exact(body(max_tokens=9)), exact(body(max_completion_tokens=9.0))
    assert old == new == exact(body(max_tokens=9, max_completion_tokens=9))
    assert exact(body(max_tokens=None)) == exact(body())
    assert exact(body(max_tokens=9, max_completion_tokens=8)) not in {old, exact(body())}


def test_a_single_text_part_is_the_text() -> None:
    parts = {
        "model": "auto",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    }
    assert exact(parts) == exact(body())
    parts["messages"][0]["content"][0]["cache_control"] = {"type": "ephemeral"}  # type: ignore[index]
    assert exact(parts) != exact(body())


def test_callers_agents_and_embedders_are_apart() -> None:
    plain = cache_key(request(), "e")
    bobs = cache_key(request(caller=BOB), "e")
    assert {plain.exact, plain.partition, plain.caller}.isdisjoint(
        {bobs.exact, bobs.partition, bobs.caller}
    )
    coder = request()
    coder.agent_type = "coder"
    assert cache_key(coder, "e").exact != plain.exact
    other = cache_key(request(), "another embedder")
    assert (other.exact, other.partition == plain.partition) == (plain.exact, False)


def test_text_cannot_move_from_one_message_into_the_next() -> None:
    def key(*messages: tuple[str, str]) -> str:
        return exact({"messages": [{"role": r, "content": c} for r, c in messages]})

    assert key(("system", "a"), ("user", "b")) != key(("system", "ab"), ("user", ""))
    assert key(("system", "a"), ("user", "b")) != key(("user", "a"), ("user", "b"))
    assert key(("user", "a"), ("assistant", "b")) != key(("user", "b"), ("assistant", "a"))
    assert key(("user", "a")) != key(("user", "a"), ("user", "a"))


def test_the_clients_own_body_counts_as_soon_as_it_says_more_than_the_canonical_one() -> None:
    native = {
        "model": "auto",
        "max_tokens": 9,
        "system": "",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "metadata": {"user_id": "u"},
        "stream": True,
    }
    plain = exact(body(max_tokens=9))
    assert exact(body(max_tokens=9), native=native) == plain
    for more in (
        {"top_k": 5},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"messages": [{"role": "user", "content": [{"type": "document", "title": "x"}]}]},
        {"system": [{"type": "text", "text": "s", "citations": {"enabled": True}}]},
    ):
        told = exact(body(max_tokens=9), native={**native, **more})
        assert told != plain
        assert told == exact(body(max_tokens=9), native={**native, **more, "stream": False})


@pytest.mark.parametrize("odd", [2**80, -(2**70), "\ud800", float("nan"), float("inf"), 1e300])
def test_what_json_can_hardly_say_is_still_hashed_apart(odd: Any) -> None:
    assert exact(body(seed=odd)) == exact(body(seed=odd))
    assert exact(body(seed=odd)) != exact(body(seed=None))
    assert exact(body(seed=odd)) != exact(body(seed=repr(odd)))


def test_the_bodies_as_parsed_from_other_bytes_have_the_same_key() -> None:
    spaced = b'{ "messages" : [ {"content":"h\\u00e9llo", "role":"user"} ], "temperature": 1.0 }'
    dense = '{"temperature":1,"messages":[{"role":"user","content":"h\u00e9llo"}]}'.encode()
    assert exact(orjson.loads(spaced)) == exact(orjson.loads(dense))


def test_a_member_is_found_by_its_callers_and_its_questions_digest() -> None:
    key = cache_key(request("What is NixOS?"), "e")
    assert key.member == caller_digest(ALICE.id) + question_digest("What is NixOS?") + key.exact
    assert len(key.member) == 64


def test_lesson_19_a_partition_moves_with_every_version() -> None:
    versions = dict.fromkeys(Collection, 0)
    here = partition_at("p", versions)
    assert here == partition_at("p", dict(reversed(versions.items())))
    assert here != partition_at("q", versions)
    for collection in Collection:
        assert partition_at("p", {**versions, collection: 1}) != here
