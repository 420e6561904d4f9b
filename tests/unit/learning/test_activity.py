"""Whether the coordinator is busy."""

from __future__ import annotations

import asyncio

import pytest

from hybrid_coordinator.learning.activity import Activity


async def test_idle_returns_at_once_after_a_long_pause() -> None:
    now = [0.0]
    activity = Activity(clock=lambda: now[0])
    now[0] = 100.0
    async with asyncio.timeout(1):
        await activity.idle(60.0)


async def test_idle_waits_for_the_last_request_to_end() -> None:
    activity = Activity()
    activity.begin()
    waiting = asyncio.create_task(activity.idle(0.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    activity.end()
    async with asyncio.timeout(1):
        await waiting


async def test_a_request_in_between_begins_the_pause_anew() -> None:
    now = [0.0]
    activity = Activity(clock=lambda: now[0])
    activity.begin()
    activity.end()
    waiting = asyncio.create_task(activity.idle(0.05))
    await asyncio.sleep(0)
    with activity.request():
        await asyncio.sleep(0)
        now[0] = 10.0
    await asyncio.sleep(0)
    assert not waiting.done(), "the request ended at 10, so nothing is idle yet"
    now[0] = 20.0
    async with asyncio.timeout(1):
        await waiting


async def test_busy_wakes_with_the_first_request() -> None:
    activity = Activity()
    waiting = asyncio.create_task(activity.busy())
    await asyncio.sleep(0)
    assert not waiting.done()
    with activity.request():
        async with asyncio.timeout(1):
            await waiting
        assert activity.active == 1
    assert activity.active == 0


async def test_a_request_that_fails_has_ended_too() -> None:
    activity = Activity()
    with pytest.raises(RuntimeError), activity.request():
        raise RuntimeError
    assert activity.active == 0
