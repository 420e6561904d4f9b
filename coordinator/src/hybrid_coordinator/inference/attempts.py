"""One try of one backend: a slot, a call, and validation's verdict on what comes.

A streamed answer is held back until validation lets it be shown, so that
until then another backend can be asked; its end is held back until the whole
was judged. Which backend is asked next is in ``course``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from hybrid_coordinator.conversation import Completion, Delta, Judge, ModelCall, Verdict
from hybrid_coordinator.errors import Attempt
from hybrid_coordinator.inference.course import Candidate, NoAcceptableAnswer, RejectedAnswer
from hybrid_coordinator.inference.member import Member, Visit

MAX_HELD_BYTES: Final = 1024 * 1024
"""Held back at most, as far as bytes as they came can say; a longer answer is shown as it comes."""
_DELTA_BYTES: Final = 256
_TURNED_DOWN: Final = "answer_rejected"


class AnswerTurnedDown(Exception):
    """Validation rejected an answer of which nothing was shown yet; ``text`` is what had come."""

    def __init__(self, verdict: Verdict, text: str) -> None:
        super().__init__(verdict.detail)
        self.verdict = verdict
        self.text = text


@dataclass
class OpenedStream:
    """An answer that has begun.

    ``deltas`` raises a ``BackendError`` where the backend fails, and
    ``NoAcceptableAnswer`` where validation turns down what came later.
    ``backend_seconds`` counts the time spent waiting for the backend, not for
    the client, and is whole once ``deltas`` has ended.
    """

    candidate: Candidate
    attempts: tuple[Attempt, ...] = ()
    rejections: tuple[RejectedAnswer, ...] = ()
    first_token_seconds: float | None = None
    backend_seconds: float = 0.0
    deltas: AsyncGenerator[Delta, None] = field(init=False, repr=False)

    async def aclose(self) -> None:
        """Stop: cancels the request at the backend unless it has ended."""
        await self.deltas.aclose()


async def ask(
    member: Member, call: ModelCall, judge: Judge | None, *, final: bool
) -> tuple[Completion, float]:
    """A whole answer of one backend, and the seconds it took.

    Raises:
        BackendError: there was none.
        AnswerTurnedDown: there was one, and it is not acceptable.
    """
    note = call.attempt
    async with member.visit(note) as visit:
        began = member.clock()
        completion = await member.backend.complete(call)
        seconds = member.clock() - began
        if note is not None:
            note.judging()
        verdict = judge.whole(completion, tier=member.settings.tier, final=final) if judge else None
        if verdict is not None:
            raise _turned_down(visit, member, call, verdict, completion.text)
        if note is not None:
            note.judged()
        member.seconds.observe(seconds)
        return completion, seconds


async def stream_deltas(
    member: Member, call: ModelCall, judge: Judge | None, opened: OpenedStream, *, final: bool
) -> AsyncGenerator[Delta, None]:
    """The deltas of one backend's answer, after one empty delta that says it may be shown.

    That first one makes the caller start the generator before it is handed
    on: a generator that never ran would not give its slot back when closed.
    """
    watch = judge.streamed(tier=member.settings.tier, final=final) if judge else None
    held: list[Delta] = []
    size = 0
    shown = ended = False
    note = call.attempt
    async with member.visit(note) as visit, aclosing(member.backend.stream(call)) as upstream:
        while (delta := await _next(upstream, member, opened)) is not None:
            if note is not None:
                note.judging()
            if watch and (verdict := watch.feed(delta)):
                turned_down = _turned_down(visit, member, call, verdict, _text((*held, delta)))
                raise _too_late(member, opened, verdict) if shown else turned_down
            ended = ended or delta.finish_reason is not None
            held.append(delta)
            size += _DELTA_BYTES + len(delta.raw or b"")
            begun = opened.first_token_seconds is not None and (watch is None or watch.ready())
            if (ended or not (shown or begun)) and size <= MAX_HELD_BYTES:
                continue
            if not shown:
                shown = True
                visit.begun()
                if note is not None:
                    note.judged()
                yield Delta()
            for delta in held:
                yield delta
            held.clear()
            size = 0
        if watch and (verdict := watch.finish()):
            turned_down = _turned_down(visit, member, call, verdict, _text(held))
            raise _too_late(member, opened, verdict) if shown else turned_down
        if note is not None and not shown:
            note.judged()
        visit.begun()
        member.seconds.observe(opened.backend_seconds)
        if not shown:
            yield Delta()
        for delta in held:
            yield delta


async def _next(
    upstream: AsyncGenerator[Delta, None], member: Member, opened: OpenedStream
) -> Delta | None:
    """The next delta, the wait for it booked in ``opened``; nothing at the end."""
    began = member.clock()
    delta = await anext(upstream, None)
    opened.backend_seconds += member.clock() - began
    if delta is not None and delta.has_content and opened.first_token_seconds is None:
        opened.first_token_seconds = opened.backend_seconds
        member.first_token_seconds.observe(opened.first_token_seconds)
    return delta


def _text(deltas: Iterable[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def _turned_down(
    visit: Visit, member: Member, call: ModelCall, verdict: Verdict, text: str
) -> AnswerTurnedDown:
    """Book a rejection: the backend did its part."""
    visit.outcome = _TURNED_DOWN
    if call.attempt is not None:
        call.attempt.judged(verdict.rejection.value)
    member.metrics.rejections.labels(member.name, verdict.rejection.value).inc()
    return AnswerTurnedDown(verdict, text)


def _too_late(member: Member, opened: OpenedStream, verdict: Verdict) -> NoAcceptableAnswer:
    return NoAcceptableAnswer(
        f"the answer of backend '{member.name}' was rejected as {verdict.rejection} "
        f"({verdict.detail}) after its beginning had been sent: disregard it and ask again",
        (*opened.rejections, RejectedAnswer(opened.candidate, verdict)),
        opened.attempts,
    )
