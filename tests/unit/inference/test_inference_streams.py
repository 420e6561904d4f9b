"""Streamed answers from several backends: what is held back, and what happens once it is not."""

from __future__ import annotations

import asyncio

import pytest

from hybrid_coordinator.conversation import Delta, FinishReason
from hybrid_coordinator.errors import BackendError, BackendRejected, BackendUnavailable, NoBackend
from hybrid_coordinator.inference import NoAcceptableAnswer, OpenedStream, attempts
from hybrid_coordinator.settings import BackendKind
from tests.fakes import Answer, running
from tests.unit.inference.fleet_parts import (
    WordJudge,
    attempts_of,
    everybody,
    fleet_of,
    make_streamed_call,
    metric,
    read_into,
    settings,
    text_of,
)
from tests.unit.inference.two_backends import Two


async def opened(two: Two, judge: WordJudge | None = None) -> OpenedStream:
    return await two.fleet.stream(everybody(two.fleet), make_streamed_call, judge)


async def read(stream: OpenedStream) -> str:
    return text_of([delta async for delta in stream.deltas])


async def test_a_stream_is_handed_over_with_its_first_content_and_ends_with_its_figures() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(text="one two three"))
        stream = await opened(two)
        assert stream.candidate.backend == "local"
        assert stream.first_token_seconds is not None
        assert stream.first_token_seconds > 0
        deltas = [delta async for delta in stream.deltas]
    assert "".join(delta.text for delta in deltas) == "one two three"
    assert [d.finish_reason for d in deltas if d.finish_reason] == [FinishReason.STOP]
    assert sum(1 for delta in deltas if delta.usage) == 1
    assert stream.backend_seconds >= stream.first_token_seconds
    assert attempts_of(two.metrics, "local", "ok") == 1
    count = metric(two.metrics, "hybrid_backend_first_token_seconds_count", backend="local")
    assert count == 1


async def test_every_event_of_the_backend_passes_through_in_order() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(text="one two three"), Answer(text="one two three"))
        judged = await opened(two, WordJudge(shown_at="two"))
        seen = [d.raw for d in [delta async for delta in judged.deltas] if d.raw]
        unjudged = await opened(two)
        plain = [d.raw for d in [delta async for delta in unjudged.deltas] if d.raw]
    ids = (b"chatcmpl-fake1", b"chatcmpl-fake2")
    assert [raw.replace(ids[0], ids[1]) for raw in seen] == plain


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=500),
        Answer(cut_after_chunks=0),
        Answer(cut_after_chunks=1),
        Answer(end_after_chunks=1),
        Answer(text="", stream_error="out of memory"),
        Answer(garbage=b"data: nope\n\n", content_type="text/event-stream"),
    ],
)
async def test_what_fails_before_its_first_content_is_followed_by_the_next(fault: Answer) -> None:
    async with Two() as two:
        two.local.enqueue(fault)
        stream = await opened(two)
        assert stream.candidate.backend == "remote"
        assert [a.backend for a in stream.attempts] == ["local"]
        assert "echo" in await read(stream)


async def test_a_stream_that_failed_before_its_first_content_is_retried() -> None:
    async with Two(retries=1) as two:
        two.local.enqueue(Answer(cut_after_chunks=1))
        stream = await opened(two)
        assert stream.candidate.backend == "local"
        await stream.aclose()
    assert len(two.waits) == 1


async def test_what_fails_after_its_first_content_is_an_error_and_not_tried_again() -> None:
    async with Two(retries=3) as two:
        two.local.enqueue(Answer(text="one two three", cut_after_chunks=3))
        stream = await opened(two)
        seen: list[Delta] = []
        with pytest.raises(BackendUnavailable, match="in the middle"):
            await read_into(seen, stream.deltas)
    assert text_of(seen).startswith("one")
    assert (two.local.started, two.remote.started, two.waits) == (1, 0, [])
    assert attempts_of(two.metrics, "local", "unavailable") == 1


