"""The fitted part of the classifier: two estimates of the gain of paying, read from one file.

The text expert sees surface features and hashed terms and works without any
embedder; the embedding expert sees the question's vector and holds for the
one embedder it was fitted with. Both are kernel ridge regressions on
(strong model right) − (weak model right), reduced to landmarks by the Nyström
method (Williams and Seeger 2001), so that scoring is two small matrix
products. Fitting is ``coordinator/scripts/train_router.py``.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.routing.certificate import Guarantee
from hybrid_coordinator.routing.features import TEXT_FEATURES, FloatArray
from hybrid_coordinator.routing.ngrams import SIZE, hashed_terms

WEIGHTS_FILE = "weights.npz"
CLIP = 5.0
"""Standardised features are cut here: nothing was learned about values further out."""


class Calibration(BaseModel):
    """From a raw score to what it means, fitted on out-of-fold scores.

    ``sigmoid(regret_slope · score + regret_intercept)`` is the probability
    that only the strong model is right (Platt 1999);
    ``gain_slope · score + gain_intercept`` the expected gain of paying.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    regret_slope: float
    regret_intercept: float
    gain_slope: float
    gain_intercept: float


class Facts(BaseModel):
    """What the weights file says about itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    embedder: str
    """Name of the embedder that the embedding expert was fitted with."""
    dimension: int
    text_features: tuple[str, ...]
    feature_gamma: float
    embedding_gamma: float
    embedding_share: float
    """Weight of the embedding expert's score beside the text expert's."""
    idf_step: float
    term_step: float
    landmark_step: float
    text: Calibration
    """Calibration of the text expert alone."""
    both: Calibration
    """Calibration of both experts together."""
    embedding: Calibration
    """Calibration of the embedding expert alone."""
    only_weak_rate: float
    """Share of the training questions that only the weak model answered right."""
    regret_rate: float
    """Share of the training questions that only the strong model answered right."""
    questions: int
    """How many questions it was trained on."""
    certificate: tuple[Guarantee, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """The arrays of both experts, as stored, and the facts about them."""

    facts: Facts
    feature_mean: FloatArray
    feature_scale: FloatArray
    feature_landmarks: FloatArray
    feature_coefficients: FloatArray
    idf: npt.NDArray[np.uint8]
    term_weights: npt.NDArray[np.int8]
    embedding_landmarks: npt.NDArray[np.int8]
    embedding_coefficients: FloatArray

    def to_bytes(self) -> bytes:
        """The file's content; the same weights give the same bytes."""
        buffer = io.BytesIO()
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        facts = np.frombuffer(self.facts.model_dump_json().encode(), dtype=np.uint8)
        np.savez_compressed(buffer, allow_pickle=False, facts=facts, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Weights:
        """Read what ``to_bytes`` wrote.

        Raises:
            SettingsError: not a weights file, or one of another version's features.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                facts = Facts.model_validate(json.loads(bytes(stored["facts"])))
                arrays = {name: stored[name] for name in _ARRAYS}
        except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
            raise SettingsError(f"the routing weights cannot be read: {error}") from error
        if facts.text_features != TEXT_FEATURES or arrays["idf"].shape != (SIZE,):
            raise SettingsError(
                "the routing weights were made for other features than this version reads: "
                "run coordinator/scripts/train_router.py"
            )
        return cls(facts=facts, **arrays)


_ARRAYS = tuple(name for name in Weights.__slots__ if name != "facts")


def load_weights(path: Path) -> Weights:
    """The weights in the file ``path``.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"the routing weights cannot be read: {error}") from error
    return Weights.from_bytes(content)


@cache
def shipped_weights() -> Weights:
    """The weights that come with the package."""
    return Weights.from_bytes(resources.files(__package__).joinpath(WEIGHTS_FILE).read_bytes())


class TextExpert:
    """Scores a question by its surface features and its terms."""

    def __init__(self, weights: Weights) -> None:
        self._mean = weights.feature_mean
        self._inverse = 1.0 / weights.feature_scale
        self._kernel = _Kernel(
            weights.feature_landmarks, weights.feature_coefficients, weights.facts.feature_gamma
        )
        self._idf = weights.idf.astype(np.float32) * np.float32(weights.facts.idf_step)
        self._terms = weights.term_weights.astype(np.float32) * np.float32(weights.facts.term_step)

    def score(self, features: FloatArray, question: str) -> float:
        """The raw score; ``features`` are the values of ``TEXT_FEATURES``."""
        scaled = np.clip((features - self._mean) * self._inverse, -CLIP, CLIP)
        score = self._kernel(scaled)
        indices, weights = hashed_terms(question)
        if len(indices):
            weights = weights * self._idf[indices]
            score += float(weights @ self._terms[indices]) / float(np.sqrt(weights @ weights))
        return score


class EmbeddingExpert:
    """Scores a question by its unit-length vector."""

    def __init__(self, weights: Weights) -> None:
        landmarks = weights.embedding_landmarks.astype(np.float32)
        self.name = weights.facts.embedder
        self.dimension = weights.facts.dimension
        self._kernel = _Kernel(
            landmarks * np.float32(weights.facts.landmark_step),
            weights.embedding_coefficients,
            weights.facts.embedding_gamma,
        )

    def score(self, vector: FloatArray) -> float:
        """The raw score of a vector of ``dimension`` entries."""
        return self._kernel(vector)


class _Kernel:
    """``Σ cᵢ · exp(−γ‖x − lᵢ‖²)`` over the landmarks ``lᵢ``."""

    def __init__(self, landmarks: FloatArray, coefficients: FloatArray, gamma: float) -> None:
        self._landmarks = np.ascontiguousarray(landmarks)
        self._squares = np.einsum("ij,ij->i", landmarks, landmarks)
        self._coefficients = coefficients
        self._gamma = np.float32(gamma)

    def __call__(self, x: FloatArray) -> float:
        distances = self._squares - 2.0 * (self._landmarks @ x) + x @ x
        return float(np.exp(-self._gamma * distances) @ self._coefficients)
