"""What a trace needs while its request runs: ids, times, and the header that backends get.

W3C Trace Context (``traceparent``, ``tracestate``). Spans are made of it after
the last byte, in ``tracing``; where tracing is off, none of this exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_STATE = 512
"""Characters of a ``tracestate`` that is passed on (by the standard); a longer one is not."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True)
class Parent:
    """The client's span, of which this request is a part."""

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(header: str) -> Parent | None:
    """The client's span; nothing where the header is absent, or is none.

    A header that is wrong is as good as none: a trace is no reason to refuse a
    question. Later versions are read as far as this one goes.
    """
    found = _TRACEPARENT.fullmatch(header.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Parent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))


@dataclass(frozen=True, slots=True)
class StepNote:
    """One step of the pipeline. Times are seconds of the trace's clock."""

    name: str
    began: float
    ended: float


@dataclass(slots=True)
class AttemptNote:
    """One request to a backend, from the moment it is made until the backend is let go.

    ``headers`` go with it. ``outcome`` is what the metric's label says.
    """

    backend: str
    model: str
    span_id: int
    headers: Mapping[str, str]
    clock: Callable[[], float]
    began: float
    ended: float | None = None
    outcome: str = ""
    judging_began: float | None = None
    judging_ended: float | None = None
    rejection: str = ""

    def end(self, outcome: str) -> None:
        """Note how it ended; the first word stays."""
        if self.ended is None:
            self.ended, self.outcome = self.clock(), outcome

    def judging(self) -> None:
        """Note that validation has something to look at."""
        if self.judging_began is None:
            self.judging_began = self.clock()

    def judged(self, rejection: str = "") -> None:
        """Note that the answer may be shown, or why it may not."""
        if self.judging_ended is None or rejection:
            self.judging_ended, self.rejection = self.clock(), rejection


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The ids of one request's trace. ``bits`` gives random numbers of so many bits."""

    trace_id: int
    span_id: int
    parent: Parent | None
    sampled: bool
    state: str
    bits: Callable[[int], int]

    def attempt(self, backend: str, model: str, clock: Callable[[], float]) -> AttemptNote:
        """A note for a request to a backend, which begins now."""
        span_id = new_id(self.bits, 64)
        flags = _SAMPLED if self.sampled else 0
        headers = {"traceparent": f"00-{self.trace_id:032x}-{span_id:016x}-{flags:02x}"}
        if self.state:
            headers["tracestate"] = self.state
        return AttemptNote(backend, model, span_id, headers, clock, began=clock())


def new_id(bits: Callable[[int], int], size: int) -> int:
    """A random id of ``size`` bits; never 0, which means none."""
    return bits(size) or 1
