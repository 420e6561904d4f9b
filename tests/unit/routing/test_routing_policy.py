from __future__ import annotations

from typing import Any

import pytest

from hybrid_coordinator.conversation import Tier
from hybrid_coordinator.errors import ContextTooLong, NoBackend, UnknownModel, Unsupported
from hybrid_coordinator.routing import Complexity, ReasonClass
from tests.unit.routing.scenes import (
    EASY,
    HARD,
    View,
    ask,
    backend,
    local,
    model,
    names,
    remote,
    router,
)

BOTH = [local(), remote()]
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]


def test_a_simple_question_stays_local_and_falls_back_to_remote() -> None:
    decision = router().decide(ask(EASY), statuses=BOTH)
    assert decision.reason is ReasonClass.CONFIDENT_LOCAL
    assert decision.tier is Tier.LOCAL
    assert names(decision.candidates) == ["lemonade", "claude"]
    assert decision.complexity is Complexity.SIMPLE
    assert decision.confidence is not None
    assert decision.confidence >= decision.threshold == 0.7
    assert decision.route == "local:lemonade/qwen3"


def test_a_complex_question_goes_remote_and_falls_back_to_local() -> None:
    decision = router().decide(ask(HARD), statuses=BOTH)
    assert decision.reason is ReasonClass.LOW_CONFIDENCE
    assert names(decision.candidates) == ["claude", "lemonade"]
    assert decision.complexity is Complexity.COMPLEX
    assert decision.gain is not None
    assert decision.gain > 0.2


def test_the_threshold_is_the_setting() -> None:
    strict = router(local_confidence_threshold=1.0).decide(ask(EASY), statuses=BOTH)
    lax = router(local_confidence_threshold=0.0).decide(ask(HARD), statuses=BOTH)
    assert (strict.tier, lax.tier) == (Tier.REMOTE, Tier.LOCAL)


def test_without_a_remote_backend_even_a_complex_question_is_local_and_says_so() -> None:
    decision = router().decide(ask(HARD), statuses=[local()])
    assert decision.reason is ReasonClass.NO_REMOTE
    assert names(decision.candidates) == ["lemonade"]
    assert "no remote backend is configured" in decision.summary


def test_without_a_local_backend_even_a_simple_question_is_remote() -> None:
    decision = router().decide(ask(EASY), statuses=[remote()])
    assert (decision.reason, decision.tier) == (ReasonClass.NO_LOCAL, Tier.REMOTE)


@pytest.mark.parametrize("name", ["sonnet", "claude/sonnet", "claude"])
def test_a_model_a_backend_or_both_pin(name: str) -> None:
    decision = router().decide(ask(EASY, model=name), statuses=BOTH)
    assert decision.reason is ReasonClass.PINNED
    assert names(decision.candidates) == ["claude"]
    assert decision.confidence is None


def test_a_model_name_with_a_slash_is_not_taken_for_a_backend() -> None:
    views = [local("qwen", model("small")), local("other", model("qwen/small"))]
    assert names(router().decide(ask(model="qwen/small"), statuses=views).candidates) == ["other"]


def test_a_pinned_model_on_several_backends_falls_back_only_among_these() -> None:
    views = [local("a", priority=1), remote(), local("b", priority=5), local("c", model("x"))]
    assert names(router().decide(ask(model="qwen3"), statuses=views).candidates) == ["b", "a"]


def test_an_unknown_model_is_refused_with_some_known_names() -> None:
    views = [local("a", *(model(f"m{i}") for i in range(30))), backend("mute", detail="refused")]
    with pytest.raises(UnknownModel) as refused:
        router().decide(ask(model="gpt-9"), statuses=views)
    assert refused.value.field == "model"
    assert "'gpt-9'" in refused.value.message
    assert "auto, m0" in refused.value.message
    assert "m29" not in refused.value.message
    assert "mute (refused)" in refused.value.message


def test_a_pinned_backend_of_which_no_model_is_known_yet_is_no_backend() -> None:
    with pytest.raises(NoBackend) as failed:
        router().decide(
            ask(model="mute"), statuses=[local(), backend("mute", detail="connection refused")]
        )
    assert [(a.backend, a.why) for a in failed.value.attempts] == [("mute", "connection refused")]


def test_images_go_to_the_tier_that_sees() -> None:
    request = ask(messages=[{"role": "user", "content": IMAGE}])
    decision = router().decide(request, statuses=BOTH)
    assert decision.reason is ReasonClass.CAPABILITY
    assert names(decision.candidates) == ["claude"]
    assert decision.passed_over == {"lemonade": "qwen3 has no images"}


def test_of_a_backend_the_first_model_that_is_able_is_asked() -> None:
    views = [local("l", model("plain", tools=False), model("tooled"))]
    decision = router().decide(ask(tools=[{"type": "function"}]), statuses=views)
    assert decision.candidates[0].model.name == "tooled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"messages": [{"role": "user", "content": IMAGE}]}, "messages"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
@pytest.mark.parametrize("pin", ["auto", "qwen3"])
def test_a_capability_that_nobody_has_is_refused_by_its_field(
    body: dict[str, Any], field: str, pin: str
) -> None:
    poor = local("l", model(tools=False, images=False, structured_output=False))
    with pytest.raises(Unsupported) as refused:
        router().decide(ask(**body, model=pin), statuses=[poor])
    assert refused.value.field == field


