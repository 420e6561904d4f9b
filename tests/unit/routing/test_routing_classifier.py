from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.routing import Classifier, Complexity, Estimate, extract, prior
from hybrid_coordinator.routing.experts import Weights, load_weights, shipped_weights
from hybrid_coordinator.routing.features import FloatArray
from tests.unit.routing import chat_prompts, scenes

MULTIPLE_CHOICE = "Which planet is the largest?\nA. Mars\nB. Jupiter\nC. Venus\nD. Earth\nAnswer:"
WORD_PROBLEM = (
    "A baker sells 12 loaves in the morning and twice as many in the afternoon. If a loaf costs "
    "3 dollars, how much does she take in a day?"
)


def estimate(question: str, vector: FloatArray | None = None, **request: Any) -> Estimate:
    classifier = Classifier(shipped_weights().facts.embedder)
    return classifier.estimate(extract(scenes.ask(question, **request)), question, vector)


def unit(seed: int, size: int | None = None) -> FloatArray:
    vector = np.random.default_rng(seed).standard_normal(size or shipped_weights().facts.dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def accuracy(simple: tuple[str, ...], complex_: tuple[str, ...]) -> float:
    right = sum(estimate(q).complexity is Complexity.SIMPLE for q in simple)
    right += sum(estimate(q).complexity is Complexity.COMPLEX for q in complex_)
    return right / len(simple + complex_)


def test_chat_prompts_not_used_to_set_the_prior_get_the_class_a_person_gives() -> None:
    simple, complex_ = chat_prompts.CHECKING_SIMPLE, chat_prompts.CHECKING_COMPLEX
    assert len(simple + complex_) >= 60
    assert accuracy(simple, complex_) >= 0.85
    assert accuracy(simple, ()) >= 0.95


def test_chat_prompts_used_to_set_the_prior_get_their_class() -> None:
    assert accuracy(chat_prompts.SETTING_SIMPLE, chat_prompts.SETTING_COMPLEX) >= 0.9


@pytest.mark.parametrize("question", [MULTIPLE_CHOICE, WORD_PROBLEM])
def test_exam_questions_are_judged_by_what_was_fitted(question: str) -> None:
    assert prior.is_exam_question(extract(scenes.ask(question)))
    assert estimate(question, unit(1)) != estimate(question, unit(2))


def test_everyday_questions_are_judged_by_the_prior() -> None:
    features = extract(scenes.ask("How many people live in Lisbon?"))
    assert not prior.is_exam_question(features)
    odds = prior.EVERYDAY + prior.log_odds(prior.CHAT, features)
    assert estimate("How many people live in Lisbon?").confidence == pytest.approx(
        1 / (1 + math.exp(-odds))
    )


def test_another_embedders_vectors_play_no_part_lesson_3() -> None:
    features = extract(scenes.ask(MULTIPLE_CHOICE))
    other = Classifier("another-model")
    assert not other.uses_embedding
    alone = other.estimate(features, MULTIPLE_CHOICE)
    assert other.estimate(features, MULTIPLE_CHOICE, unit(1)) == alone
    assert Classifier(None).estimate(features, MULTIPLE_CHOICE, unit(1)) == alone


@pytest.mark.parametrize("vector", [None, unit(1, 768), np.full(384, np.nan, dtype=np.float32)])
def test_an_unusable_vector_leaves_the_text_to_decide(vector: FloatArray | None) -> None:
    features = extract(scenes.ask(MULTIPLE_CHOICE))
    assert estimate(MULTIPLE_CHOICE, vector) == Classifier(None).estimate(features, MULTIPLE_CHOICE)


@pytest.mark.parametrize("question", [MULTIPLE_CHOICE, "What is NixOS?"])
@pytest.mark.parametrize(
    "request_",
    [
        {"tools": [{"type": "function"}]},
        {"response_format": {"type": "json_object"}},
        {"messages": [{"role": "user", "content": "And?"}] * 9},
        {"messages": [{"role": "system", "content": "Rule. " * 2000}]},
    ],
)
def test_what_makes_a_request_harder_lowers_the_confidence_and_raises_the_gain(
    question: str, request_: dict[str, Any]
) -> None:
    messages = [*request_.get("messages", []), {"role": "user", "content": question}]
    plain = estimate(question)
    harder = estimate(question, **{**request_, "messages": messages})
    assert harder.confidence < plain.confidence
    assert harder.gain > plain.gain


def test_the_label_follows_the_confidence() -> None:
    for question in (*chat_prompts.CHECKING_COMPLEX, *chat_prompts.CHECKING_SIMPLE):
        said = estimate(question)
        assert (said.complexity is Complexity.SIMPLE) == (said.confidence >= 0.7)


def test_every_number_of_the_prior_has_a_reason_and_a_feature() -> None:
    features = extract(scenes.ask())
    for term in prior.CHAT + prior.REQUEST:
        assert term.reason
        assert isinstance(getattr(features, term.feature), float)
    assert len({term.feature for term in prior.CHAT}) == len(prior.CHAT)


def test_weights_survive_being_written_and_the_same_weights_are_the_same_bytes() -> None:
    weights = shipped_weights()
    content = weights.to_bytes()
    again = Weights.from_bytes(content)
    assert again.to_bytes() == content
    assert again.facts == weights.facts
    assert len(content) <= 400 * 1024


def test_the_shipped_weights_carry_their_certificate() -> None:
    table = {line.threshold: line for line in shipped_weights().facts.certificate}
    assert table[0.7].accuracy_kept_at_least <= table[0.7].accuracy_kept
    assert "with 95% confidence" in str(table[0.7])
    shares = [line.local_share for line in table.values()]
    assert shares == sorted(shares, reverse=True)


def test_a_guarantee_is_given_for_the_certified_thresholds_and_embedder_only() -> None:
    certified = Classifier(shipped_weights().facts.embedder)
    line = certified.guarantee(0.7)
    assert line is not None
    assert line.threshold == 0.7
    assert certified.guarantee(0.712) is None
    assert Classifier("another-model").guarantee(0.7) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x93NUMPY"])
def test_a_file_that_holds_no_weights_is_refused(content: bytes) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Weights.from_bytes(content)


def test_a_missing_weights_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_weights(tmp_path / "none.npz")