async def test_a_hanging_stream_is_cancelled_and_followed_by_the_next() -> None:
    async with Two(first_token_timeout=0.1) as two:
        two.local.enqueue(Answer(hold=asyncio.Event()))
        stream = await opened(two)
        assert stream.candidate.backend == "remote"
        await two.local.until(lambda: two.local.cancelled == 1)
        await stream.aclose()


async def test_a_stream_that_stops_dripping_is_an_error_at_the_idle_limit() -> None:
    async with Two(idle_timeout=0.05) as two:
        two.local.enqueue(Answer(text="one two", hold_stream=asyncio.Event()))
        stream = await opened(two)
        with pytest.raises(BackendError, match="idle_timeout"):
            await read(stream)
        await two.local.until(lambda: two.local.cancelled == 1)


async def test_the_clients_own_mistake_is_not_tried_elsewhere() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(status=422, error_message="bad tool"))
        with pytest.raises(BackendRejected, match="bad tool"):
            await opened(two)
    assert two.remote.started == 0


async def test_when_all_fail_nothing_is_opened_and_each_is_named() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(status=500))
        two.remote.enqueue(Answer(cut_after_chunks=1))
        with pytest.raises(NoBackend) as raised:
            await opened(two)
    assert [a.backend for a in raised.value.attempts] == ["local", "remote"]


# Validation.


async def test_nothing_is_shown_before_validation_says_so() -> None:
    hold = asyncio.Event()
    async with Two() as two:
        two.local.enqueue(Answer(text="one two three", hold_stream=hold))
        waiting = asyncio.create_task(opened(two, WordJudge(shown_at="two")))
        await two.local.until(lambda: two.local.running == 1)
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        hold.set()
        assert await read(await waiting) == "one two three"


async def test_an_answer_rejected_while_held_back_is_escalated_and_never_seen() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(text="I am sorry, no", chunk_delay=0.001))
        stream = await opened(two, WordJudge(words=["sorry"], shown_at="."))
        assert stream.candidate.backend == "remote"
        assert [r.candidate.backend for r in stream.rejections] == ["local"]
        assert "sorry" not in await read(stream)
    assert attempts_of(two.metrics, "local", "answer_rejected") == 1


async def test_an_empty_stream_is_escalated() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(text=""))
        stream = await opened(two, WordJudge())
        assert stream.candidate.backend == "remote"
        await stream.aclose()


async def test_what_is_rejected_after_it_was_shown_ends_in_an_error() -> None:
    seen: list[Delta] = []
    async with Two() as two:
        two.local.enqueue(Answer(text="fine so far <|bad|> more"))
        stream = await opened(two, WordJudge(words=["<|bad|>"], shown_at="fine"))
        with pytest.raises(NoAcceptableAnswer, match="after its beginning had been sent") as raised:
            await read_into(seen, stream.deltas)
    assert text_of(seen) == "fine so far"
    assert [r.candidate.backend for r in raised.value.rejections] == ["local"]
    assert two.remote.started == 0
    assert attempts_of(two.metrics, "local", "answer_rejected") == 1


async def test_the_end_is_held_back_until_the_whole_was_judged() -> None:
    judge = WordJudge(words_at_end=["three"])
    seen: list[Delta] = []
    async with Two() as two:
        two.local.enqueue(Answer(text="one two three"))
        stream = await opened(two, judge)
        with pytest.raises(NoAcceptableAnswer):
            await read_into(seen, stream.deltas)
    assert text_of(seen) == "one two three"
    assert not [delta for delta in seen if delta.finish_reason]


