"""Single flight: one asks, the others wait, and nobody is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hybrid_coordinator.cache import CacheEntry
from hybrid_coordinator.cache.flight import Flight, Flights
from hybrid_coordinator.conversation import Tier
from tests.unit.cache.cache_parts import completion, key

LONG = 60.0


def entry(text: str = "answer") -> CacheEntry:
    return CacheEntry(
        key=key(),
        question="q",
        completion=completion(text),
        model="m",
        backend="b",
        tier=Tier.LOCAL,
        cost_usd=0.0,
        created_at=0.0,
        interaction_id="i",
        embedder="",
        versions={},
    )


class Runway:
    """Starts requests on one key and lets each leader do what the test says."""

    def __init__(self, **options: object) -> None:
        self.now = 0.0
        self.waits = 0
        self.flights = Flights(
            clock=lambda: self.now,
            on_wait=self._waited,
            **options,  # type: ignore[arg-type]
        )
        self.led: list[str] = []

    def _waited(self) -> None:
        self.waits += 1

    def start(
        self,
        name: str,
        lead: Callable[[Flight], Awaitable[None]],
        *,
        on: str | None = "key",
        timeout: float = LONG,
    ) -> asyncio.Task[str]:
        async def fly() -> str:
            async with self.flights.enter(on, timeout) as flight:
                if flight.entry is not None:
                    return flight.entry.completion.text
                if not flight.leads:
                    return "alone"
                self.led.append(name)
                await lead(flight)
                return "led"

        return asyncio.create_task(fly())


async def settle() -> None:
    """Let every task run until all wait for something."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_all_who_wait_get_the_leaders_answer() -> None:
    runway, go = Runway(), asyncio.Event()

    async def lead(flight: Flight) -> None:
        await go.wait()
        flight.publish(entry())

    tasks = [runway.start(f"{n}", lead) for n in range(100)]
    await settle()
    go.set()
    assert await asyncio.gather(*tasks) == ["led"] + ["answer"] * 99
    assert runway.led == ["0"]
    assert runway.waits == 99
    assert len(runway.flights) == 0


async def test_an_answer_is_given_on_before_the_leader_has_left() -> None:
    runway, go = Runway(), asyncio.Event()

    async def lead(flight: Flight) -> None:
        flight.publish(entry())
        await go.wait()  # writing the entry, say

    first = runway.start("first", lead)
    await settle()
    assert await runway.start("second", lead) == "answer"
    go.set()
    assert await first == "led"


async def test_a_leader_without_an_answer_hands_over_to_one_and_the_others_keep_waiting() -> None:
    runway = Runway()
    turns = [asyncio.Event() for _ in range(3)]

    async def lead(flight: Flight) -> None:
        number = len(runway.led) - 1
        await turns[number].wait()
        if number == 2:
            flight.publish(entry())

    tasks = [runway.start(f"{n}", lead) for n in range(5)]
    await settle()
    for number in range(3):
        assert len(runway.led) == number + 1
        turns[number].set()
        await settle()
    assert await asyncio.gather(*tasks) == ["led", "led", "led", "answer", "answer"]
    assert runway.led == ["0", "1", "2"]


async def test_an_error_of_the_leader_is_its_own_and_the_next_takes_over() -> None:
    runway, go = Runway(), asyncio.Event()

    async def lead(flight: Flight) -> None:
        await go.wait()
        if runway.led == ["first"]:
            raise RuntimeError("backend")
        flight.publish(entry())

    tasks = [runway.start(name, lead) for name in ("first", "second", "third")]
    await settle()
    go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], RuntimeError)
    assert results[1:] == ["led", "answer"]


async def test_a_leader_whose_client_goes_away_is_replaced() -> None:
    runway = Runway()

    async def lead(flight: Flight) -> None:
        if runway.led == ["first"]:
            await asyncio.Event().wait()
        flight.publish(entry())

    first, *others = [runway.start(name, lead) for name in ("first", "second", "third")]
    await settle()
    first.cancel()
    assert await asyncio.gather(*others) == ["led", "answer"]
    assert len(runway.flights) == 0


