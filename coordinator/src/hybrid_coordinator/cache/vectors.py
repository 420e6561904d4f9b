"""The vectors of one partition in memory, and the nearest of them to a given one.

Up to a few thousand rows every cosine is computed. Beyond, the sign of each coordinate (one bit)
finds candidates by Hamming distance, which costs a 32nd of the memory traffic, and only those are
compared exactly: the angle between two vectors is proportional to the expected share of differing
signs (Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002). Meant for
finding very similar vectors; not for exact ranks among dissimilar ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.cache.store import Vector

_BLOCK_BITS = 12
_BLOCK = 1 << _BLOCK_BITS
"""Rows of a full block, and the number up to which every cosine is computed."""
_ROW_OVERHEAD_BYTES = 200
"""A row's share of the names and their places; measured with tracemalloc."""
_SHORTLIST = 128
"""Rows compared exactly after the comparison of signs (at least 16 for each one wanted)."""


class VectorTable:
    """Unit vectors of ``size`` numbers under names; rows are kept dense by moving the last."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._words = -(-size // 64)
        self._blocks: list[npt.NDArray[np.float32]] = []
        self._signs = np.empty((self._words, 0), dtype=np.uint64)
        self._names: list[str] = []
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    @property
    def bytes_per_row(self) -> int:
        """Memory of one vector, its signs and its bookkeeping."""
        return self.size * 4 + self._words * 8 + _ROW_OVERHEAD_BYTES

    def put(self, name: str, vector: Vector) -> None:
        """Add ``vector`` under ``name``, or replace it. It need not be of length one."""
        unit = _unit(vector)
        row = self._rows.get(name)
        if row is None:
            row = len(self._names)
            self._reserve(row)
            self._names.append(name)
            self._rows[name] = row
        self._blocks[row >> _BLOCK_BITS][row & (_BLOCK - 1)] = unit
        self._signs[:, row] = self._sign_words(unit)

    def remove(self, name: str) -> None:
        """Drop ``name`` if it is there; the last row takes its place."""
        row = self._rows.pop(name, None)
        if row is None:
            return
        last = len(self._names) - 1
        moved = self._names.pop()
        if row != last:
            self._blocks[row >> _BLOCK_BITS][row & (_BLOCK - 1)] = self._row(last)
            self._signs[:, row] = self._signs[:, last]
            self._names[row] = moved
            self._rows[moved] = row
        if last & (_BLOCK - 1) == 0 and last > 0:
            self._blocks.pop()  # the last block has become empty

    def nearest(self, vector: Vector, count: int) -> list[tuple[float, str]]:
        """Up to ``count`` (cosine, name), nearest first."""
        rows = len(self._names)
        if rows == 0 or count < 1:
            return []
        unit = _unit(vector)
        if rows <= _BLOCK:
            candidates = None
            cosines = self._blocks[0][:rows] @ unit
        else:
            candidates = self._shortlist(unit, max(_SHORTLIST, 16 * count))
            cosines = np.stack([self._row(int(row)) for row in candidates]) @ unit
        best = _smallest(-cosines, count)
        best = best[np.argsort(-cosines[best], kind="stable")]
        found = best if candidates is None else candidates[best]
        return [
            (float(cosines[place]), self._names[row])
            for place, row in zip(best, found, strict=True)
        ]

    def _shortlist(self, unit: Vector, count: int) -> npt.NDArray[np.intp]:
        asked = self._sign_words(unit)
        signs = self._signs[:, : len(self._names)]
        distance = np.bitwise_count(signs[0] ^ asked[0]).astype(np.uint16)
        for word in range(1, self._words):
            distance += np.bitwise_count(signs[word] ^ asked[word])
        return _smallest(distance, count)

    def _row(self, row: int) -> Vector:
        vector: Vector = self._blocks[row >> _BLOCK_BITS][row & (_BLOCK - 1)]
        return vector

    def _sign_words(self, unit: Vector) -> npt.NDArray[np.uint64]:
        bits = np.zeros(self._words * 64, dtype=bool)
        bits[: self.size] = unit > 0
        return np.packbits(bits).view(np.uint64)

    def _reserve(self, row: int) -> None:
        """Make room for ``row``: the first block doubles until it is full, others come whole."""
        block = row >> _BLOCK_BITS
        if block == 0:
            held = len(self._blocks[0]) if self._blocks else 0
            if row >= held:
                larger = np.empty((max(1, 2 * held), self.size), dtype=np.float32)
                if held:
                    larger[:held] = self._blocks[0]
                self._blocks = [larger]
        elif block == len(self._blocks):
            self._blocks.append(np.empty((_BLOCK, self.size), dtype=np.float32))
        room = self._signs.shape[1]
        if row >= room:
            wider = np.empty((self._words, max(1, 2 * room)), dtype=np.uint64)
            wider[:, :room] = self._signs
            self._signs = wider


def _unit(vector: Vector) -> Vector:
    unit: Vector = np.asarray(vector, dtype=np.float32)
    return unit / np.linalg.norm(unit)


def _smallest(values: npt.NDArray[np.generic], count: int) -> npt.NDArray[np.intp]:
    """Places of the ``count`` smallest values, in no order."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(values, count - 1)[:count]
