"""Term weights for word search."""

from __future__ import annotations

import pytest

from hybrid_coordinator.knowledge.sparse import SparseEncoder


@pytest.fixture(scope="module")
def encoder() -> SparseEncoder:
    return SparseEncoder()


def test_a_word_of_the_question_meets_its_other_forms_in_a_document(encoder: SparseEncoder) -> None:
    query = encoder.query("failing tests")
    (document,) = encoder.documents(["The test failed: two tests fail."])
    assert set(query.indices) == set(query.indices) & set(document.indices)


def test_stop_words_have_no_weight_even_without_a_network(encoder: SparseEncoder) -> None:
    assert encoder.query("What is the of and to?").indices == ()
    assert len(encoder.query("What is the borrow checker?").indices) == 2


def test_an_identifier_is_found_exactly(encoder: SparseEncoder) -> None:
    query = encoder.query("What does hk_frobnicate do?")
    right, wrong = encoder.documents(["def hk_frobnicate(): ...", "def hk_fabricate(): ..."])
    rare = set(query.indices) & set(right.indices)
    assert rare
    assert not rare <= set(wrong.indices)


def test_weights_follow_bm25(encoder: SparseEncoder) -> None:
    """tf·(k+1) / (tf + k·(1 − b + b·|d|/avg)), k = 1.2, b = 0.75, avg = 128."""
    once, thrice = encoder.documents(["needle hay hay2", "needle needle needle"])
    (index,) = encoder.query("needle").indices
    weights = dict(zip(once.indices, once.values, strict=True))
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / 128)
    assert weights[index] == pytest.approx(2.2 / (1 + norm))
    assert list(thrice.values) == pytest.approx([3 * 2.2 / (3 + norm)])


def test_indices_are_distinct_and_fit_the_store(encoder: SparseEncoder) -> None:
    (document,) = encoder.documents([" ".join(f"word{n} word{n}" for n in range(2000))])
    assert len(set(document.indices)) == len(document.indices)
    assert all(0 <= index < 2**32 for index in document.indices)
    assert all(weight > 0 for weight in document.values)


def test_nothing_to_search_for_gives_an_empty_vector(encoder: SparseEncoder) -> None:
    assert encoder.query("").indices == ()
    assert encoder.query("?!…").indices == ()
    assert encoder.documents([]) == []
