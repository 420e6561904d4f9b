"""When items rise and go: the rules, worked by hand and as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.lifecycle import DAY, Standing, judged, weight, windows
from hybrid_coordinator.learning_settings import PatternSettings

CANDIDATE, TRUSTED, RETIRED = PatternStatus
SETTINGS = PatternSettings(trusted_after=2, half_life_days=90.0, candidate_days=90.0)

statuses = st.sampled_from(list(PatternStatus))
amounts = st.floats(0.0, 1000.0)
standings = st.builds(Standing, st.integers(0, 1000), amounts, amounts, st.booleans())


@pytest.mark.parametrize(
    ("status", "standing", "expected"),
    [
        (CANDIDATE, Standing(1, 1.0, 0.0, True), (CANDIDATE, "")),
        (CANDIDATE, Standing(2, 2.0, 0.0, True), (TRUSTED, "confirmed")),
        (CANDIDATE, Standing(2, 0.1, 0.0, False), (TRUSTED, "confirmed")),
        (CANDIDATE, Standing(1, 1.0, 0.0, False), (RETIRED, "unconfirmed")),
        # One failure against one source of some days ago is no verdict, two are.
        (CANDIDATE, Standing(1, 0.95, 1.0, True), (CANDIDATE, "")),
        (CANDIDATE, Standing(1, 0.95, 2.0, True), (RETIRED, "harmful")),
        # Nor is one where the good is a half-life old: it is, to the day.
        (CANDIDATE, Standing(1, 0.5, 1.0, True), (RETIRED, "harmful")),
        (TRUSTED, Standing(9, 3.0, 3.4, False), (TRUSTED, "")),
        (TRUSTED, Standing(9, 3.0, 3.5, True), (RETIRED, "harmful")),
        (TRUSTED, Standing(0, 0.0, 0.0, False), (TRUSTED, "")),
        (RETIRED, Standing(99, 99.0, 0.0, True), (RETIRED, "")),
    ],
)
def test_a_learned_items_status(
    status: PatternStatus, standing: Standing, expected: tuple[PatternStatus, str]
) -> None:
    assert judged(status, standing, SETTINGS, learned=True) == expected


@pytest.mark.parametrize(
    ("harmful", "may_retire", "expected"),
    [(2.0, True, CANDIDATE), (2.5, True, RETIRED), (99.0, False, CANDIDATE)],
)
def test_what_somebody_wrote_goes_by_clear_harm_only(
    harmful: float, may_retire: bool, expected: PatternStatus
) -> None:
    standing = Standing(0, 0.0, harmful, recent=False)
    status, _ = judged(CANDIDATE, standing, SETTINGS, learned=False, may_retire=may_retire)
    assert status is expected


@given(statuses, standings, st.booleans())
def test_a_status_is_settled_by_one_look(
    status: PatternStatus, standing: Standing, learned: bool
) -> None:
    once, why = judged(status, standing, SETTINGS, learned=learned)
    assert (once is not status) == bool(why)
    assert judged(once, standing, SETTINGS, learned=learned) == (once, "")


@given(statuses, standings, amounts)
def test_more_harm_never_saves_an_item(
    status: PatternStatus, standing: Standing, more: float
) -> None:
    before, _ = judged(status, standing, SETTINGS, learned=True)
    worse = Standing(
        standing.confirmations, standing.helpful, standing.harmful + more, standing.recent
    )
    after, _ = judged(status, worse, SETTINGS, learned=True)
    assert after is before or after is RETIRED


def test_an_outcome_counts_half_after_a_half_life() -> None:
    assert weight(0.0, 90.0) == 1.0
    assert weight(90 * DAY, 90.0) == 0.5
    assert weight(180 * DAY, 90.0) == 0.25
    # The clock went back.
    assert weight(-5.0, 90.0) == 1.0


@given(st.floats(0.0, 4e9), st.floats(1.0, 3650.0), st.floats(-1e9, 4e9))
def test_every_moment_is_in_one_window_that_weighs_it_about_right(
    now: float, half_life: float, moment: float
) -> None:
    holding = [
        window
        for window in windows(now, half_life)
        if (window.start is None or moment >= window.start)
        and (window.end is None or moment < window.end)
    ]
    assert len(holding) == 1
    exact = weight(now - moment, half_life)
    if holding[0].start is not None:
        assert holding[0].weight == pytest.approx(exact, rel=0.19)
