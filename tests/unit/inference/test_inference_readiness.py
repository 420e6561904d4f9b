"""Which backends are asked at all: readiness, the breaker, slots, finding models, closing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hybrid_coordinator.conversation import Tier
from hybrid_coordinator.errors import (
    NoBackend,
)
from hybrid_coordinator.inference import Fleet, build_backend
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.fakes import Answer, FakeOpenAI, running
from tests.unit.inference.fleet_parts import (
    ANTHROPIC_MODEL,
    LIMIT,
    OPENAI_MODEL,
    attempts_of,
    everybody,
    fleet_of,
    make_call,
    metric,
    no_sleep,
    settings,
)
from tests.unit.inference.two_backends import Two

# Readiness and the breaker.


async def test_a_backend_that_is_not_ready_is_passed_over_with_its_reason() -> None:
    async with Two() as two, running(FakeOpenAI(models=())) as empty:
        declared = {
            "empty": settings(empty),
            **{s.name: s.settings for s in two.fleet.statuses()},
        }
        async with fleet_of(declared) as fleet:
            answered = await fleet.complete(everybody(fleet), make_call, None)
    assert answered.candidate.backend == "local"
    assert answered.attempts[0].backend == "empty"
    assert "not ready" in answered.attempts[0].why


async def test_when_none_is_ready_the_client_is_told_when_to_come_back() -> None:
    fake = FakeOpenAI(models=())
    async with running(fake) as url, fleet_of({"empty": settings(url)}) as fleet:
        with pytest.raises(NoBackend, match="empty: not ready") as raised:
            await fleet.complete(everybody(fleet), make_call, None)
    assert raised.value.retry_after is not None
    assert raised.value.retry_after >= 1
    assert fake.started == 0


async def test_a_backend_never_probed_may_be_tried() -> None:
    async with running(FakeOpenAI()) as url, asyncio.timeout(LIMIT):
        fleet = Fleet([build_backend("local", settings(url), None, Path())], Metrics())
        answered = await fleet.complete(everybody(fleet), make_call, None)
        await fleet.aclose()
    assert answered.candidate.backend == "local"


async def test_a_refused_connection_makes_a_backend_unready_before_the_next_probe() -> None:
    async with AsyncExitStack() as gone, Two(retries=2) as two:
        url = await gone.enter_async_context(running(FakeOpenAI()))
        remote = {s.name: s.settings for s in two.fleet.statuses() if s.name == "remote"}
        metrics = Metrics()
        declared = {"gone": settings(url, retries=2), **remote}
        async with fleet_of(declared, sleep=no_sleep, metrics=metrics) as fleet:
            assert all(status.ready for status in fleet.statuses())
            await gone.aclose()
            answered = await fleet.complete(everybody(fleet), make_call, None)
            assert answered.candidate.backend == "remote"
            # One try: somebody else was there to answer.
            assert attempts_of(metrics, "gone", "unavailable") == 1
            assert not fleet.statuses()[0].ready


async def test_a_backend_that_comes_back_is_found_long_before_the_probe_interval() -> None:
    fake = FakeOpenAI(models=())
    async with (
        asyncio.timeout(LIMIT),
        running(fake) as url,
        fleet_of({"b": settings(url, probe_interval=3600.0)}) as fleet,
    ):
        assert not fleet.statuses()[0].ready
        fake.models.append(OPENAI_MODEL)
        await fleet.wait_for(lambda statuses: statuses[0].ready)


async def test_the_breaker_opens_after_failures_in_a_row_and_shows_in_status_and_metric() -> None:
    async with Two(breaker_failures=2, breaker_reset=60.0) as two:
        two.local.enqueue(Answer(status=500), Answer(status=500))
        for _ in range(3):
            answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
        assert two.local.started == 2
        assert "breaker is open" in answered.attempts[0].why
        assert two.fleet.statuses()[0].breaker_open
        assert metric(two.metrics, "hybrid_breaker_open", backend="local") == 1


async def test_a_backend_that_came_back_does_not_wait_for_its_breaker() -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT):
        fake = FakeOpenAI()
        url = await stack.enter_async_context(running(fake))
        declared = {"b": settings(url, breaker_failures=1, breaker_reset=3600.0)}
        fleet = await stack.enter_async_context(fleet_of(declared))
        fake.models.clear()
        fake.enqueue(Answer(status=500))
        with pytest.raises(NoBackend):
            await fleet.complete(everybody(fleet), make_call, None)
        await fleet.wait_for(lambda statuses: not statuses[0].ready)
        assert fleet.statuses()[0].breaker_open
        fake.models.append(OPENAI_MODEL)
        await fleet.wait_for(lambda statuses: statuses[0].ready)
        answered = await fleet.complete(everybody(fleet), make_call, None)
    assert answered.candidate.backend == "b"


async def test_a_half_open_breaker_lets_one_trial_through_and_closes_on_its_success() -> None:
    now = [0.0]
    fake = FakeOpenAI()
    async with running(fake) as url, asyncio.timeout(LIMIT):
        declared = {"b": settings(url, breaker_failures=1, breaker_reset=60.0)}
        metrics = Metrics()
        async with fleet_of(declared, clock=lambda: now[0], metrics=metrics) as fleet:
            fake.enqueue(Answer(status=500))
            with pytest.raises(NoBackend):
                await fleet.complete(everybody(fleet), make_call, None)
            now[0] = 60.0
            hold = asyncio.Event()
            fake.enqueue(Answer(hold=hold))
            trial = asyncio.create_task(fleet.complete(everybody(fleet), make_call, None))
            await fake.until(lambda: fake.running == 1)
            with pytest.raises(NoBackend, match="breaker is open"):
                await fleet.complete(everybody(fleet), make_call, None)
            hold.set()
            await trial
            assert metric(metrics, "hybrid_breaker_open", backend="b") == 0
            await fleet.complete(everybody(fleet), make_call, None)


# Limits and cancelling.


async def test_more_requests_than_slots_wait_for_their_turn() -> None:
    fake = FakeOpenAI(default=Answer(delay=0.01))
    async with (
        asyncio.timeout(LIMIT),
        running(fake) as url,
        fleet_of({"b": settings(url, max_concurrency=3)}) as fleet,
    ):
        requests = (fleet.complete(everybody(fleet), make_call, None) for _ in range(12))
        await asyncio.gather(*requests)
    assert fake.finished == 12
    assert fake.most_running == 3


async def test_who_waits_too_long_for_a_slot_goes_on_to_the_next_backend() -> None:
    async with Two(max_concurrency=1, queue_timeout=0.05) as two:
        hold = asyncio.Event()
        two.local.enqueue(Answer(hold=hold))
        first = asyncio.create_task(two.fleet.complete(everybody(two.fleet), make_call, None))
        await two.local.until(lambda: two.local.running == 1)
        second = await two.fleet.complete(everybody(two.fleet), make_call, None)
        hold.set()
        assert (await first).candidate.backend == "local"
    assert second.candidate.backend == "remote"
    assert "queue_timeout" in second.attempts[0].why
    assert attempts_of(two.metrics, "local", "queue_full") == 1


async def test_cancelling_a_request_cancels_it_upstream_and_frees_its_slot() -> None:
    async with Two(max_concurrency=1) as two:
        two.local.enqueue(Answer(hold=asyncio.Event()))
        request = asyncio.create_task(two.fleet.complete(everybody(two.fleet), make_call, None))
        await two.local.until(lambda: two.local.running == 1)
        assert two.fleet.statuses()[0].in_flight == 1
        request.cancel()
        await two.local.until(lambda: two.local.cancelled == 1)
        with pytest.raises(asyncio.CancelledError):
            await request
        assert two.fleet.statuses()[0].in_flight == 0
        answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert answered.candidate.backend == "local"
    assert attempts_of(two.metrics, "local", "cancelled") == 1


async def test_cancelling_who_waits_for_a_slot_loses_no_slot() -> None:
    async with Two(max_concurrency=1) as two:
        hold = asyncio.Event()
        two.local.enqueue(Answer(hold=hold))
        first = asyncio.create_task(two.fleet.complete(everybody(two.fleet), make_call, None))
        await two.local.until(lambda: two.local.running == 1)
        waiting = asyncio.create_task(two.fleet.complete(everybody(two.fleet), make_call, None))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        hold.set()
        await first
        answered = await two.fleet.complete(everybody(two.fleet), make_call, None)
    assert answered.candidate.backend == "local"


# Finding models, counting, closing.


async def test_a_model_is_found_by_its_name_at_whoever_offers_it() -> None:
    async with Two() as two:
        assert [c.backend for c in two.fleet.find_model(OPENAI_MODEL)] == ["local"]
        assert [c.backend for c in two.fleet.find_model(f"remote/{ANTHROPIC_MODEL}")] == ["remote"]
        assert two.fleet.find_model("nobody-has-this") == []


async def test_of_several_with_the_same_model_the_usable_and_preferred_come_first() -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT):
        urls = [
            await stack.enter_async_context(running(FakeOpenAI(models=models)))
            for models in ((), (OPENAI_MODEL,), (OPENAI_MODEL,), (OPENAI_MODEL,))
        ]
        declared = {
            "down": settings(urls[0], priority=9),
            "remote": settings(urls[1], tier=Tier.REMOTE, priority=5),
            "low": settings(urls[2]),
            "high": settings(urls[3], priority=1),
        }
        fleet = await stack.enter_async_context(fleet_of(declared))
        found = [candidate.backend for candidate in fleet.find_model(OPENAI_MODEL)]
    assert found == ["high", "low", "remote", "down"]


async def test_tokens_are_counted_by_the_backend_that_can() -> None:
    async with Two() as two:
        local, remote = everybody(two.fleet)
        assert await two.fleet.count_tokens(local, make_call) is None
        assert await two.fleet.count_tokens(remote, make_call) == 1


async def test_a_probe_that_breaks_is_counted_and_probing_goes_on() -> None:
    """Lesson 7: failures are counted in a metric and logged once."""
    metrics = Metrics()
    async with running(FakeOpenAI()) as url, asyncio.timeout(LIMIT):
        backend = build_backend("b", settings(url), None, Path())
        calls = 0
        real = backend.probe

        async def probe() -> object:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ZeroDivisionError("a fault of ours")
            return await real()

        backend.probe = probe  # type: ignore[method-assign, assignment]
        fleet = Fleet([backend], metrics)
        await fleet.start()
        await fleet.wait_for(lambda statuses: statuses[0].ready)
        await fleet.aclose()
    assert metric(metrics, "hybrid_failures_total", room="inference", kind="probe") == 1


async def test_closing_twice_leaves_no_task_and_refuses_further_requests() -> None:
    async with Two() as two:
        candidates = everybody(two.fleet)
        await two.fleet.aclose()
        await two.fleet.aclose()
        assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("probe ")]
        with pytest.raises(NoBackend, match="is closed"):
            await two.fleet.complete(candidates, make_call, None)
