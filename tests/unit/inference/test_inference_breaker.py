"""The circuit breaker's three states, on a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.inference.breaker import Breaker, BreakerState


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def open_breaker(clock: Clock, failures: int = 2) -> Breaker:
    breaker = Breaker(failures, 15.0, clock=clock)
    for _ in range(failures):
        assert breaker.admit()
        breaker.failed()
    return breaker


def test_it_stays_closed_below_the_limit_of_failures_in_a_row() -> None:
    breaker = Breaker(3, 15.0, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admit()


def test_it_opens_at_the_limit_and_says_for_how_long() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.admit()
    clock.now += 5.0
    assert breaker.remaining == 10.0


def test_after_the_reset_it_admits_one_trial_and_turns_the_others_away() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 15.0
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.admit()
    assert not breaker.admit()


def test_a_good_trial_closes_it() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 15.0
    breaker.admit()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_a_bad_trial_opens_it_for_the_whole_time_again() -> None:
    clock = Clock()
    breaker = open_breaker(clock, failures=5)
    clock.now += 15.0
    breaker.admit()
    breaker.failed()
    assert breaker.state is BreakerState.OPEN
    assert breaker.remaining == 15.0


def test_a_cancelled_trial_leaves_the_next_one_to_somebody_else() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 15.0
    breaker.admit()
    breaker.abandoned()
    assert breaker.admit()


def test_a_trial_that_has_begun_closes_it_before_it_ends() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 15.0
    breaker.admit()
    breaker.begun()
    assert breaker.admit()
    assert breaker.state is BreakerState.CLOSED


def test_answers_that_begin_and_never_end_open_it_all_the_same() -> None:
    breaker = Breaker(3, 15.0, clock=Clock())
    for _ in range(3):
        assert breaker.admit()
        breaker.begun()
        breaker.failed()
    assert breaker.state is BreakerState.OPEN


def test_a_backend_seen_well_by_a_probe_gets_its_trial_at_once() -> None:
    breaker = open_breaker(Clock())
    breaker.trial_due()
    assert breaker.state is BreakerState.HALF_OPEN
    closed = Breaker(1, 15.0, clock=Clock())
    closed.trial_due()
    assert closed.state is BreakerState.CLOSED


@given(
    st.lists(st.sampled_from(["succeeded", "failed", "abandoned", "begun", "wait"])),
    st.integers(1, 4),
)
def test_whatever_happens_at_most_one_trial_is_out(steps: list[str], failures: int) -> None:
    clock = Clock()
    breaker = Breaker(failures, 15.0, clock=clock)
    for step in steps:
        if step == "wait":
            clock.now += 8.0
        elif breaker.admit():
            if breaker.state is not BreakerState.CLOSED:
                assert not breaker.admit()
            getattr(breaker, step)()
