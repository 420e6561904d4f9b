"""Each rule with literal numbers; and that no proposal is one the settings would refuse."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.analysis import rules
from hybrid_coordinator.analysis.report import NIX, Finding, State
from hybrid_coordinator.analysis.use import BackendUse, Live, Use
from hybrid_coordinator.conversation import CacheStatus
from hybrid_coordinator.settings import Collection, Settings

MODEL = {"name": "m", "input_price": 1.0}
BACKENDS: dict[str, Any] = {
    "home": {"kind": "openai", "base_url": "http://127.0.0.1:9"},
    "paid": {
        "kind": "openai",
        "base_url": "http://127.0.0.1:9",
        "tier": "remote",
        "models": [MODEL],
    },
}


def settings(**tree: Any) -> Settings:
    return Settings.model_validate({"backends": BACKENDS, **tree})


def only(rule: rules.Rule, use: Use, **tree: Any) -> Finding:
    (found,) = rule(settings(**tree), use)
    return found


def line(found: Finding) -> str:
    assert found.proposal is not None, found
    return found.proposal.line.removeprefix(f"{NIX}.")


def test_a_threshold_that_is_never_reached_is_lowered_so_that_a_quarter_passes() -> None:
    use = Use(confidences=[0.1] * 45 + [0.456] * 15, since=10.0, until=20.0)
    found = only(rules.routing_threshold, use)
    assert (found.state, found.found) == (State.CHANGE, "0 of 60 reached 0.7")
    assert line(found) == "routing.local_confidence_threshold = 0.45;"
    evidence = found.evidence
    assert (evidence.n, evidence.needed, evidence.since, evidence.until) == (60, 50, 10.0, 20.0)


def test_a_threshold_that_is_always_reached_is_raised() -> None:
    found = only(rules.value_threshold, Use(scores=[0.75] * 20 + [0.8] * 40))
    assert found.found == "60 of 60 reached 0.7"
    assert line(found) == "learning.high_value_threshold = 0.76;"


def test_values_that_are_all_alike_are_divided_by_no_threshold() -> None:
    found = only(rules.value_threshold, Use(scores=[0.5] * 60))
    assert (found.state, found.proposal) == (State.LOOK, None)


def test_a_threshold_that_divides_is_left_alone_and_few_observations_are_no_data() -> None:
    assert only(rules.value_threshold, Use(scores=[0.2] * 30 + [0.8] * 30)).state is State.FINE
    found = only(rules.value_threshold, Use(scores=[0.2] * 49))
    assert (found.state, found.proposal) == (State.NO_DATA, None)
    assert found.found == "no data: 49 observations, 50 are needed"


def test_with_one_tier_the_routers_threshold_decides_nothing() -> None:
    home = {"home": BACKENDS["home"]}
    use = Use(confidences=[0.1] * 90)
    assert only(rules.routing_threshold, use, backends=home).state is State.FINE


def test_a_semantic_cache_that_never_serves_is_switched_off() -> None:
    found = only(rules.semantic_cache, Use(compared=200, lookups={CacheStatus.MISS: 200}))
    assert line(found) == "cache.semantic.enable = false;"
    served = Use(compared=200, lookups={CacheStatus.SEMANTIC: 3})
    assert only(rules.semantic_cache, served).found == "it served 3 of 200 questions"
    assert only(rules.semantic_cache, Use(compared=199)).state is State.NO_DATA


def test_a_full_cache_is_doubled() -> None:
    full = Use(live=Live(cache_entries=95))
    assert line(only(rules.cache_size, full, cache={"max_entries": 100})) == (
        "cache.max_entries = 200;"
    )
    half = Use(live=Live(cache_entries=50))
    assert only(rules.cache_size, half, cache={"max_entries": 100}).state is State.FINE
    assert only(rules.cache_size, Use()).state is State.NO_DATA


def test_a_collection_that_never_gives_an_item_is_left_out_and_an_empty_one_named() -> None:
    points = dict.fromkeys((name.value for name in Collection), 5)
    use = Use(
        searches=100,
        retrieved={"codebase-context": 7, "best-practices": 1},
        live=Live(points={**points, "error-solutions": 0}),
    )
    found = {f.topic.rpartition(".")[2]: f for f in rules.collections(settings(), use)}
    assert "interaction-history" not in found
    assert found["codebase-context"].found == "it gave 7 items in 100 searches"
    assert found["error-solutions"].state is State.LOOK
    assert line(found["skills-patterns"]) == (
        "retrieval.limits = { codebase-context = 8; skills-patterns = 0; error-solutions = 4; "
        "interaction-history = 0; best-practices = 4; };"
    )


@pytest.mark.parametrize(
    ("tokens", "proposed"),
    [([100] * 99 + [640], 800), ([1490] * 60 + [200] * 40, 2300), ([1000] * 100, None)],
)
def test_a_token_budget_fits_what_prompts_get(tokens: list[int], proposed: int | None) -> None:
    found = only(rules.token_budget, Use(context_tokens=tokens))
    if proposed is None:
        assert (found.state, found.proposal) == (State.FINE, None)
    else:
        assert line(found) == f"retrieval.token_budget = {proposed};"


def test_a_backend_never_asked_or_always_failing_is_named() -> None:
    use = Use(backends={"home": BackendUse(asked=200, failed=190)})
    home, paid = rules.backends(settings(), use)
    assert (home.state, home.found.split(":")[0]) == (State.LOOK, "190 of 200 tries failed")
    assert paid.found.startswith("it was asked none of 200 times")
    few = Use(backends={"home": BackendUse(asked=19, failed=19)})
    assert {f.state for f in rules.backends(settings(), few)} == {State.NO_DATA}


def test_a_time_limit_close_to_what_answers_take_is_lengthened() -> None:
    use = Use(backends={"home": BackendUse(100, 0, [1.0] * 98 + [50.5, 58.0])})
    home, paid = rules.first_token(settings(), use)
    assert line(home) == "backends.home.first_token_timeout = 101;"
    assert paid.state is State.NO_DATA


def test_a_daily_budget_that_is_spent_on_most_days_is_raised_by_half() -> None:
    spent = {1: 2.0, 2: 2.1, 3: 0.5}
    found = only(rules.daily_budget, Use(spent=spent), routing={"daily_budget_usd": 2.0})
    assert (found.found, line(found)) == (
        "it was spent on 2 of 3 days",
        "routing.daily_budget_usd = 3;",
    )
    assert only(rules.daily_budget, Use(spent=spent)).found == "there is none"


def test_a_queue_that_grows_is_worked_off_sooner() -> None:
    use = Use(scores=[0.9] * 80, extracted=10, live=Live(queue_waiting=70))
    assert line(only(rules.extraction_queue, use)) == "learning.extraction.idle = 5;"
    off = {"extraction": {"in_service": False}}
    found = only(rules.extraction_queue, use, learning=off)
    assert line(found) == "learning.extraction.in_service = true;"


def test_an_outbox_that_is_half_full_is_doubled() -> None:
    use = Use(live=Live(outbox_records=50, outbox_bytes=10))
    made = settings(learning={"outbox": {"max_records": 100}})
    records, size = rules.outbox(made, use)
    assert line(records) == "learning.outbox.max_records = 200;"
    assert size.state is State.FINE


def test_events_that_are_lost_or_go_too_soon_are_given_room() -> None:
    use = Use(events=9, since=0.0, until=86_400.0, live=Live(lost=3, event_files=8))
    lost, kept = rules.telemetry(settings(), use)
    assert line(lost) == "telemetry.queue_size = 20000;"
    assert (kept.found, line(kept)) == (
        "the 8 files hold 1.0 days, too few to learn from",
        "telemetry.max_files = 16;",
    )


def test_without_any_event_nothing_is_proposed() -> None:
    assert {f.proposal for f in rules.findings(settings(), Use())} == {None}


ratios = st.lists(st.floats(0.0, 1.0), max_size=120)
counts = st.integers(0, 10**9)
uses = st.builds(
    Use,
    since=st.just(0.0),
    until=st.floats(0.0, 1e7),
    compared=counts,
    confidences=ratios,
    scores=ratios,
    searches=counts,
    retrieved=st.dictionaries(st.sampled_from([c.value for c in Collection]), counts),
    context_tokens=st.lists(st.integers(1, 10**6), min_size=100, max_size=120),
    spent=st.dictionaries(st.integers(0, 20), st.floats(0.0, 1e6), max_size=6),
    backends=st.dictionaries(
        st.sampled_from(["home", "paid"]),
        st.builds(
            BackendUse,
            counts,
            counts,
            st.lists(st.floats(0.0, 1e5), min_size=99, max_size=110),
        ),
    ),
    live=st.builds(
        Live,
        cache_entries=counts,
        points=st.dictionaries(st.sampled_from([c.value for c in Collection]), counts),
        outbox_records=counts,
        outbox_bytes=counts,
        queue_waiting=counts,
        lost=counts,
        event_files=st.integers(0, 100),
    ),
)


@given(uses, st.floats(0.0, 1.0), st.one_of(st.none(), st.floats(0.0, 1e5)))
def test_every_proposal_is_a_setting_that_is_accepted_and_is_another(
    use: Use, threshold: float, budget: float | None
) -> None:
    made = settings(
        learning={"high_value_threshold": threshold}, routing={"daily_budget_usd": budget}
    )
    for found in rules.findings(made, use):
        assert (found.proposal is not None) == (found.state is State.CHANGE)
        if found.proposal is None:
            continue
        assert found.evidence.n >= found.evidence.needed
        tree = made.model_dump(mode="json")
        section = tree
        for name in found.proposal.path[:-1]:
            section = section[name]
        assert section[found.proposal.path[-1]] != found.proposal.value
        section[found.proposal.path[-1]] = found.proposal.value
        Settings.model_validate(tree)
        assert re.fullmatch(rf"{re.escape(NIX)}\.[\w.\-\"]+ = [^;].*;", found.proposal.line)
