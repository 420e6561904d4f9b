"""Estimates, for one request, what paying for a remote answer would gain.

Out of that come the confidence that the local answer is as good, and the label
simple or complex. Three parts: the fitted experts speak for exam questions
(what they were fitted on), a hand-set prior for chat, and what lies outside
the question's text shifts both. What is done with the estimate is the policy.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from hybrid_coordinator.routing import prior
from hybrid_coordinator.routing.certificate import Guarantee
from hybrid_coordinator.routing.experts import (
    Calibration,
    EmbeddingExpert,
    TextExpert,
    Weights,
    shipped_weights,
)
from hybrid_coordinator.routing.features import TEXT_FEATURES, FloatArray, RequestFeatures

SIMPLE_FROM = 0.7
"""Confidence at and above which a request is labelled simple, whatever the threshold is."""

_TOPIC_SHARE = 0.5
_TOPIC_LIMIT = 0.4
"""How far the embedding may move the log-odds of a chat question: its topic was seen in
exams, its form was not."""

log = logging.getLogger(__name__)


class Complexity(StrEnum):
    """The classifier's label."""

    SIMPLE = "simple"
    COMPLEX = "complex"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the classifier says.

    Attributes:
        confidence: P(not (remote right and local wrong)), 0…1.
        gain: P(remote right) − P(local right), −1…1.
        complexity: ``simple`` from a confidence of ``SIMPLE_FROM`` on.
    """

    confidence: float
    gain: float
    complexity: Complexity


class Classifier:
    """The shipped weights, or others, ready to score.

    ``embedder`` is the name of the embedder that the vectors come from. The
    embedding expert is used for the one it was fitted with only: with any
    other, and where embedding failed, the text alone decides.
    """

    def __init__(self, embedder: str | None, weights: Weights | None = None) -> None:
        weights = weights or shipped_weights()
        self.facts = weights.facts
        self._text = TextExpert(weights)
        self._embedding = EmbeddingExpert(weights) if embedder == weights.facts.embedder else None
        if embedder is not None and self._embedding is None:
            log.info(
                "the router was not fitted with this embedder and decides by the text alone",
                extra={"embedder": embedder, "fitted_with": weights.facts.embedder},
            )

    @property
    def uses_embedding(self) -> bool:
        """Whether vectors play a part."""
        return self._embedding is not None

    def guarantee(self, threshold: float) -> Guarantee | None:
        """The certificate's line for ``threshold``; ``None`` where the table has none.

        It holds for questions like those of the training data, with the
        embedder that the weights were fitted with.
        """
        table = self.facts.certificate if self.uses_embedding else ()
        return next((line for line in table if math.isclose(line.threshold, threshold)), None)

    def estimate(
        self, features: RequestFeatures, question: str, vector: FloatArray | None = None
    ) -> Estimate:
        """The estimate for a request with these ``features`` and this question.

        ``vector``: the question's embedding, unit length; one of another
        dimension, or that is not finite, is not used.
        """
        embedded = self._embedding_score(vector)
        if prior.is_exam_question(features):
            text = features.vector()[: len(TEXT_FEATURES)]
            score = self._text.score(text, question)
            calibration = self.facts.text
            if embedded is not None:
                score += self.facts.embedding_share * embedded
                calibration = self.facts.both
            odds = -_regret_log_odds(calibration, score)
            gain = calibration.gain_slope * score + calibration.gain_intercept
            shift = prior.log_odds(prior.REQUEST, features)
            if shift:
                gain += _sigmoid(odds) - _sigmoid(odds + shift)
            confidence = _sigmoid(odds + shift)
        else:
            odds = prior.EVERYDAY + prior.log_odds(prior.CHAT, features)
            if embedded is not None:
                odds += self._topic(embedded)
            confidence = _sigmoid(odds + prior.log_odds(prior.REQUEST, features))
            gain = 1.0 - confidence - self.facts.only_weak_rate
        return Estimate(
            confidence=confidence,
            gain=min(max(gain, -1.0), 1.0),
            complexity=Complexity.SIMPLE if confidence >= SIMPLE_FROM else Complexity.COMPLEX,
        )

    def _embedding_score(self, vector: FloatArray | None) -> float | None:
        if self._embedding is None or vector is None:
            return None
        vector = np.asarray(vector, dtype=np.float32)
        if vector.shape != (self._embedding.dimension,):
            return None
        score = self._embedding.score(vector)
        return score if math.isfinite(score) else None

    def _topic(self, embedded: float) -> float:
        """How much easier than the average a chat question's topic is, in log-odds."""
        average = math.log(self.facts.regret_rate / (1.0 - self.facts.regret_rate))
        easier = average - _regret_log_odds(self.facts.embedding, embedded)
        return min(max(_TOPIC_SHARE * easier, -_TOPIC_LIMIT), _TOPIC_LIMIT)


def _regret_log_odds(calibration: Calibration, score: float) -> float:
    return calibration.regret_slope * score + calibration.regret_intercept


def _sigmoid(x: float) -> float:
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)
