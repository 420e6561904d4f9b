"""How posts and signs merge into one outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.errors import Conflict, Unprocessable
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import Outcome, OutcomeSource, PostedOutcome
from hybrid_coordinator.learning_settings import SignalSettings, SignalsSettings

SIGNALS = SignalsSettings()
NOTHING = OutcomeState()


def post(
    outcome: str | None = None,
    feedback: int | None = None,
    source: OutcomeSource = OutcomeSource.CLIENT,
    *,
    replace: bool = False,
) -> PostedOutcome:
    return PostedOutcome(Outcome(outcome) if outcome else None, feedback, source, replace)


def after(*posts: PostedOutcome, signs: dict[str, float] | None = None) -> OutcomeState:
    state = OutcomeState(signals=signs or {})
    for each in posts:
        state = state.posted(each, SIGNALS)
    return state


def effective(state: OutcomeState) -> tuple[str, int | None, str | None]:
    found = state.effective()
    return found.outcome.value, found.user_feedback, found.source.value if found.source else None


AGENT, THUMBS = OutcomeSource.AGENT, OutcomeSource.THUMBS


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (after(), ("unknown", None, None)),
        (after(post("partial")), ("partial", None, "client")),
        (after(post("success", 1)), ("success", 1, "client")),
        (after(post("success"), post(feedback=-1)), ("success", -1, "client")),
        (after(post(feedback=1)), ("success", 1, "client")),
        (after(post(feedback=-1)), ("failure", -1, "client")),
        (after(post(feedback=0)), ("unknown", 0, None)),
        (after(post(feedback=1), post("partial")), ("partial", 1, "client")),
        (after(post("success", source=AGENT)), ("success", None, "agent")),
        (after(post("failure", source=AGENT)), ("failure", None, "agent")),
        (after(post("partial", source=AGENT)), ("partial", None, "agent")),
        (after(post(feedback=1, source=THUMBS)), ("success", 1, "thumbs")),
        (after(post(feedback=-1, source=THUMBS)), ("failure", -1, "thumbs")),
        (after(post("success", 1, THUMBS)), ("success", 1, "thumbs")),
        (after(post(feedback=0, source=THUMBS)), ("unknown", None, None)),
        (after(post("failure", source=AGENT), post("success")), ("success", None, "client")),
        (after(post(feedback=-1, source=THUMBS), post(feedback=1)), ("success", 1, "client")),
        (after(post(feedback=0), signs={"reask": -0.5}), ("failure", 0, "reask")),
        (after(signs={"retry": -0.25}), ("unknown", None, None)),
        (after(signs={"retry": -0.25, "reask": -0.25}), ("failure", None, "reask")),
        (after(signs={"reask": -0.5, "thumbs": 1.0}), ("success", 1, "thumbs")),
        (after(signs={"reask": -0.5, "agent": 0.5}), ("unknown", None, None)),
        (after(signs={"agent": 0.0, "retry": -0.25}), ("unknown", None, None)),
        (after(signs={"escalation": -1.0}), ("failure", None, "escalation")),
    ],
)
def test_explicit_words_win_and_signs_add_up(
    state: OutcomeState, expected: tuple[str, int | None, str | None]
) -> None:
    assert effective(state) == expected


@pytest.mark.parametrize(
    "said",
    [
        post("success"),
        post("failure", -1),
        post(feedback=0),
        post("partial", source=AGENT),
        post(feedback=1, source=THUMBS),
        post(feedback=0, source=THUMBS),
    ],
)
def test_the_same_again_is_the_very_same_state(said: PostedOutcome) -> None:
    once = after(said)
    assert once.posted(said, SIGNALS) is once


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        (post("success"), post("failure"), "outcome"),
        (post("success", 1), post("success", 0), "user_feedback"),
        (post("success", source=AGENT), post("failure", source=AGENT), "outcome"),
        (post(feedback=1, source=THUMBS), post(feedback=-1, source=THUMBS), "outcome"),
        (post(feedback=1, source=THUMBS), post(feedback=0, source=THUMBS), "user_feedback"),
    ],
)
def test_another_value_is_a_conflict_unless_it_is_meant(
    first: PostedOutcome, second: PostedOutcome, field: str
) -> None:
    state = after(first)
    with pytest.raises(Conflict, match="replace") as caught:
        state.posted(second, SIGNALS)
    assert caught.value.field == field
    meant = PostedOutcome(second.outcome, second.user_feedback, second.source, replace=True)
    assert effective(state.posted(meant, SIGNALS)) == effective(after(second))


@pytest.mark.parametrize(
    ("posted", "field"),
    [
        (post("success", 2), "user_feedback"),
        (post("success", -2), "user_feedback"),
        (post(), "outcome"),
        (post("unknown"), "outcome"),
        (post("success", source=OutcomeSource.REASK), "source"),
        (post("success", source=OutcomeSource.ESCALATION), "source"),
        (post("success", 1, AGENT), "user_feedback"),
        (post("success", -1, THUMBS), "user_feedback"),
    ],
)
def test_what_cannot_mean_anything_is_unprocessable(posted: PostedOutcome, field: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        NOTHING.posted(posted, SIGNALS)
    assert caught.value.field == field


@pytest.mark.parametrize("setting", [SignalSettings(enable=False), SignalSettings(weight=0.0)])
def test_a_source_that_is_switched_off_is_refused(setting: SignalSettings) -> None:
    with pytest.raises(Unprocessable, match="switched off") as caught:
        NOTHING.posted(post("success", source=AGENT), SignalsSettings(agent=setting))
    assert caught.value.field == "source"


def test_another_weight_in_the_settings_makes_the_same_word_no_other_word() -> None:
    light = SignalsSettings(agent=SignalSettings(weight=0.25))
    state = NOTHING.posted(post("success", source=AGENT), light)
    assert state.signals == {"agent": 0.25}
    assert state.posted(post("success", source=AGENT), SIGNALS) is state


def test_a_state_comes_back_from_the_item_that_carries_it() -> None:
    for state in (
        after(post("success", 1)),
        after(post("partial"), post("failure", source=AGENT)),
        after(post(feedback=1, source=THUMBS)),
        after(signs={"reask": -0.5}),
        NOTHING,
    ):
        found = state.effective()
        item = InteractionHistory(
            query="q",
            outcome=found.outcome.value,
            outcome_source=found.source.value if found.source else "",
            user_feedback=found.user_feedback or 0,
            feedback_given=found.user_feedback is not None,
            signals=state.signals,
        )
        assert OutcomeState.of(item) == state


POSTS = st.builds(
    post,
    st.sampled_from([None, "success", "partial", "failure", "unknown"]),
    st.sampled_from([None, -1, 0, 1]),
    st.sampled_from(list(OutcomeSource)),
    replace=st.booleans(),
)


@given(st.lists(POSTS, max_size=12))
def test_whatever_is_posted_the_state_is_whole_and_saying_it_again_changes_nothing(
    posts: list[PostedOutcome],
) -> None:
    state = NOTHING
    for each in posts:
        try:
            state = state.posted(each, SIGNALS)
        except (Conflict, Unprocessable):
            continue
        assert state.posted(each, SIGNALS) is state
        assert OutcomeState.model_validate_json(state.model_dump_json()) == state
        found = state.effective()
        assert (found.source is None) == (found.outcome is Outcome.UNKNOWN)


@given(
    st.dictionaries(
        st.sampled_from([source.value for source in OutcomeSource]),
        st.floats(-1, 1),
        max_size=6,
    )
)
def test_signs_decide_only_from_half_a_weight_on(signs: dict[str, float]) -> None:
    found = OutcomeState(signals=signs).effective()
    total = sum(signs.values())
    assert (found.outcome is Outcome.SUCCESS) == (total >= 0.5)
    assert (found.outcome is Outcome.FAILURE) == (total <= -0.5)
    if found.source is not None:
        assert found.source.value in signs
