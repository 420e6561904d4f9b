"""The guard's choices: which weights, which bar, and what it says of a pair."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.cache.guard import ALIKE, Guard, GuardVerdict
from hybrid_coordinator.cache.pair_model import NEVER, shipped_weights
from hybrid_coordinator.cache.pair_text import MAX_CHARACTERS
from hybrid_coordinator.cache.pair_words import words
from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.settings import SemanticCacheSettings

EMBEDDER = shipped_weights().embedder


def test_the_weights_are_for_the_bundled_embedder__lesson_3() -> None:
    assert Guard("all-MiniLM-L6-v2-int8", 0.01).calibrated
    assert not Guard("BAAI/bge-small-en-v1.5", 0.01).calibrated


def test_another_embedder_gets_other_trees_and_the_bar_of_half_the_error__lesson_3() -> None:
    guard = Guard("another", 0.02)
    weights = shipped_weights()
    assert guard.bar == weights.without_similarity.bar(0.01)
    assert guard.bar > weights.without_similarity.bar(0.02)


def test_another_embedders_similarity_is_not_looked_at__lesson_3() -> None:
    guard = Guard("another", 0.01)
    asked, cached = "How do I list open files?", "How can I see which files are open?"
    assert guard.examine(asked, cached, 0.1) == guard.examine(asked, cached, 0.99)


def test_a_smaller_accepted_error_never_lowers_the_bar() -> None:
    bars = [Guard(EMBEDDER, e).bar for e in (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0)]
    assert bars == sorted(bars, reverse=True)
    assert bars[0] == NEVER
    assert bars[-1] == 0.0


def test_at_the_default_error_the_bar_can_be_reached() -> None:
    assert Guard(EMBEDDER, SemanticCacheSettings().max_error).bar < ALIKE


def test_no_error_accepted_means_no_hit_at_all() -> None:
    verdict = Guard(EMBEDDER, 0.0).examine("What is NixOS?", "what's nixos", 1.0)
    assert not verdict.same
    assert verdict.rule == "probability"


@pytest.mark.parametrize("max_error", [-0.01, 1.01, float("nan")])
def test_an_error_that_is_no_share_is_refused_with_the_settings_name(max_error: float) -> None:
    with pytest.raises(SettingsError) as caught:
        Guard(EMBEDDER, max_error)
    assert caught.value.field == "cache.semantic.max_error"


def test_a_long_text_is_a_miss_because_the_bars_say_nothing_of_it() -> None:
    text = "why " * (MAX_CHARACTERS // 4) + "x"
    verdict = Guard(EMBEDDER, 1.0).examine(text, text, 1.0)
    assert verdict == GuardVerdict(same=False, rule="length", probability=0.0)


def test_a_text_that_normalisation_makes_long_is_a_miss_too() -> None:
    text = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 100
    assert len(text) < MAX_CHARACTERS
    assert Guard(EMBEDDER, 1.0).examine(text, text, 1.0).rule == "length"


def test_a_higher_similarity_never_makes_the_same_question_less_probable() -> None:
    guard = Guard(EMBEDDER, 0.01)
    asked, cached = "How do I free disk space?", "How can I clean up my disk?"
    found = [guard.examine(asked, cached, s / 50).probability for s in range(51)]
    assert found == sorted(found)


def test_a_broken_rule_is_named_even_where_the_probability_is_low_as_well() -> None:
    verdict = Guard(EMBEDDER, 0.01).examine("How do I open port 80?", "Is tea healthy at 5?", 0.0)
    assert verdict.rule == "number"


_FRAGMENTS = sorted(
    words(
        """please tell me what is not the NixOS nixos 5 GB `ls` a.b a_b --x "q" 'q' / < == how do i
        can't convert to from in and or was ist thanks 1.2.3 É ∑ two hundred"""
    )
)
_TEXTS = st.one_of(
    st.text(max_size=120),
    st.lists(
        st.sampled_from(_FRAGMENTS),
        max_size=40,
    ).map(" ".join),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(asked=_TEXTS, cached=_TEXTS, similarity=st.floats(-1.0, 1.0))
def test_any_two_texts_get_a_verdict_that_is_the_same_either_way_round(
    asked: str, cached: str, similarity: float
) -> None:
    guard = Guard(EMBEDDER, 0.01)
    verdict = guard.examine(asked, cached, similarity)
    other = guard.examine(cached, asked, similarity)
    assert 0.0 <= verdict.probability <= 1.0
    assert verdict.same == (verdict.rule is None)
    assert verdict.same == other.same
    assert verdict.probability == pytest.approx(other.probability)


@pytest.mark.parametrize(
    "text",
    [
        "please tell me " * 34,
        "thanks in advance " * 28,
        "a" * 512,
        "a.b" * 170,
        "a_" * 256,
        "`" * 511,
        '"a' * 256,
        "a@" * 256,
        "/a" * 256,
        "one hundred " * 42,
    ],
)
def test_repetitive_text_ends(text: str) -> None:
    # Each of these makes a backtracking pattern try for longer than anybody waits.
    assert Guard(EMBEDDER, 0.01).examine(text, text[:-2], 0.9).probability >= 0.0
