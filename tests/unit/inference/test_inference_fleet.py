"""Whole answers from several backends: fall-back, retries, escalation."""

from __future__ import annotations

import asyncio

import pytest

from hybrid_coordinator.conversation import Tier
from hybrid_coordinator.errors import (
    BackendRejected,
    ContextTooLong,
    NoBackend,
)
from hybrid_coordinator.inference import NoAcceptableAnswer
from tests.fakes import Answer, FakeOpenAI, running
from tests.unit.inference.fleet_parts import (
    WordJudge,
    attempts_of,
    everybody,
    fleet_of,
    make_call,
    metric,
    settings,
)
from tests.unit.inference.two_backends import Two


async def test_the_first_candidate_answers_and_the_others_are_not_asked() -> None:
    async with Two() as two:
        answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert answered.candidate.backend == "local"
    assert answered.completion.text
    assert answered.attempts == ()
    assert answered.backend_seconds > 0
    assert two.remote.started == 0
    assert attempts_of(two.metrics, "local", "ok") == 1
    assert metric(two.metrics, "hybrid_backend_seconds_count", backend="local") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=500),
        Answer(status=429, retry_after=3600),
        Answer(status=401),
        Answer(status=404),
        Answer(garbage=b"not json"),
    ],
)
async def test_a_backend_that_fails_is_followed_by_the_next(fault: Answer) -> None:
    async with Two() as two:
        two.local.enqueue(fault)
        answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert answered.candidate.backend == "remote"
    assert [attempt.backend for attempt in answered.attempts] == ["local"]
    assert answered.attempts[0].why


async def test_a_hanging_backend_is_cancelled_and_followed_by_the_next() -> None:
    async with Two(total_timeout=0.1) as two:
        two.local.enqueue(Answer(hold=asyncio.Event()))
        answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
        await two.local.until(lambda: two.local.cancelled == 1)
    assert answered.candidate.backend == "remote"
    assert attempts_of(two.metrics, "local", "timeout") == 1


async def test_the_clients_own_mistake_is_not_tried_elsewhere() -> None:
    async with Two(retries=2) as two:
        two.local.enqueue(Answer(status=400, error_message="bad schema"))
        with pytest.raises(BackendRejected, match="bad schema"):
            await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert two.local.started == 1
    assert two.remote.started == 0
    assert attempts_of(two.metrics, "local", "rejected") == 1


async def test_a_prompt_over_every_context_is_the_clients_error() -> None:
    too_long = Answer(status=400, error_message="prompt is too long: 9 tokens > 8 maximum")
    async with Two() as two:
        two.local.enqueue(too_long)
        two.remote.enqueue(too_long)
        with pytest.raises(ContextTooLong):
            await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert (two.local.started, two.remote.started) == (1, 1)


async def test_a_500_is_retried_on_the_same_backend_with_a_growing_random_wait() -> None:
    async with Two(retries=2) as two:
        two.local.enqueue(Answer(status=500), Answer(status=500))
        answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert answered.candidate.backend == "local"
    assert two.waits == pytest.approx([0.1, 0.2])
    assert attempts_of(two.metrics, "local", "unavailable") == 2
    assert attempts_of(two.metrics, "local", "ok") == 1


async def test_a_retry_waits_as_long_as_the_backend_wishes() -> None:
    async with Two(retries=1) as two:
        two.local.enqueue(Answer(status=429, retry_after=2.0))
        answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert answered.candidate.backend == "local"
    assert two.waits == pytest.approx([2.1])
    assert attempts_of(two.metrics, "local", "overloaded") == 1


async def test_a_wish_for_a_long_pause_goes_on_to_the_next_at_once() -> None:
    async with Two(retries=2) as two:
        two.local.enqueue(Answer(status=429, retry_after=60.0))
        answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert answered.candidate.backend == "remote"
    assert two.waits == []


async def test_when_all_fail_each_is_named_with_its_reason() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(status=500, error_message="out of memory"))
        two.remote.enqueue(Answer(status=429, retry_after=9.0))
        with pytest.raises(NoBackend) as raised:
            await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert [a.backend for a in raised.value.attempts] == ["local", "remote"]
    assert "out of memory" in raised.value.message
    assert raised.value.retry_after == 9.0
    assert raised.value.status == 503


async def test_without_candidates_the_error_says_so() -> None:
    async with Two() as two:
        with pytest.raises(NoBackend, match="no backend offers"):
            await two.fleet.complete([], make_call, None)


# Validation.


async def test_a_rejected_answer_is_escalated_to_another_backend_once() -> None:
    judge = WordJudge(words=["sorry"])
    async with Two() as two:
        two.local.enqueue(Answer(text="sorry, no"))
        answered = await two.fleet.complete(everybody(two.fleet), make_call, judge)
    assert answered.candidate.backend == "remote"
    assert [r.candidate.backend for r in answered.rejections] == ["local"]
    assert judge.finals == [(Tier.LOCAL, False), (Tier.REMOTE, True)]
    assert attempts_of(two.metrics, "local", "answer_rejected") == 1
    assert metric(
        two.metrics, "hybrid_responses_rejected_total", backend="local", rejection="refusal"
    )


async def test_a_second_rejection_is_the_end() -> None:
    third = FakeOpenAI()
    async with Two() as two, running(third) as url:
        declared = {s.name: s.settings for s in two.fleet.statuses()} | {"third": settings(url)}
        two.local.enqueue(Answer(text="sorry"))
        two.remote.enqueue(Answer(text="sorry"))
        async with fleet_of(declared) as fleet:
            with pytest.raises(NoAcceptableAnswer) as raised:
                await fleet.complete(everybody(fleet), make_call, WordJudge(["sorry"]))
    assert [r.candidate.backend for r in raised.value.rejections] == ["local", "remote"]
    assert (two.local.started, two.remote.started, third.started) == (1, 1, 0)


async def test_an_escalation_does_not_go_to_another_model_of_the_same_backend() -> None:
    judge = WordJudge(words=["sorry"])
    async with Two() as two:
        two.local.enqueue(Answer(text="sorry"))
        local = everybody(two.fleet)[0]
        with pytest.raises(NoAcceptableAnswer):
            await two.fleet.complete([local, local], make_call, judge)
    assert two.local.started == 1
    assert judge.finals == [(Tier.LOCAL, True)]


async def test_a_rejection_is_reported_though_the_backend_asked_next_fails() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(text="sorry"))
        two.remote.enqueue(Answer(status=500))
        with pytest.raises(NoAcceptableAnswer) as raised:
            await two.fleet.complete(everybody(two.fleet), make_call, WordJudge(["sorry"]))
    assert [a.backend for a in raised.value.attempts] == ["local", "remote"]
