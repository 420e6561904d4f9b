"""Our points in qdrant-client's terms and back. Filters are in ``qdrant_filter``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qdrant_client import models

from hybrid_coordinator.knowledge.collections import DENSE, SPARSE
from hybrid_coordinator.knowledge.store import (
    Point,
    RankedPoint,
    SparseVector,
    StoredPoint,
    Vector,
)


def struct(point: Point) -> models.PointStruct:
    """A point to store, with both of its vectors."""
    return models.PointStruct(
        id=point.id,
        vector={DENSE: point.dense.tolist(), SPARSE: sparse_vector(point.sparse)},
        payload=point.payload,
    )


def sparse_vector(vector: SparseVector) -> models.SparseVector:
    """Term weights, to store or to search with."""
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def stored(point: models.Record | models.ScoredPoint) -> StoredPoint:
    """A point as the client gives it; ``dense`` where it was asked for."""
    dense = point.vector.get(DENSE) if isinstance(point.vector, dict) else None
    return StoredPoint(
        id=str(point.id),
        payload=point.payload or {},
        dense=None if dense is None else np.asarray(dense, dtype=np.float32),
    )


def ranked_points(points: Sequence[models.ScoredPoint], query: Vector) -> list[RankedPoint]:
    """Points with their vectors; the cosine is computed here, because BM25's score is another."""
    return [
        RankedPoint(one.id, one.payload, float(one.dense @ query), one.dense)
        for one in map(stored, points)
        if one.dense is not None  # stored by something else, without a dense vector
    ]