def test_a_long_conversation_goes_where_it_fits() -> None:
    decision = router().decide(ask(EASY), statuses=BOTH, prompt_tokens=20_000)
    assert (decision.reason, decision.tier) == (ReasonClass.CAPABILITY, Tier.REMOTE)
    assert "8192" in decision.passed_over["lemonade"]


def test_the_output_asked_for_counts_toward_the_context() -> None:
    views = [local("l", model(context_tokens=8192, max_output_tokens=8000)), remote()]
    assert router().decide(ask(), statuses=views, prompt_tokens=1000).tier is Tier.LOCAL
    wide = router().decide(ask(max_tokens=7500), statuses=views, prompt_tokens=1000)
    assert wide.reason is ReasonClass.CAPABILITY


def test_an_output_limit_beyond_what_a_model_ever_writes_keeps_nobody_out() -> None:
    decision = router().decide(ask(max_tokens=64_000), statuses=BOTH, prompt_tokens=1000)
    assert decision.tier is Tier.LOCAL


def test_an_output_limit_that_fits_nowhere_is_a_bound_and_not_a_wish() -> None:
    views = [local("l", model(context_tokens=4096, max_output_tokens=4096))]
    decision = router().decide(ask(max_tokens=4096), statuses=views, prompt_tokens=1000)
    assert names(decision.candidates) == ["l"]


def test_a_conversation_longer_than_every_context_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextTooLong) as refused:
        router().decide(ask(), statuses=BOTH, prompt_tokens=200_000)
    assert refused.value.field == "messages"
    assert refused.value.message.count("200000") == 2


def test_a_backend_that_is_not_ready_leaves_with_a_note() -> None:
    views = [local(usable=False, detail="no model is loaded"), local("ollama"), remote()]
    decision = router().decide(ask(EASY), statuses=views)
    assert names(decision.candidates) == ["ollama", "claude"]
    assert decision.passed_over == {"lemonade": "no model is loaded"}


def test_with_one_tier_down_the_other_answers_by_reason_of_health() -> None:
    views = [local(usable=False, detail="connection refused"), remote()]
    decision = router().decide(ask(EASY), statuses=views)
    assert (decision.reason, decision.tier) == (ReasonClass.HEALTH, Tier.REMOTE)
    assert "lemonade: connection refused" in decision.detail


def test_with_nobody_ready_all_capable_are_candidates_by_reason_of_health() -> None:
    views = [local(usable=False, detail="{refused}"), remote(usable=False, detail="breaker open")]
    decision = router().decide(ask(EASY), statuses=views)
    assert decision.reason is ReasonClass.HEALTH
    assert names(decision.candidates) == ["lemonade", "claude"]


def test_a_pinned_model_whose_backend_is_down_is_still_the_candidate() -> None:
    decision = router().decide(ask(model="qwen3"), statuses=[local(usable=False), remote()])
    assert names(decision.candidates) == ["lemonade"]


def test_without_any_backend_there_is_no_backend() -> None:
    with pytest.raises(NoBackend):
        router().decide(ask(), statuses=[])


def test_a_spent_budget_keeps_a_complex_question_local_and_pays_for_no_fallback() -> None:
    decision = router(daily_budget_usd=5.0).decide(ask(HARD), statuses=BOTH, spent_today_usd=5.01)
    assert decision.reason is ReasonClass.BUDGET
    assert names(decision.candidates) == ["lemonade"]
    assert "5.01 of 5.00 USD" in decision.detail
    assert decision.spent_usd == 5.01


def test_a_pinned_remote_model_is_served_beyond_the_budget() -> None:
    decision = router(daily_budget_usd=0.0).decide(ask(model="sonnet"), statuses=BOTH)
    assert names(decision.candidates) == ["claude"]


def test_a_spent_budget_without_a_local_backend_is_refused_until_midnight() -> None:
    with pytest.raises(NoBackend) as refused:
        router(daily_budget_usd=1.0).decide(ask(), statuses=[remote()], spent_today_usd=1.0)
    assert refused.value.retry_after == 12 * 3600
    assert [a.backend for a in refused.value.attempts] == ["claude"]


def test_within_a_tier_priority_comes_before_price_and_price_before_name() -> None:
    def paid(name: str, price: float, priority: int = 0) -> View:
        priced = model(f"m-{name}", output_price=price, context_tokens=32_768)
        return remote(name, priced, priority=priority)

    views = [paid("b", 2.0), paid("a", 2.0), paid("dear", 9.0, priority=1), paid("cheap", 1.0)]
    decision = router().decide(ask(), statuses=views)
    assert names(decision.candidates) == ["dear", "cheap", "a", "b"]


def test_the_summary_is_one_short_ascii_line() -> None:
    views = [local(usable=False, detail="größer ≥ 5\nnächste Zeile " * 40), remote()]
    summary = router().decide(ask(EASY), statuses=views).summary
    assert len(summary) <= 200
    assert summary.isascii()
    assert summary.isprintable()
    assert summary.startswith("health: ")


def test_the_event_carries_the_decision() -> None:
    decision = router().decide(ask(HARD), statuses=BOTH)
    event = decision.to_event(timestamp=12.0, interaction_id="i-1")
    assert (event.backend, event.model, event.reason) == ("claude", "sonnet", "low_confidence")
    assert event.confidence == decision.confidence
    assert event.threshold == 0.7


def test_the_same_arguments_give_the_same_decision() -> None:
    first = router().decide(ask(HARD), statuses=BOTH, prompt_tokens=40)
    assert router().decide(ask(HARD), statuses=BOTH, prompt_tokens=40) == first
