"""W3C Trace Context: what is a client's trace, what is none, and what backends are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.trace_context import (
    Parent,
    TraceContext,
    new_id,
    parse_traceparent,
)

TRACE, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
EXAMPLE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def context(*, sampled: bool = True, state: str = "") -> TraceContext:
    numbers = iter(range(1, 100))
    return TraceContext(TRACE, SPAN, None, sampled, state, bits=lambda _: next(numbers))


def test_the_example_of_the_standard_is_read() -> None:
    assert parse_traceparent(EXAMPLE) == Parent(TRACE, SPAN, sampled=True)
    assert parse_traceparent(EXAMPLE[:-2] + "00") == Parent(TRACE, SPAN, sampled=False)
    assert parse_traceparent(f" {EXAMPLE} ") == Parent(TRACE, SPAN, sampled=True)


def test_a_later_version_is_read_as_far_as_this_one_goes() -> None:
    assert parse_traceparent(f"cc{EXAMPLE[2:]}-what-will-come") == Parent(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "none",
        EXAMPLE.upper(),
        f"ff{EXAMPLE[2:]}",
        f"{EXAMPLE}-more",
        f"{EXAMPLE}, {EXAMPLE}",
        EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        EXAMPLE.replace("00f067aa0ba902b7", "0" * 16),
        EXAMPLE[:-1],
        EXAMPLE.replace("-01", "-0x"),
    ],
)
def test_what_is_no_traceparent_is_none(header: str) -> None:
    assert parse_traceparent(header) is None


@given(st.text())
def test_no_text_makes_reading_fail(header: str) -> None:
    assert parse_traceparent(header) is None or header.strip()[2] == "-"


@given(
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from(["", "a=1"]),
)
def test_a_backend_is_told_the_attempts_own_span_in_the_requests_trace(
    trace_id: int, span_id: int, sampled: bool, state: str
) -> None:
    it = TraceContext(trace_id, 1, None, sampled, state, bits=lambda size: span_id)
    note = it.attempt("remote", "large", lambda: 5.0)
    assert parse_traceparent(note.headers["traceparent"]) == Parent(trace_id, span_id, sampled)
    assert note.headers.get("tracestate", "") == state
    assert note.began == 5.0


def test_an_id_is_never_the_one_that_means_none() -> None:
    assert new_id(lambda _: 0, 64) == 1


def test_an_attempt_ends_once_and_a_late_rejection_is_kept() -> None:
    times = iter((1.0, 2.0, 3.0, 4.0))
    note = context().attempt("b", "m", lambda: next(times))
    note.judging()
    note.judged()
    note.judged()
    assert (note.judging_began, note.judging_ended, note.rejection) == (2.0, 3.0, "")
    note.judged("loop")
    assert (note.judging_ended, note.rejection) == (4.0, "loop")
    times = iter((5.0,))
    note.end("answer_rejected")
    note.end("ok")
    assert (note.ended, note.outcome) == (5.0, "answer_rejected")
