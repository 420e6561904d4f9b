"""Fits the classifier's weights to labelled outcomes. Never used while serving.

The same outcomes give the same weights (with the same BLAS). Needs numpy only. The
hyperparameters were chosen once, coarsely, by repeated half splits of the
training data; neighbouring values differ by less than one standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.conversation import LOOPBACK_CALLER, ChatRequest, Dialect
from hybrid_coordinator.routing.certificate import Guarantee
from hybrid_coordinator.routing.classifier import Classifier, Estimate
from hybrid_coordinator.routing.experts import (
    CLIP,
    Calibration,
    EmbeddingExpert,
    Facts,
    TextExpert,
    Weights,
)
from hybrid_coordinator.routing.features import (
    TEXT_FEATURES,
    FloatArray,
    RequestFeatures,
    extract,
)
from hybrid_coordinator.routing.ngrams import SIZE, hashed_terms

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

FOLDS = 5
FEATURE_LANDMARKS = 256
FEATURE_GAMMA = 0.01
EMBEDDING_LANDMARKS = 192
EMBEDDING_GAMMA = 2.0
EMBEDDING_RIDGE = 10.0
EMBEDDING_SHARE = 0.5
TERM_SHARE = 0.5
RIDGE = 3.0
LEAST_SCALE = 0.05
"""Least standard deviation a feature is divided by; some hardly occur in the data."""

_NEUTRAL = Calibration(regret_slope=1.0, regret_intercept=0.0, gain_slope=1.0, gain_intercept=0.0)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Questions, what is read off them, and which model answered them right.

    ``vectors`` has a row a question, of unit length, by the embedder that is
    to be named in the weights.
    """

    questions: tuple[str, ...]
    features: tuple[RequestFeatures, ...]
    terms: tuple[tuple[Indices, FloatArray], ...]
    vectors: FloatArray
    weak_right: BoolArray
    strong_right: BoolArray

    @classmethod
    def of(
        cls,
        questions: Sequence[str],
        vectors: FloatArray,
        weak_right: BoolArray,
        strong_right: BoolArray,
    ) -> Self:
        """Read features and terms off ``questions``.

        Raises:
            ValueError: a question has no word.
        """
        terms = tuple(hashed_terms(question) for question in questions)
        if not all(len(indices) for indices, _ in terms):
            raise ValueError("a question without any word cannot be fitted to: leave it out")
        return cls(
            questions=tuple(questions),
            features=tuple(extract(_asked(question)) for question in questions),
            terms=terms,
            vectors=vectors,
            weak_right=weak_right,
            strong_right=strong_right,
        )

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def gain(self) -> Array:
        return self.strong_right.astype(np.float64) - self.weak_right

    @property
    def regret(self) -> BoolArray:
        return self.strong_right & ~self.weak_right

    def take(self, rows: Indices) -> Outcomes:
        """Only these rows, in this order."""
        return Outcomes(
            questions=tuple(self.questions[i] for i in rows),
            features=tuple(self.features[i] for i in rows),
            terms=tuple(self.terms[i] for i in rows),
            vectors=self.vectors[rows],
            weak_right=self.weak_right[rows],
            strong_right=self.strong_right[rows],
        )


def _asked(question: str) -> ChatRequest:
    body = {"messages": [{"role": "user", "content": question}]}
    return ChatRequest(
        dialect=Dialect.OPENAI, body=body, caller=LOOPBACK_CALLER, interaction_id="training"
    )


