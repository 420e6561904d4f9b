"""Other backends while requests go on: what stays the same goes on, what is new is probed first."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hybrid_coordinator.inference import build_backend
from hybrid_coordinator.inference.backend import Backend
from hybrid_coordinator.settings import BackendSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, running
from tests.unit.inference.fleet_parts import (
    LIMIT,
    everybody,
    fleet_of,
    make_call,
    settings,
)


def fresh(**declared: BackendSettings) -> dict[str, Backend]:
    return {
        name: build_backend(name, values, None, Path("unused")) for name, values in declared.items()
    }


async def test_a_backend_that_stays_keeps_its_member_and_a_new_one_is_probed_before() -> None:
    async with running(FakeOpenAI()) as url, fleet_of({"one": settings(url)}) as fleet:
        other = fleet.successor(["two", "one"], fresh(two=settings(url)))
        async with asyncio.timeout(LIMIT):
            await other.start()
        assert [(s.name, s.ready) for s in other.statuses()] == [("two", True), ("one", True)]
        assert other._member("one") is fleet._member("one")
        fleet.hand_over(other)
        await fleet.aclose()
        answered = await other.complete(everybody(other)[1:], make_call, None)
        assert answered.candidate.backend == "one"
        await other.aclose()


async def test_a_request_that_began_before_ends_with_the_backend_it_began_with() -> None:
    fake = FakeOpenAI(default=Answer(text="Yes."))
    hold = asyncio.Event()
    metrics = Metrics()
    async with running(fake) as url, fleet_of({"one": settings(url)}, metrics=metrics) as fleet:
        fake.enqueue(Answer(text="Late.", hold=hold))
        asking = asyncio.create_task(fleet.complete(everybody(fleet), make_call, None))
        await fake.until(lambda: fake.running == 1)
        other = fleet.successor(["new"], fresh(new=settings(url)))
        async with asyncio.timeout(LIMIT):
            await other.start()
        fleet.hand_over(other)
        value = metrics.registry.get_sample_value
        assert value("hybrid_backend_ready", {"backend": "one"}) is None
        assert value("hybrid_backend_ready", {"backend": "new"}) == 1
        hold.set()
        answered = await asking
        assert (answered.candidate.backend, answered.completion.text) == ("one", "Late.")
        await fleet.aclose()
        await other.aclose()


async def test_a_successor_that_is_given_up_leaves_the_fleet_as_it_was() -> None:
    async with running(FakeOpenAI()) as url, fleet_of({"one": settings(url)}) as fleet:
        other = fleet.successor(["one", "two"], fresh(two=settings("http://127.0.0.1:9")))
        async with asyncio.timeout(LIMIT):
            await other.start()
        await other.aclose()
        answered = await fleet.complete(everybody(fleet), make_call, None)
        assert answered.candidate.backend == "one"
        assert len(fleet._probes) == 1


async def test_after_several_successors_a_member_still_wakes_who_waits_for_it() -> None:
    fake = FakeOpenAI()
    async with running(fake) as url, fleet_of({"one": settings(url)}) as first:
        second = first.successor(["one"], {})
        first.hand_over(second)
        third = second.successor(["one"], {})
        second.hand_over(third)
        waiting = asyncio.create_task(third.wait_for(lambda s: not s[0].ready))
        await asyncio.sleep(0)
        member = third._member("one")
        member._set(type(member.readiness)(False, (), "gone"))
        async with asyncio.timeout(LIMIT):
            (status,) = await waiting
        assert status.detail == "gone"
        await third.aclose()
