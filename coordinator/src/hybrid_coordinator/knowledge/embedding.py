"""Text to vectors: the interface, and fastembed behind it.

An embedding that fails is an error (lesson 2): never a zero vector, never a
random one. Texts longer than the model reads (256 tokens for the bundled one)
are cut by its tokenizer; that is right for questions, and for documents it is
the chunker's task to stay below it.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from hybrid_coordinator.errors import EmbeddingError, SettingsError
from hybrid_coordinator.knowledge.batching import EmbeddingThread
from hybrid_coordinator.knowledge.calibration import Calibration, Sample, derive
from hybrid_coordinator.knowledge.embedder_files import ModelFiles, locate
from hybrid_coordinator.knowledge.probes import CODE, PROSE
from hybrid_coordinator.knowledge.store import Vector
from hybrid_coordinator.settings import EmbedderSettings
from hybrid_coordinator.telemetry.metrics import Metrics

_CUT: Final = 8192
"""Characters of a text that are looked at: more than any of the models reads."""

_SLICE: Final = 64
"""Documents queued at a time, so that one large request does not fill the queue."""

# scripts/calibrate_retrieval.py, November 2026: 1,500 judged question pairs (2,248,500 unrelated
# ones by crossing them) and the hand-written pairs of probes.py. Unrelated questions: mean 0.044,
# standard deviation 0.084, 1 % above 0.305. Question and its text: median 0.418, a tenth below
# 0.31. Question and its code: median 0.441, all above 0.29; and another's code: 1 % above 0.21.
BUNDLED_CALIBRATION: Final = Calibration(
    prose=0.305,
    code=0.209,
    lift=0.043,
    origin="1,500 judged question pairs and 28 pairs of question and text",
)


class Embedder(Protocol):
    """What turns text into vectors of one size and length 1."""

    @property
    def name(self) -> str:
        """Identifies the model; vectors of different names are not comparable."""

    @property
    def size(self) -> int:
        """Dimensions of a vector."""

    @property
    def calibration(self) -> Calibration:
        """What this embedder's similarities mean."""

    async def start(self) -> None:
        """Load the model and try it; raises ``SettingsError`` or ``EmbeddingError``."""

    async def embed_query(self, text: str) -> Vector:
        """A question's vector, float32 of shape (size,); raises ``EmbeddingError``."""

    async def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Float32 of shape (len(texts), size); raises ``EmbeddingError``."""

    def count_tokens(self, text: str) -> int:
        """Tokens of the whole text by this embedder's tokenizer; for other models an estimate."""

    async def aclose(self) -> None:
        """End the thread and let go of the model."""