def folds(count: int, parts: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """(fitted on, held out) for each of ``parts`` random parts."""
    order = np.random.default_rng(seed).permutation(count)
    for part in np.array_split(order, parts):
        held_out = np.sort(part)
        yield np.setdiff1d(order, held_out), held_out


def fit(
    outcomes: Outcomes, embedder: str, *, seed: int = 0, certificate: Sequence[Guarantee] = ()
) -> Weights:
    """Weights fitted to all ``outcomes``, calibrated on out-of-fold scores."""
    text, embedding = np.zeros(len(outcomes)), np.zeros(len(outcomes))
    for inside, outside in folds(len(outcomes), FOLDS, seed):
        weights = _fit_experts(outcomes.take(inside), embedder, seed)
        text[outside], embedding[outside] = _scores(weights, outcomes.take(outside))
    weights = _fit_experts(outcomes, embedder, seed)
    facts = weights.facts.model_copy(
        update={
            "text": calibrate(text, outcomes),
            "both": calibrate(text + EMBEDDING_SHARE * embedding, outcomes),
            "embedding": calibrate(embedding, outcomes),
            "certificate": tuple(certificate),
        }
    )
    arrays = {name: getattr(weights, name) for name in Weights.__slots__ if name != "facts"}
    return Weights(facts=facts, **arrays)


def estimates(weights: Weights, outcomes: Outcomes, *, embedded: bool = True) -> list[Estimate]:
    """What a classifier with these weights says of each question, as it would when serving."""
    classifier = Classifier(weights.facts.embedder if embedded else None, weights)
    rows = zip(outcomes.features, outcomes.questions, outcomes.vectors, strict=True)
    return [classifier.estimate(*row) for row in rows]


def calibrate(score: Array, outcomes: Outcomes) -> Calibration:
    """Platt's sigmoid for regret (by Newton's method) and a straight line for the gain."""
    mean, spread = score.mean(), score.std() + 1e-12
    x = np.stack([(score - mean) / spread, np.ones(len(score))], axis=1)
    w = np.zeros(2)
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-x @ w))
        curvature = (x * (p * (1.0 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        w -= np.linalg.solve(curvature, x.T @ (p - outcomes.regret))
    line = np.linalg.solve(x.T @ x, x.T @ outcomes.gain)
    return Calibration(
        regret_slope=float(w[0] / spread),
        regret_intercept=float(w[1] - w[0] * mean / spread),
        gain_slope=float(line[0] / spread),
        gain_intercept=float(line[1] - line[0] * mean / spread),
    )


def _scores(weights: Weights, outcomes: Outcomes) -> tuple[Array, Array]:
    """Raw scores of both experts."""
    text, embedding = TextExpert(weights), EmbeddingExpert(weights)
    count = len(TEXT_FEATURES)
    rows = zip(outcomes.features, outcomes.questions, strict=True)
    return (
        np.array([text.score(f.vector()[:count], q) for f, q in rows]),
        np.array([embedding.score(vector) for vector in outcomes.vectors]),
    )


def _fit_experts(outcomes: Outcomes, embedder: str, seed: int) -> Weights:
    gain = outcomes.gain
    target = gain - gain.mean()
    raw = np.stack([f.vector()[: len(TEXT_FEATURES)] for f in outcomes.features]).astype(float)
    mean, scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), LEAST_SCALE)
    scaled = np.clip((raw - mean) / scale, -CLIP, CLIP)
    landmarks = _centroids(scaled, FEATURE_LANDMARKS, seed)
    mapped, back = _nystroem(scaled, landmarks, FEATURE_GAMMA)
    terms = _Terms(outcomes.terms)

    def kernel(v: Array) -> Array:
        product: Array = mapped @ (mapped.T @ v)
        return product + TERM_SHARE * terms.times(terms.transposed(v)) + RIDGE * v

    dual = _solve(kernel, target)
    term_weights = TERM_SHARE * terms.transposed(dual)
    term_step = float(np.abs(term_weights).max()) / 127.0 or 1.0

    vectors = outcomes.vectors.astype(np.float64)
    centres = _centroids(vectors, EMBEDDING_LANDMARKS, seed)
    landmark_step = float(np.abs(centres).max()) / 127.0
    stored = np.rint(centres / landmark_step).astype(np.int8)
    seen, seen_back = _nystroem(vectors, stored * np.float64(landmark_step), EMBEDDING_GAMMA)
    normal = seen.T @ seen + EMBEDDING_RIDGE * np.eye(seen.shape[1])
    return Weights(
        facts=Facts(
            format=1,
            embedder=embedder,
            dimension=vectors.shape[1],
            text_features=TEXT_FEATURES,
            feature_gamma=FEATURE_GAMMA,
            embedding_gamma=EMBEDDING_GAMMA,
            embedding_share=EMBEDDING_SHARE,
            idf_step=terms.idf_step,
            term_step=term_step,
            landmark_step=landmark_step,
            text=_NEUTRAL,
            both=_NEUTRAL,
            embedding=_NEUTRAL,
            only_weak_rate=float((outcomes.weak_right & ~outcomes.strong_right).mean()),
            regret_rate=float(outcomes.regret.mean()),
            questions=len(outcomes),
            certificate=(),
        ),
        feature_mean=mean.astype(np.float32),
        feature_scale=scale.astype(np.float32),
        feature_landmarks=landmarks.astype(np.float32),
        feature_coefficients=(back @ (mapped.T @ dual)).astype(np.float32),
        idf=terms.idf,
        term_weights=np.rint(term_weights / term_step).astype(np.int8),
        embedding_landmarks=stored,
        embedding_coefficients=(seen_back @ np.linalg.solve(normal, seen.T @ target)).astype(
            np.float32
        ),
    )


class _Terms:
    """The questions' terms as a sparse matrix, rows weighted by inverse document frequency."""

    def __init__(self, rows: Sequence[tuple[Indices, FloatArray]]) -> None:
        lengths = np.array([len(indices) for indices, _ in rows])
        self._indices = np.concatenate([indices for indices, _ in rows])
        self._starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        self._row = np.repeat(np.arange(len(rows)), lengths)
        documents = np.bincount(self._indices, minlength=SIZE)
        idf = np.log((1.0 + len(rows)) / (1.0 + documents)) + 1.0
        self.idf_step = float(idf.max()) / 255.0
        self.idf = np.rint(idf / self.idf_step).astype(np.uint8)
        values = np.concatenate([weights for _, weights in rows]) * self.idf[self._indices]
        norms = np.sqrt(np.add.reduceat(values**2, self._starts))
        self._values = values / norms[self._row]

    def times(self, v: Array) -> Array:
        products: Array = np.add.reduceat(self._values * v[self._indices], self._starts)
        return products

    def transposed(self, v: Array) -> Array:
        sums: Array = np.bincount(
            self._indices, weights=self._values * v[self._row], minlength=SIZE
        ).astype(np.float64)
        return sums


def _solve(matrix: Callable[[Array], Array], target: Array, steps: int = 60) -> Array:
    """``x`` with ``matrix(x) = target``, symmetric and positive, by conjugate gradients."""
    x = np.zeros_like(target)
    residual = target.copy()
    direction = residual.copy()
    size = float(residual @ residual)
    for _ in range(steps):
        image = matrix(direction)
        step = size / float(direction @ image)
        x += step * direction
        residual -= step * image
        new = float(residual @ residual)
        if new < 1e-10 * float(target @ target):
            break
        direction = residual + (new / size) * direction
        size = new
    return x


def _squared_distances(a: Array, b: Array) -> Array:
    distances: Array = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    return np.maximum(distances, 0.0)


def _centroids(points: Array, count: int, seed: int, rounds: int = 10) -> Array:
    """``count`` centroids of ``points`` by Lloyd's algorithm."""
    chosen = np.random.default_rng(seed).choice(len(points), min(count, len(points)), False)
    centres: Array = points[chosen].copy()
    for _ in range(rounds):
        nearest = np.argmin(_squared_distances(points, centres), axis=1)
        members = np.bincount(nearest, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        centres[members > 0] = (sums / np.maximum(members, 1)[:, None])[members > 0]
    return centres


def _nystroem(points: Array, landmarks: Array, gamma: float) -> tuple[Array, Array]:
    """``points`` mapped so that inner products approximate the kernel, and the way back.

    Coefficients ``w`` for the mapped points are ``back @ w`` for the landmarks.
    """
    eigenvalues, vectors = np.linalg.eigh(np.exp(-gamma * _squared_distances(landmarks, landmarks)))
    back: Array = vectors / np.sqrt(np.maximum(eigenvalues, 1e-5))
    return np.exp(-gamma * _squared_distances(points, landmarks)) @ back, back
