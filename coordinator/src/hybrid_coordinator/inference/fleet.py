"""All backends together: who is ready, and an answer from the first candidate that gives one.

Which candidates, in which order, is the router's decision; here it is carried
out: slots, retries, fall-back, escalation, readiness. The client's bytes and
the dialects are elsewhere.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hybrid_coordinator.conversation import Completion, Judge, ModelCall, Tier
from hybrid_coordinator.errors import Attempt, BackendError
from hybrid_coordinator.inference.attempts import AnswerTurnedDown, OpenedStream, ask, stream_deltas
from hybrid_coordinator.inference.backend import Backend
from hybrid_coordinator.inference.course import Candidate, Course, RejectedAnswer
from hybrid_coordinator.inference.member import BackendStatus, Member
from hybrid_coordinator.inference.retry import Sleep, retrying, worth_retrying
from hybrid_coordinator.inference.upstream_errors import BackendUnreachable
from hybrid_coordinator.telemetry.metrics import Metrics

MakeCall = Callable[[Candidate], ModelCall]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer. ``first_token_seconds`` is unknown where the backend did not stream."""

    candidate: Candidate
    completion: Completion
    attempts: tuple[Attempt, ...]
    backend_seconds: float
    first_token_seconds: float | None = None
    rejections: tuple[RejectedAnswer, ...] = ()


