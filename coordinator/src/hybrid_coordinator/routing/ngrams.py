"""A question's words and word pairs as a sparse vector, without a vocabulary.

Feature hashing (Weinberger et al. 2009, "Feature Hashing for Large Scale
Multitask Learning"): a term's CRC-32 is its index. Term counts are damped to
``1 + ln(count)`` and the vector has Euclidean length 1. Bounded as ``features``
is: of a long question a head and a tail.
"""

from __future__ import annotations

import re
from collections import Counter
from zlib import crc32

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.routing.features import excerpt

BITS = 16
SIZE = 1 << BITS
_MASK = SIZE - 1
_TERM = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")


def hashed_terms(question: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Indices in ``0…SIZE-1`` (distinct, ascending) and their weights; empty for no terms."""
    terms = [term.encode() for term in _TERM.findall(excerpt(question).lower())]
    singles = list(map(crc32, terms))
    pairs = map(crc32, terms[1:], singles)
    counts = Counter([code & _MASK for code in singles])
    counts.update([code & _MASK for code in pairs])
    indices = np.fromiter(counts, dtype=np.int64, count=len(counts))
    weights = 1.0 + np.log(np.fromiter(counts.values(), dtype=np.float32, count=len(counts)))
    order = np.argsort(indices)
    if len(indices):
        weights /= np.sqrt(weights @ weights)
    return indices[order], weights[order].astype(np.float32)
