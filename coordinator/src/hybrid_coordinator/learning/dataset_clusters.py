"""Which questions are near one another: by blocks of a matrix, or by the store's own search.

Exact and quick up to some ten thousand questions (every pair is compared, a
block at a time, so memory stays bounded); beyond that the store's index is
asked for each question's neighbours. Knows vectors and numbers of rows, not
what they are of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
"""Float32 of shape (rows, size), each row of length 1; may be mapped from a file."""

Numbers = npt.NDArray[np.int64]

BLOCK: Final = 1024
"""Rows compared at a time: a product of 4 MB."""


class Components:
    """Connected components by union–find; a component's root is its lowest row."""

    def __init__(self, rows: int) -> None:
        self._parent: Numbers = np.arange(rows, dtype=np.int64)

    def join(self, rows: Numbers) -> None:
        """Put these rows into one component."""
        roots = self._roots(rows)
        self._parent[roots] = roots.min()

    def roots(self) -> Numbers:
        """For each row the lowest row of its component; shape (rows,)."""
        while True:
            above = self._parent[self._parent]
            if np.array_equal(above, self._parent):
                return self._parent
            self._parent = above

    def _roots(self, rows: Numbers) -> Numbers:
        roots = self._parent[rows]
        while True:
            above = self._parent[roots]
            if np.array_equal(above, roots):
                return roots
            roots = above


def components(vectors: Rows, bar: float, *, block: int = BLOCK) -> Numbers:
    """Rows joined wherever a chain of cosines ≥ ``bar`` connects them.

    Returns each row's component as its lowest row, shape (rows,). The work is
    rows² / 2 comparisons; memory three blocks.
    """
    found = Components(len(vectors))
    for start in range(0, len(vectors), block):
        here = np.asarray(vectors[start : start + block])
        for other in range(start, len(vectors), block):
            near = here @ np.asarray(vectors[other : other + block]).T >= bar
            # A row is always near itself; what joins is a second hit.
            for row in np.nonzero(near.sum(axis=1) > (1 if other == start else 0))[0]:
                hits = np.nonzero(near[row])[0] + other
                found.join(np.append(hits, start + row))
        found.roots()
    return found.roots()


async def components_by_search(
    rows: int, neighbours: Callable[[int], Awaitable[Sequence[int]]]
) -> Numbers:
    """The same where ``neighbours`` names the rows near a row; one search a row."""
    found = Components(rows)
    for row in range(rows):
        near = await neighbours(row)
        if near:
            found.join(np.asarray([row, *near], dtype=np.int64))
    return found.roots()


def apart(vectors: Rows, order: Iterable[int], bar: float) -> list[int]:
    """The rows that stay when each gives way to an earlier one within cosine ``bar``.

    ``order`` is best first; rows that stay come in that order, and no two of
    them are nearer than ``bar``.
    """
    stay: list[int] = []
    waiting = list(order)
    for start in range(0, len(waiting), BLOCK):
        part = waiting[start : start + BLOCK]
        here = np.asarray(vectors[part])
        beaten = np.zeros(len(part), dtype=np.bool_)
        for first in range(0, len(stay), BLOCK):
            kept = np.asarray(vectors[stay[first : first + BLOCK]])
            beaten |= (here @ kept.T >= bar).any(axis=1)
        near = here @ here.T >= bar
        kept_here: list[int] = []
        for index in range(len(part)):
            if not beaten[index] and not near[index, kept_here].any():
                kept_here.append(index)
        stay.extend(part[index] for index in kept_here)
    return stay