async def test_a_follower_that_goes_away_as_its_turn_comes_passes_it_on() -> None:
    runway, go = Runway(), asyncio.Event()

    async def lead(flight: Flight) -> None:
        if runway.led == ["first"]:
            await go.wait()
        else:
            flight.publish(entry())

    first, second, third = [runway.start(name, lead) for name in ("first", "second", "third")]
    await settle()
    go.set()
    while not first.done():
        await asyncio.sleep(0)
    second.cancel()  # it was woken to lead and has not run yet
    assert await third == "led"
    with pytest.raises(asyncio.CancelledError):
        await second
    assert len(runway.flights) == 0


async def test_a_follower_that_goes_away_while_waiting_is_passed_over() -> None:
    runway, go = Runway(), asyncio.Event()

    async def lead(flight: Flight) -> None:
        if runway.led == ["first"]:
            await go.wait()
        else:
            flight.publish(entry())

    first, second, third = [runway.start(name, lead) for name in ("first", "second", "third")]
    await settle()
    second.cancel()
    await settle()
    go.set()
    assert await first == "led"
    assert await third == "led"


async def test_an_answer_that_cannot_be_shared_lets_all_go_on_at_once() -> None:
    runway, go, together = Runway(), asyncio.Event(), asyncio.Event()

    async def lead(flight: Flight) -> None:
        await go.wait()
        flight.disband()
        await together.wait()

    tasks = [runway.start(f"{n}", lead) for n in range(4)]
    await settle()
    go.set()
    assert await asyncio.gather(*tasks[1:]) == ["alone"] * 3
    together.set()
    assert await tasks[0] == "led"
    assert len(runway.flights) == 0


async def test_who_has_waited_long_enough_goes_on_alone() -> None:
    runway, go = Runway(), asyncio.Event()

    async def lead(flight: Flight) -> None:
        await go.wait()
        flight.publish(entry())

    first = runway.start("first", lead)
    patient = runway.start("patient", lead)
    assert await runway.start("hasty", lead, timeout=0.001) == "alone"
    go.set()
    assert [await first, await patient] == ["led", "answer"]


async def test_other_keys_and_no_key_do_not_wait() -> None:
    runway, go = Runway(), asyncio.Event()

    async def lead(flight: Flight) -> None:
        await go.wait()

    first = runway.start("first", lead)
    await settle()
    assert await runway.start("none", lead, on=None) == "alone"
    other = runway.start("other", lead, on="other key")
    await settle()
    assert runway.led == ["first", "other"]
    go.set()
    assert [await first, await other] == ["led", "led"]


async def test_a_late_one_gets_the_answer_for_a_moment_and_then_leads() -> None:
    runway = Runway(linger=1.0)

    async def lead(flight: Flight) -> None:
        flight.publish(entry())

    assert await runway.start("first", lead) == "led"
    runway.now = 0.9
    assert await runway.start("late", lead) == "answer"
    runway.now = 1.0
    assert await runway.start("later", lead) == "led"
    runway.flights.forget()
    assert await runway.start("after it was called wrong", lead) == "led"


async def test_lesson_20_flights_waiters_and_late_answers_are_bounded() -> None:
    runway, go = Runway(limit=2, lingering=2), asyncio.Event()

    async def lead(flight: Flight) -> None:
        await go.wait()
        flight.publish(entry())

    flying = [runway.start(on, lead, on=on) for on in ("a", "b")]
    await settle()
    assert await runway.start("c", lead, on="c") == "alone"
    waiting = [runway.start("a", lead, on="a") for _ in range(2)]
    await settle()
    assert await runway.start("a", lead, on="a") == "alone"
    go.set()
    assert await asyncio.gather(*flying, *waiting) == ["led", "led", "answer", "answer"]
    assert await runway.start("c", lead, on="c") == "led"
    assert await runway.start("a", lead, on="a") == "led"