class Fleet:
    """The backends of one coordinator. ``start()`` it before use, ``aclose()`` it at the end."""

    def __init__(
        self,
        backends: Iterable[Backend],
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._waiters: set[asyncio.Future[None]] = set()
        self._members = {
            backend.name: Member(backend, metrics, clock=clock, changed=self._announce)
            for backend in backends
        }
        self._owned = set(self._members)
        self._probes: dict[str, asyncio.Task[None]] = {}

    # Readiness.

    async def start(self) -> None:
        """Probe every backend once, then keep probing in the background."""
        for name, member in self._members.items():
            if name in self._owned and name not in self._probes:
                probing = asyncio.create_task(member.probe_forever(), name=f"probe {name}")
                self._probes[name] = probing
        await self.wait_for(lambda statuses: all(status.probed for status in statuses))

    async def aclose(self) -> None:
        """Stop probing and close every backend that is still this fleet's. May be called twice."""
        probes = [self._probes.pop(name) for name in list(self._probes)]
        for task in probes:
            task.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        await asyncio.gather(*(self._members[name].backend.aclose() for name in self._owned))

    # Other settings.

    def successor(self, names: Iterable[str], fresh: Mapping[str, Backend]) -> Fleet:
        """A fleet of the backends ``names``, in this order: ``fresh`` ones, else members of this.

        Members go on with their slots, breakers and what is known of them.
        ``start()`` the successor, then ``hand_over`` to it; one that is closed
        before leaves this fleet as it was.
        """
        other = Fleet(
            fresh.values(),
            self._metrics,
            clock=self._clock,
            sleep=self._sleep,
            uniform=self._uniform,
        )
        # A member announces to the fleet that made it: both wake the same waiters.
        other._waiters = self._waiters
        members = {**self._members, **other._members}
        other._members = {name: members[name] for name in names}
        return other

    def hand_over(self, other: Fleet) -> None:
        """Let the successor own what both have; what only this one has is probed no more.

        Requests that this fleet has begun go on; ``aclose()`` it when the last has ended.
        """
        shared = {name for name in self._owned if other._members.get(name) is self._members[name]}
        other._probes |= {name: self._probes.pop(name) for name in shared & self._probes.keys()}
        other._owned |= shared
        self._owned -= shared
        for probing in self._probes.values():
            probing.cancel()
        for name in self._owned - other._members.keys():
            self._metrics.backend_ready.remove(name)
            self._metrics.breaker_open.remove(name)

    def statuses(self) -> tuple[BackendStatus, ...]:
        """Every backend as it is now, in the order of the settings."""
        return tuple(member.status() for member in self._members.values())

    async def wait_for(
        self, condition: Callable[[tuple[BackendStatus, ...]], bool]
    ) -> tuple[BackendStatus, ...]:
        """Wait until the statuses fulfil ``condition``; looked at whenever one changes."""
        while not condition(statuses := self.statuses()):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        return statuses

    def find_model(self, name: str) -> list[Candidate]:
        """Everybody who offers a model of that name: usable before not, local first, by priority.

        ``backend/model`` names one backend's, where several offer the same.
        """
        found = [
            (status, Candidate(status.name, model))
            for status in self.statuses()
            for model in status.models
            if name in (model.name, f"{status.name}/{model.name}")
        ]
        found.sort(
            key=lambda pair: (
                not pair[0].usable,
                pair[0].tier is not Tier.LOCAL,
                -pair[0].settings.priority,
            )
        )
        return [candidate for _, candidate in found]

    # Answers.

    async def complete(
        self, candidates: Sequence[Candidate], make_call: MakeCall, judge: Judge | None
    ) -> Answered:
        """A whole answer from the first candidate that gives an acceptable one.

        Raises:
            BackendRejected: a backend found the client's request at fault.
            ContextTooLong: the prompt fits no backend that was asked.
            NoAcceptableAnswer: validation turned down what came.
            NoBackend: nobody could answer.
        """
        course = Course(candidates, self._member)

        async def once(candidate: Candidate, member: Member) -> Answered:
            final = course.is_final(candidate)
            completion, seconds = await ask(member, make_call(candidate), judge, final=final)
            return Answered(
                candidate,
                completion,
                tuple(course.attempts),
                seconds,
                rejections=tuple(course.rejections),
            )

        return await self._run(course, once)

    async def stream(
        self, candidates: Sequence[Candidate], make_call: MakeCall, judge: Judge | None
    ) -> OpenedStream:
        """A stream that has begun to answer acceptably; raises as ``complete``.

        Until it returns, the client has seen nothing and another backend may
        still be asked. Iterate ``deltas`` to the end or ``aclose()`` it.
        """
        course = Course(candidates, self._member)

        async def once(candidate: Candidate, member: Member) -> OpenedStream:
            opened = OpenedStream(candidate)
            final = course.is_final(candidate)
            call = make_call(candidate)
            opened.deltas = stream_deltas(member, call, judge, opened, final=final)
            # The generator's first item says that the answer may be shown.
            await anext(opened.deltas)
            opened.attempts = tuple(course.attempts)
            opened.rejections = tuple(course.rejections)
            return opened

        return await self._run(course, once)

    async def count_tokens(self, candidate: Candidate, make_call: MakeCall) -> int | None:
        """Tokens of a prompt by the backend's own count, or nothing where it has none.

        Raises:
            BackendError: the backend counts tokens, but did not this time.
        """
        return await self._member(candidate.backend).backend.count_tokens(make_call(candidate))

    async def _run(self, course: Course, once: Callable[[Candidate, Member], Awaitable[_T]]) -> _T:
        for candidate, member in course:
            try:
                return await self._with_retries(course, candidate, member, once)
            except AnswerTurnedDown as turned_down:
                course.rejected(candidate, turned_down.verdict, turned_down.text)
            except BackendError as error:
                course.failed(candidate, error)
        raise course.exhausted()

    async def _with_retries(
        self,
        course: Course,
        candidate: Candidate,
        member: Member,
        once: Callable[[Candidate, Member], Awaitable[_T]],
    ) -> _T:
        try:
            return await once(candidate, member)
        except BackendError as error:
            first = error

        def may_retry(error: BaseException) -> bool:
            # Somebody else answers sooner than a server that is not there.
            gone = isinstance(error, BackendUnreachable)
            return worth_retrying(error) and not (gone and course.has_other(candidate))

        # Built only now: most requests need it never.
        failures = [first]

        async def again() -> _T:
            if failures:
                raise failures.pop()
            return await once(candidate, member)

        retries = retrying(
            1 + member.settings.retries,
            sleep=self._sleep,
            uniform=self._uniform,
            may_retry=may_retry,
        )
        return await retries(again)

    def _member(self, name: str) -> Member:
        return self._members[name]

    def _announce(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
