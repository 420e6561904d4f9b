from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.conversation import Tier
from hybrid_coordinator.errors import ContextTooLong, NoBackend, Unsupported
from hybrid_coordinator.routing import Classifier, extract
from hybrid_coordinator.routing.experts import shipped_weights
from hybrid_coordinator.routing.features import FEATURE_NAMES
from tests.unit.routing.scenes import View, ask, backend, model, router

EMBEDDER = shipped_weights().facts.embedder
DIMENSION = shipped_weights().facts.dimension
CLASSIFIER = Classifier(EMBEDDER)

questions = st.text(max_size=400) | st.sampled_from(
    ["Prove it.", "2 + 2?", "A. x\nB. y\nC. z", "x" * 5000, "a b " * 3000, "```\ncode();\n```"]
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.just([{"type": "function"}]),
        "response_format": st.just({"type": "json_object"}),
        "max_tokens": st.integers(1, 40_000),
    },
)


@st.composite
def views(draw: st.DrawFn) -> list[View]:
    return [
        backend(
            f"b{i}",
            *(
                model(
                    f"m{i}-{j}",
                    context_tokens=draw(st.sampled_from([512, 4096, 100_000])),
                    tools=draw(st.booleans()),
                    structured_output=draw(st.booleans()),
                    output_price=draw(st.sampled_from([0.0, 1.0, 5.0])),
                )
                for j in range(draw(st.integers(0, 2)))
            ),
            tier=draw(st.sampled_from(Tier)),
            priority=draw(st.integers(-1, 1)),
            usable=draw(st.booleans()),
            detail="down",
        )
        for i in range(draw(st.integers(1, 4)))
    ]


@settings(max_examples=150, deadline=None)
@given(questions, bodies, views(), st.integers(0, 120_000), st.sampled_from([0.0, 3.0, 9.0]))
def test_every_candidate_can_serve_the_request_and_there_is_one_or_an_error(
    question: str, body: dict[str, object], statuses: list[View], tokens: int, spent: float
) -> None:
    request = ask(question, **body)
    try:
        decision = router(daily_budget_usd=5.0).decide(
            request, statuses=statuses, prompt_tokens=tokens, spent_today_usd=spent
        )
    except (ContextTooLong, NoBackend, Unsupported):
        return
    assert decision.candidates
    by_name = {view.name: view for view in statuses}
    for candidate in decision.candidates:
        view, chosen = by_name[candidate.backend], candidate.model
        assert chosen in view.models
        assert chosen.tools or not request.uses_tools
        assert chosen.structured_output or not request.wants_structure
        assert tokens < chosen.context_tokens
        assert spent < 5.0 or view.settings.tier is Tier.LOCAL
        assert candidate.backend not in decision.passed_over
    assert by_name[decision.candidates[0].backend].settings.tier is decision.tier
    assert len({c.backend for c in decision.candidates}) == len(decision.candidates)


@settings(max_examples=60, deadline=None)
@given(questions, views(), st.floats(0, 10), st.floats(0, 10))
def test_more_money_spent_never_moves_a_request_to_the_remote_tier(
    question: str, statuses: list[View], one: float, other: float
) -> None:
    def remotes(spent: float) -> set[str]:
        try:
            decision = router(daily_budget_usd=4.0).decide(
                ask(question), statuses=statuses, spent_today_usd=spent
            )
        except (ContextTooLong, NoBackend):
            return set()
        remote = {view.name for view in statuses if view.settings.tier is Tier.REMOTE}
        return remote & {c.backend for c in decision.candidates}

    assert remotes(max(one, other)) <= remotes(min(one, other))


@settings(max_examples=150, deadline=None)
@given(questions, st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(0, 10**6))
def test_confidence_is_a_probability_and_repeats(
    question: str, seed: int, score: float, tokens: int
) -> None:
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    vector /= np.linalg.norm(vector)
    features = extract(ask(question), prompt_tokens=tokens, best_context_score=score)
    estimate = CLASSIFIER.estimate(features, question, vector)
    assert 0.0 <= estimate.confidence <= 1.0
    assert -1.0 <= estimate.gain <= 1.0
    assert CLASSIFIER.estimate(features, question, vector) == estimate


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=600), st.floats(allow_nan=True, allow_infinity=True))
def test_features_are_finite_whatever_the_text(question: str, score: float) -> None:
    vector = extract(ask(question), best_context_score=score).vector()
    assert vector.shape == (len(FEATURE_NAMES),)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()


@settings(max_examples=60, deadline=None)
@given(questions, st.floats(0, 1), st.floats(0, 1))
def test_better_retrieved_context_never_lowers_the_confidence(
    question: str, one: float, other: float
) -> None:
    low, high = (
        CLASSIFIER.estimate(extract(ask(question), best_context_score=score), question).confidence
        for score in sorted((one, other))
    )
    assert low <= high
