"""When an answer may be given again: one suite, run over each store."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from hybrid_coordinator.cache import completion_of
from hybrid_coordinator.cache.key import cache_key
from hybrid_coordinator.conversation import (
    CacheMode,
    CacheStatus,
    ChatRequest,
    Dialect,
    FinishReason,
    Tier,
    ToolCall,
)
from hybrid_coordinator.errors import InvalidRequest
from hybrid_coordinator.settings import CacheSettings, Collection, SemanticCacheSettings
from tests.unit.cache.cache_parts import ALICE, BOB, Bench, Harness, completion, request, vector


@pytest.fixture
def bench(harness: Harness) -> Bench:
    return Bench(harness.store())


class CacheContract:
    """Subclass it with a fixture ``harness``."""

    async def test_an_equal_question_gets_the_kept_answer(self, bench: Bench) -> None:
        answer = completion(extra={"annotations": [1]}, reasoning="Hm.", raw=b"{}")
        asked = request(interaction_id="i-first")
        assert (await bench.look_up(asked)).status is CacheStatus.MISS
        assert await bench.keep(asked, answer)
        hit = await bench.look_up(request())
        assert hit.status is CacheStatus.EXACT
        assert hit.entry is not None
        assert completion_of(hit.entry) == completion(extra={"annotations": [1]}, reasoning="Hm.")
        assert (hit.entry.backend, hit.entry.model) == ("local-backend", "small")
        assert (hit.entry.tier, hit.entry.cost_usd) == (Tier.LOCAL, 0.25)
        assert (hit.entry.created_at, hit.entry.interaction_id) == (1_000.0, "i-first")
        assert bench.count("hybrid_cache_entries") == 1

    async def test_streamed_or_not_is_one_entry(self, bench: Bench) -> None:
        await bench.keep(request(stream=True, stream_options={"include_usage": True}))
        assert (await bench.look_up(request())).status is CacheStatus.EXACT

    async def test_another_dialect_gets_the_same_entry(self, bench: Bench) -> None:
        await bench.keep(request(max_completion_tokens=100))
        body = {
            "model": "auto",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "What is NixOS?"}]}],
        }
        asked = ChatRequest(Dialect.ANTHROPIC, body, ALICE, "i-2", native=dict(body))
        assert (await bench.look_up(asked)).status is CacheStatus.EXACT

    async def test_callers_never_see_each_others_answers(self, bench: Bench) -> None:
        await bench.keep(request(caller=ALICE), embedding=vector(0))
        seen = await bench.look_up(request(caller=BOB), vector(0))
        assert seen.status is CacheStatus.MISS
        assert bench.guard.asked == []

    async def test_a_near_question_gets_the_answer_if_the_guard_agrees(self, bench: Bench) -> None:
        await bench.keep(request("What is NixOS?"), embedding=vector(0))
        hit = await bench.look_up(request("What's NixOS?"), vector(10))
        assert hit.status is CacheStatus.SEMANTIC
        assert hit.entry is not None
        assert hit.entry.question == "What is NixOS?"
        assert hit.similarity == pytest.approx(0.985, abs=0.01)

    async def test_lesson_17_a_question_that_the_guard_keeps_apart_is_a_miss(
        self, bench: Bench
    ) -> None:
        bench.guard.apart["How do I enable dark mode?"] = "negation"
        await bench.keep(request("How do I enable dark mode?"), embedding=vector(0))
        miss = await bench.look_up(request("How do I not enable dark mode?"), vector(1))
        assert miss.status is CacheStatus.MISS
        assert miss.entry is None
        assert "negation" in (miss.why or "")
        assert bench.count("hybrid_cache_guard_rejections_total", rule="negation") == 1

    async def test_candidates_are_examined_from_the_nearest_down(self, bench: Bench) -> None:
        bench.guard.apart["near"] = "number"
        for question, degrees in (("near", 1), ("far", 15), ("nearer than far", 8)):
            await bench.keep(request(question), embedding=vector(degrees))
        hit = await bench.look_up(request("asked"), vector(0))
        assert hit.entry is not None
        assert hit.entry.question == "nearer than far"
        assert [cached for _, cached, _ in bench.guard.asked] == ["near", "nearer than far"]

    async def test_only_the_nearest_few_are_examined(self, harness: Harness) -> None:
        settings = CacheSettings(semantic=SemanticCacheSettings(candidates=2))
        bench = Bench(harness.store(), settings=settings)
        bench.guard.bar = 2.0
        for degrees in range(5):
            await bench.keep(request(f"q{degrees}"), embedding=vector(degrees))
        await bench.look_up(request("asked"), vector(0))
        assert [cached for _, cached, _ in bench.guard.asked] == ["q0", "q1"]

    @pytest.mark.parametrize(
        "difference",
        [
            {"temperature": 0.1},
            {"model": "other"},
            {"response_format": {"type": "json_object"}},
            {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user"}]},
        ],
        ids=lambda difference: next(iter(difference)),
    )
    async def test_a_near_question_in_other_circumstances_is_a_miss(
        self, bench: Bench, difference: dict[str, Any]
    ) -> None:
        await bench.keep(request("What is NixOS?"), embedding=vector(0))
        if "messages" in difference:
            difference = {"messages": [dict(m) for m in difference["messages"]]}
            difference["messages"][-1]["content"] = "What's NixOS?"
        seen = await bench.look_up(request("What's NixOS?", **difference), vector(0))
        assert seen.status is CacheStatus.MISS
        assert bench.guard.asked == []

    async def test_lesson_17_the_next_turn_of_an_agent_is_not_answered_with_the_last(
        self, bench: Bench
    ) -> None:
        turns = [{"role": "user", "content": "go on"}]
        await bench.keep(request(messages=turns), embedding=vector(0))
        later = [*turns, {"role": "assistant", "content": "Done."}, *turns]
        seen = await bench.look_up(request(messages=later), vector(0))
        assert seen.status is CacheStatus.MISS
        assert bench.guard.asked == []

    async def test_a_semantic_hit_is_not_kept_under_the_new_question(self, bench: Bench) -> None:
        await bench.keep(request("What is NixOS?"), embedding=vector(0))
        asked = request("What's NixOS?")
        hit = await bench.look_up(asked, vector(5))
        assert hit.entry is not None
        assert not await bench.keep(asked, hit.entry.completion, vector(5), lookup=hit)
        assert (await bench.cache.look_up_exact(asked)).status is CacheStatus.MISS
        assert (await bench.look_up(asked, vector(5))).status is CacheStatus.SEMANTIC

    @pytest.mark.parametrize("numbers", [np.zeros(8), np.full(8, np.nan), np.full(8, np.inf)])
    async def test_lesson_2_a_vector_without_direction_is_neither_kept_nor_searched(
        self, bench: Bench, numbers: Any
    ) -> None:
        broken = numbers.astype(np.float32)
        assert await bench.keep(request("one"), embedding=broken)
        assert (await bench.look_up(request("two"), broken)).status is CacheStatus.MISS
        assert (await bench.look_up(request("two"), vector(0))).status is CacheStatus.MISS
        assert bench.guard.asked == []
        assert (await bench.look_up(request("one"))).status is CacheStatus.EXACT

    async def test_lesson_19_no_answer_outlives_a_change_of_the_knowledge(
        self, bench: Bench
    ) -> None:
        await bench.keep(request(), embedding=vector(0))
        await bench.cache.bump(Collection.CODEBASE_CONTEXT)
        assert (await bench.look_up(request(), vector(0))).status is CacheStatus.MISS
        assert (await bench.look_up(request("near"), vector(1))).status is CacheStatus.MISS
        assert bench.guard.asked == []
        assert await bench.keep(request(), completion("new"), vector(0))
        hit = await bench.look_up(request("near"), vector(1))
        assert hit.entry is not None
        assert hit.entry.completion.text == "new"

    async def test_a_change_of_knowledge_that_enters_no_prompt_changes_nothing(
        self, harness: Harness
    ) -> None:
        bench = Bench(harness.store(), collections=(Collection.CODEBASE_CONTEXT,))
        await bench.keep(request())
        await bench.cache.bump(Collection.INTERACTION_HISTORY)
        assert (await bench.look_up(request())).status is CacheStatus.EXACT

    async def test_lesson_19_an_answer_made_while_the_knowledge_changed_is_not_kept(
        self, bench: Bench
    ) -> None:
        lookup = await bench.look_up(request(), vector(0))
        await bench.cache.bump(Collection.BEST_PRACTICES)
        assert not await bench.keep(request(), embedding=vector(0), lookup=lookup)
        assert (await bench.look_up(request())).status is CacheStatus.MISS

    @pytest.mark.parametrize(
        "answer",
        [
            completion(finish_reason=FinishReason.LENGTH),
            completion(finish_reason=FinishReason.CONTENT_FILTER),
            completion(""),
            completion(" \n"),
            completion(refusal="I cannot help with that."),
            completion("", finish_reason=FinishReason.TOOL_CALLS),
            completion("long " * 1000),
            completion("lone surrogate \ud800"),
        ],
        ids=lambda answer: f"{answer.finish_reason}-{answer.refusal or answer.text[:5]!r}",
    )
    async def test_answers_that_are_not_whole_are_not_kept(
        self, harness: Harness, answer: Any
    ) -> None:
        bench = Bench(harness.store(), settings=CacheSettings(max_entry_bytes=2048))
        assert not await bench.keep(request(), answer, vector(0))
        assert (await bench.look_up(request(), vector(0))).status is CacheStatus.MISS

    async def test_an_answer_that_calls_tools_is_kept_for_equal_requests(
        self, bench: Bench
    ) -> None:
        tools = [{"type": "function", "function": {"name": "clock"}}]
        call = ToolCall("call_1", "clock", '{"zone":"UTC"}')
        answer = completion("", tool_calls=(call,), finish_reason=FinishReason.TOOL_CALLS)
        assert await bench.keep(request(tools=tools), answer, vector(0))
        hit = await bench.look_up(request(tools=tools), vector(0))
        assert hit.entry is not None
        assert hit.entry.completion.tool_calls == (call,)

    async def test_no_store_neither_reads_nor_writes(self, bench: Bench) -> None:
        asked = request(mode=CacheMode.BYPASS)
        assert not await bench.keep(asked)
        await bench.keep(request(), completion("kept"))
        assert (await bench.look_up(asked)).status is CacheStatus.BYPASS
        assert not await bench.keep(asked, completion("other"))
        hit = await bench.look_up(request())
        assert hit.entry is not None
        assert hit.entry.completion.text == "kept"

    async def test_no_cache_does_not_read_but_replaces(self, bench: Bench) -> None:
        await bench.keep(request(), completion("old"), vector(0))
        asked = request(mode=CacheMode.REFRESH)
        lookup = await bench.look_up(asked, vector(0))
        assert lookup.status is CacheStatus.BYPASS
        assert lookup.entry is None
        assert await bench.keep(asked, completion("new"), vector(0), lookup=lookup)
        hit = await bench.look_up(request())
        assert hit.entry is not None
        assert hit.entry.completion.text == "new"

    async def test_a_request_of_a_kind_never_cached_says_why(self, bench: Bench) -> None:
        lookup = await bench.look_up(request(n=2))
        assert lookup.status is CacheStatus.BYPASS
        assert lookup.why
        assert not await bench.keep(request(n=2), lookup=lookup)

    async def test_a_cache_that_is_switched_off_is_off(self, harness: Harness) -> None:
        bench = Bench(harness.store(), settings=CacheSettings(enable=False))
        assert not await bench.keep(request())
        assert (await bench.look_up(request())).status is CacheStatus.OFF

    async def test_without_the_semantic_tier_near_is_not_enough(self, harness: Harness) -> None:
        settings = CacheSettings(semantic=SemanticCacheSettings(enable=False))
        bench = Bench(harness.store(), settings=settings)
        await bench.keep(request("one"), embedding=vector(0))
        assert (await bench.look_up(request("two"), vector(0))).status is CacheStatus.MISS
        assert (await bench.look_up(request("one"))).status is CacheStatus.EXACT

    async def test_an_entry_of_an_older_format_is_a_counted_miss(self, bench: Bench) -> None:
        name = cache_key(request(), "test-embedder")
        for body in (b'{"format":0}', b"\x80not json", b"[]", b'{"format":1}'):
            await bench.store.put(name, body, name.partition, None, {})
            assert (await bench.look_up(request())).status is CacheStatus.MISS
        assert bench.count("hybrid_cache_errors_total", operation="decode") == 4
        assert await bench.keep(request())
        assert (await bench.look_up(request())).status is CacheStatus.EXACT

    @pytest.mark.parametrize("who", ["made it", "exact hit", "semantic hit"])
    async def test_lesson_17_a_wrong_answer_is_dropped_by_any_interaction_that_got_it(
        self, bench: Bench, who: str
    ) -> None:
        await bench.keep(request("one", interaction_id="made it"), embedding=vector(0))
        await bench.look_up(request("one", interaction_id="exact hit"))
        await bench.look_up(request("uno", interaction_id="semantic hit"), vector(2))
        assert await bench.cache.invalidate(interaction_id=who) == 1
        assert await bench.cache.invalidate(interaction_id=who) == 0
        assert (await bench.look_up(request("one"), vector(0))).status is CacheStatus.MISS
        assert (await bench.look_up(request("uno"), vector(2))).status is CacheStatus.MISS

    async def test_answers_are_dropped_by_question_and_by_caller(self, bench: Bench) -> None:
        for caller in (ALICE, BOB):
            for question in ("one", "two"):
                await bench.keep(request(question, caller=caller))
            await bench.keep(request("one", caller=caller, temperature=0))
        assert await bench.cache.invalidate(question="one", caller=ALICE.id) == 2
        assert await bench.cache.invalidate(question="one") == 2
        assert (await bench.look_up(request("two", caller=BOB))).status is CacheStatus.EXACT
        assert await bench.cache.invalidate(caller=BOB.id) == 1
        assert (await bench.look_up(request("two"))).status is CacheStatus.EXACT

    async def test_nobody_drops_another_callers_answer_by_its_interaction(
        self, bench: Bench
    ) -> None:
        await bench.keep(request(caller=ALICE, interaction_id="i-alice"))
        dropped = await bench.cache.invalidate(interaction_id="i-alice", caller=BOB.id)
        assert dropped == 0
        assert (await bench.look_up(request(caller=ALICE))).status is CacheStatus.EXACT

    async def test_dropping_nothing_in_particular_is_refused(self, bench: Bench) -> None:
        with pytest.raises(InvalidRequest):
            await bench.cache.invalidate()

    async def test_an_answer_called_wrong_before_it_was_kept_is_not_kept(
        self, bench: Bench
    ) -> None:
        asked = request(interaction_id="i-wrong")
        lookup = await bench.look_up(asked)
        await bench.cache.invalidate(interaction_id="i-wrong")
        assert not await bench.keep(asked, lookup=lookup)
        assert (await bench.look_up(request())).status is CacheStatus.MISS

    async def test_a_hundred_equal_questions_at_once_make_one_upstream_call(
        self, bench: Bench
    ) -> None:
        calls = 0
        asked_upstream = asyncio.Event()

        async def answer(number: int) -> str:
            nonlocal calls
            asked = request(interaction_id=f"i-{number}")
            lookup = await bench.cache.look_up_exact(asked)
            if lookup.entry is not None:
                return lookup.entry.completion.text
            async with bench.cache.flight(lookup, asked) as flight:
                if flight.entry is not None:
                    return flight.entry.completion.text
                calls += 1
                await asked_upstream.wait()
                made = completion(f"answer {calls}")
                await bench.cache.store(
                    lookup, asked, None, made, "b", Tier.LOCAL, 0, f"i-{number}", flight=flight
                )
                return made.text

        tasks = [asyncio.create_task(answer(number)) for number in range(100)]
        while bench.count("hybrid_single_flight_waits_total") < 99:
            await asyncio.sleep(0)
        asked_upstream.set()
        assert set(await asyncio.gather(*tasks)) == {"answer 1"}
        assert calls == 1
        assert await bench.cache.invalidate(interaction_id="i-73") == 1

    async def test_questions_before_and_after_a_change_do_not_share_a_flight(
        self, bench: Bench
    ) -> None:
        before = await bench.cache.look_up_exact(request())
        await bench.cache.bump(Collection.BEST_PRACTICES)
        after = await bench.cache.look_up_exact(request())
        async with (
            bench.cache.flight(before, request()) as first,
            bench.cache.flight(after, request()) as second,
        ):
            assert first.leads
            assert second.leads