async def test_a_long_answer_is_not_held_back_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lesson 20: every buffer is bounded."""
    monkeypatch.setattr(attempts, "MAX_HELD_BYTES", 2000)
    async with Two() as two:
        two.local.enqueue(Answer(text="a " * 50, cut_after_chunks=40))
        # Had it been held back to its end, its failure would have led to the next backend.
        stream = await opened(two, WordJudge(shown_at="never"))
        assert stream.candidate.backend == "local"
        with pytest.raises(BackendUnavailable):
            await read(stream)


# Slots.


async def test_a_stream_holds_its_slot_until_it_is_read_or_closed() -> None:
    async with Two(max_concurrency=1, queue_timeout=0.02) as two:
        stream = await opened(two)
        assert two.fleet.statuses()[0].in_flight == 1
        second = await opened(two)
        assert second.candidate.backend == "remote"
        await read(stream)
        assert two.fleet.statuses()[0].in_flight == 0
        await second.aclose()


async def test_closing_a_stream_that_was_never_read_cancels_it_and_frees_its_slot() -> None:
    async with Two(max_concurrency=1) as two:
        two.local.enqueue(Answer(text="one two", hold_stream=asyncio.Event()))
        stream = await opened(two)
        await stream.aclose()
        await two.local.until(lambda: two.local.cancelled == 1)
        assert two.fleet.statuses()[0].in_flight == 0
        again = await opened(two)
        assert again.candidate.backend == "local"
        await again.aclose()
    assert attempts_of(two.metrics, "local", "cancelled") >= 1


async def test_a_client_that_goes_away_before_the_first_content_cancels_upstream() -> None:
    async with Two(max_concurrency=1) as two:
        two.local.enqueue(Answer(hold=asyncio.Event()))
        waiting = asyncio.create_task(opened(two))
        await two.local.until(lambda: two.local.running == 1)
        waiting.cancel()
        await two.local.until(lambda: two.local.cancelled == 1)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert two.fleet.statuses()[0].in_flight == 0


async def test_a_client_that_goes_away_in_the_middle_cancels_upstream() -> None:
    async with Two() as two:
        two.local.enqueue(Answer(text="one two", hold_stream=asyncio.Event()))
        stream = await opened(two)
        reading = asyncio.create_task(read(stream))
        await asyncio.sleep(0)
        reading.cancel()
        await two.local.until(lambda: two.local.cancelled == 1)
        assert two.fleet.statuses()[0].in_flight == 0


async def test_a_cancelled_trial_of_an_open_breaker_leaves_the_trial_to_the_next() -> None:
    now = [0.0]
    async with Two() as two:
        local = two.fleet.statuses()[0].settings
        declared = {"b": local.model_copy(update={"breaker_failures": 1, "breaker_reset": 60.0})}
        async with fleet_of(declared, clock=lambda: now[0]) as fleet:
            two.local.enqueue(Answer(status=500), Answer(hold=asyncio.Event()))
            with pytest.raises(NoBackend):
                await fleet.stream(everybody(fleet), make_streamed_call, None)
            now[0] = 60.0
            trial = asyncio.create_task(fleet.stream(everybody(fleet), make_streamed_call, None))
            await two.local.until(lambda: two.local.running == 1)
            trial.cancel()
            await two.local.until(lambda: two.local.cancelled == 1)
            stream = await fleet.stream(everybody(fleet), make_streamed_call, None)
            assert stream.candidate.backend == "b"
            await stream.aclose()


async def test_streams_that_are_always_cut_open_the_breaker() -> None:
    async with Two(breaker_failures=2, breaker_reset=60.0) as two:
        for _ in range(2):
            two.local.enqueue(Answer(text="one two three", cut_after_chunks=3))
            with pytest.raises(BackendUnavailable):
                await read(await opened(two))
        assert two.fleet.statuses()[0].breaker_open
        stream = await opened(two)
        assert stream.candidate.backend == "remote"
        await stream.aclose()


async def test_anthropics_stream_is_held_and_shown_by_the_same_rules() -> None:
    async with Two() as two, running(two.remote) as url:
        declared = {"only": settings(url, BackendKind.ANTHROPIC)}
        async with fleet_of(declared) as fleet:
            two.remote.enqueue(Answer(text="one two"))
            stream = await fleet.stream(everybody(fleet), make_streamed_call, WordJudge())
            assert await read(stream) == "one two"
