from __future__ import annotations

import math

import numpy as np
import pytest

from hybrid_coordinator.routing.features import (
    HEAD_CHARS,
    TAIL_CHARS,
    TEXT_FEATURES,
    RequestFeatures,
    excerpt,
    extract,
    text_features,
)
from hybrid_coordinator.routing.ngrams import SIZE, hashed_terms
from tests.unit.routing.scenes import ask


def features(question: str, **body: object) -> RequestFeatures:
    return extract(ask(question, **body))


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("multiple_choice", "Pick one.\nA. yes\nB. no"),
        ("multiple_choice", "…cut off here\nC) yes\nD) no"),
        ("numeric_options", "How many?\nA. 3\nB. 4"),
        ("fill_in", "The capital of France is _____ ."),
        ("statements", "Statement 1 | Water is wet. Statement 2 | Fire is cold."),
        ("list_items", "Do this:\n1. read\n2. write"),
        ("maths_symbols", "x^2 = 4"),
        ("code_lines", "def f(x):\n    return x"),
        ("code_fence", "```\nls\n```"),
        ("questions", "Why?"),
        ("quotes", 'Who said "no"?'),
        ("commas", "red, green"),
        ("proof_words", "Prove it"),
        ("build_words", "Design a bridge"),
        ("non_ascii_share", "Что такое NixOS"),
        ("log_numbers", "between 3 and 5"),
    ],
)
def test_a_feature_is_seen_where_it_is_and_nowhere_else(name: str, question: str) -> None:
    assert getattr(features(question), name) > 0.0
    assert getattr(features("Good morning"), name) == 0.0


def test_the_rest_of_the_request_is_seen() -> None:
    messages = [
        {"role": "system", "content": "x" * 100},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    seen = extract(
        ask(
            messages=messages,
            tools=[{"type": "function"}],
            response_format={"type": "json_schema"},
        ),
        prompt_tokens=50,
        best_context_score=0.8,
    )
    assert (seen.tools, seen.structured, seen.images) == (1.0, 1.0, 0.0)
    assert seen.log_turns == pytest.approx(math.log(2))
    assert seen.log_system_chars == pytest.approx(math.log(101))
    assert seen.log_prompt_tokens == pytest.approx(math.log(51))
    assert seen.context_score == 0.8


def test_of_a_very_long_question_only_head_and_tail_are_examined() -> None:
    middle = "prove " * 200_000
    question = "a" * HEAD_CHARS + middle + "b" * TAIL_CHARS
    seen = features(question)
    assert seen.proof_words == 0.0
    assert seen.log_chars == pytest.approx(math.log1p(len(question)))
    assert len(excerpt(question)) == HEAD_CHARS + TAIL_CHARS + 1


def test_the_vector_has_the_text_features_first() -> None:
    question = "Prove that 2 + 2 = 4, please."
    vector = features(question).vector()
    expected = np.array(text_features(question), dtype=np.float32)
    np.testing.assert_array_equal(vector[: len(TEXT_FEATURES)], expected)


def test_terms_are_a_unit_vector_of_words_and_pairs() -> None:
    indices, weights = hashed_terms("to be or not to be")
    assert len(indices) == len(set(indices.tolist())) == 8  # 4 words, 4 pairs
    assert (np.diff(indices) > 0).all()
    assert 0 <= indices.min() <= indices.max() < SIZE
    assert float(weights @ weights) == pytest.approx(1.0, abs=1e-5)


def test_word_order_tells_questions_apart() -> None:
    one, other = hashed_terms("dog bites man")[0], hashed_terms("man bites dog")[0]
    assert set(one.tolist()) != set(other.tolist())


def test_a_text_without_words_has_no_terms() -> None:
    indices, weights = hashed_terms("  \n ")
    assert len(indices) == len(weights) == 0
