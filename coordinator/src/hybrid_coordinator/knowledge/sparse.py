"""Term weights for word search: BM25's document side, by fastembed.

A document's weight of a term is tf·(k+1) / (tf + k·(1 − b + b·|d|/avg)) with
k = 1.2, b = 0.75 (Robertson and Zaragoza, "The Probabilistic Relevance
Framework", 2009, eq. 3.15); the store multiplies by inverse document
frequency when it searches, so weights stay right while the collection grows.
The stop words are ours, because fastembed would download its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import Any, Final

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.knowledge.store import SparseVector

_AVERAGE_TERMS: Final = 128.0
"""Terms of an average item: chunks are some 200 tokens, of which stop words are dropped."""

_CUT: Final = 65_536


class SparseEncoder:
    """BM25 term weights. Loading takes some 20 ms; a question 0.1 ms, a page of text 1 ms."""

    def __init__(self) -> None:
        try:
            bm25 = importlib.import_module("fastembed.sparse.bm25").Bm25
        except ImportError as error:
            raise SettingsError(
                "Word search needs fastembed: install the extra 'embeddings' (pip install "
                "'hybrid-coordinator[embeddings]').",
                field="embedder.model",
            ) from error
        with as_file(files("hybrid_coordinator.knowledge") / "bm25") as folder:
            self._model: Any = bm25(
                "Qdrant/bm25",
                specific_model_path=str(folder),
                avg_len=_AVERAGE_TERMS,
                language="english",
            )

    def query(self, text: str) -> SparseVector:
        """The question's distinct terms, each with weight 1; empty where it has none."""
        return _vector(next(iter(self._model.query_embed(text[:_CUT]))))

    def documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Term weights of texts; takes about 1 ms a page, so call it in a thread."""
        return [_vector(found) for found in self._model.embed([text[:_CUT] for text in texts])]


def _vector(found: Any) -> SparseVector:
    return SparseVector(
        tuple(int(index) for index in found.indices), tuple(float(value) for value in found.values)
    )