class FastembedEmbedder:
    """``Embedder`` by fastembed: the bundled model, one that fastembed knows, or a folder."""

    def __init__(
        self, settings: EmbedderSettings, state_directory: Path, metrics: Metrics | None = None
    ) -> None:
        self._settings = settings
        self._state_directory = state_directory
        self._metrics = metrics or Metrics()
        self._model: Any = None
        self._tokenizer: Tokenizer | None = None
        self._thread: EmbeddingThread | None = None
        self._remembered: OrderedDict[bytes, Vector] = OrderedDict()
        self._name = settings.model
        self._size = 0
        self._calibration: Calibration | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def size(self) -> int:
        return self._size

    @property
    def calibration(self) -> Calibration:
        if self._calibration is None:
            raise EmbeddingError("The embedder was not started.")
        return self._calibration

    @property
    def alive(self) -> bool:
        """Whether the thread that embeds runs."""
        return self._thread is not None and self._thread.alive

    async def start(self) -> None:
        if self._thread is not None:
            return
        files = await asyncio.to_thread(self._load)
        self._thread = EmbeddingThread(self._embed_now, max_batch=self._settings.max_batch)
        try:
            probe = await self.embed_query("What does this question mean?")
            self._size = len(probe)
            self._calibration = (
                BUNDLED_CALIBRATION if files is not None and files.bundled else await self._probe()
            )
        except BaseException:
            await self.aclose()
            raise

    async def embed_query(self, text: str) -> Vector:
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._remembered.get(key)
        if known is not None:
            self._remembered.move_to_end(key)
            self._metrics.embeddings.labels("memory").inc()
            return known
        (answer,) = self._running().submit([_clean(text)], query=True)
        vector = await answer
        self._metrics.embeddings.labels("query").inc()
        self._remembered[key] = vector
        while len(self._remembered) > self._settings.memory:
            self._remembered.popitem(last=False)
        return vector

    async def embed_documents(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors: list[Vector] = []
        for start in range(0, len(texts), _SLICE):
            chunk = [_clean(text) for text in texts[start : start + _SLICE]]
            vectors += await asyncio.gather(*self._running().submit(chunk, query=False))
            self._metrics.embeddings.labels("document").inc(len(chunk))
        if not vectors:
            return np.empty((0, self._size), dtype=np.float32)
        return np.stack(vectors)

    def count_tokens(self, text: str) -> int:
        if self._tokenizer is None:
            raise EmbeddingError("The embedder was not started.")
        return len(self._tokenizer.encode(_encodable(text), add_special_tokens=False).ids)

    async def aclose(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.stop)
        self._model = None

    def _running(self) -> EmbeddingThread:
        if self._thread is None:
            raise EmbeddingError("The embedder was not started, or is closed.")
        return self._thread

    def _load(self) -> ModelFiles | None:
        fastembed = _fastembed()
        files = locate(self._settings, self._state_directory)
        name = self._settings.model if files is None else _register(fastembed, files)
        where = {} if files is None else {"specific_model_path": str(files.folder)}
        try:
            self._model = fastembed.TextEmbedding(name, threads=self._settings.threads, **where)
        except Exception as error:
            raise SettingsError(
                f"The embedder '{self._settings.model}' cannot be loaded: {error}. Use "
                "'bundled', a model that fastembed lists, or a folder with its files.",
                field="embedder.model",
            ) from error
        self._name = self._settings.model if files is None else files.name
        # The loaded tokenizer cuts and pads; a copy that does neither counts.
        tokenizer = Tokenizer.from_str(self._model.model.tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        return files

    def _embed_now(self, texts: Sequence[str], query: bool) -> list[Vector]:
        """Embed one batch; runs in the embedding thread."""
        started = time.perf_counter()
        run = self._model.query_embed if query else self._model.passage_embed
        vectors = [self._checked(vector) for vector in run(list(texts))]
        if len(vectors) != len(texts):
            raise EmbeddingError(f"The embedder made {len(vectors)} vectors of {len(texts)} texts.")
        self._metrics.embedding_seconds.observe(time.perf_counter() - started)
        return vectors

    def _checked(self, raw: Any) -> Vector:
        vector: Vector = np.asarray(raw, dtype=np.float32).reshape(-1)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length < 1e-6:
            raise EmbeddingError(
                f"The embedder '{self._name}' made a vector of length {length}; nothing is stored "
                "or searched with it."
            )
        if self._size and len(vector) != self._size:
            raise EmbeddingError(
                f"The embedder '{self._name}' made {len(vector)} dimensions, not {self._size}."
            )
        unit: Vector = vector / np.float32(length)
        unit.setflags(write=False)  # it is remembered and shared
        return unit

    async def _probe(self) -> Calibration:
        """Derive thresholds for a model nobody calibrated (lesson 3)."""
        prose = await self._pairs(PROSE)
        code = await self._pairs(CODE)
        crossed = (prose[0] @ code[1].T).ravel()
        return derive(
            Sample(np.diag(prose[0] @ prose[1].T), _off_diagonal(prose[0] @ prose[1].T)),
            Sample(
                np.diag(code[0] @ code[1].T),
                np.concatenate([_off_diagonal(code[0] @ code[1].T), crossed]),
            ),
            origin=f"derived at start from {len(PROSE) + len(CODE)} pairs of question and text",
        )

    async def _pairs(
        self, pairs: Sequence[tuple[str, str]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        questions = [await self.embed_query(question) for question, _ in pairs]
        return np.stack(questions), await self.embed_documents([text for _, text in pairs])


def _fastembed() -> Any:
    try:
        return importlib.import_module("fastembed")
    except ImportError as error:
        raise SettingsError(
            "The embedder needs fastembed: install the extra 'embeddings' (pip install "
            "'hybrid-coordinator[embeddings]').",
            field="embedder.model",
        ) from error


def _register(fastembed: Any, files: ModelFiles) -> str:
    """Tell fastembed of a model in a folder; returns the name it has there."""
    described = importlib.import_module("fastembed.common.model_description")
    place = hashlib.blake2b(str(files.folder).encode(), digest_size=8).hexdigest()
    name = f"hybrid-ai/{files.name}-{place}"
    known = {model["model"].lower() for model in fastembed.TextEmbedding.list_supported_models()}
    if name.lower() not in known:
        fastembed.TextEmbedding.add_custom_model(
            model=name,
            pooling=described.PoolingType(files.pooling.upper()),
            normalization=True,
            # Required, and never used: the files are at hand.
            sources=described.ModelSource(url="file:///nowhere"),
            dim=files.size or 0,
            model_file="model.onnx",
        )
    return name


def _clean(text: str) -> str:
    """What of a text the model is given; raises ``EmbeddingError`` for an empty one."""
    cut = _encodable(text[:_CUT])
    if not cut.strip():
        raise EmbeddingError("An empty text has no embedding.")
    return cut


def _encodable(text: str) -> str:
    """The text without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _off_diagonal(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    kept: npt.NDArray[np.float32] = matrix[~np.eye(len(matrix), dtype=bool)]
    return kept
