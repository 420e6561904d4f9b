"""Stored items in the order of their time, newest first, or in that of a question; page by page.

A store gives points in the order of their ids only. So a span of time is
looked for that holds about a page, by counting, and that span alone is read:
the work grows with the page, and with the number of items only as a count of
an indexed field does. Whose the items are is the caller's filter; not here.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hybrid_coordinator.errors import InvalidRequest
from hybrid_coordinator.knowledge import Knowledge, KnowledgeStore
from hybrid_coordinator.knowledge.store import Filter, FoundPoint, StoredPoint
from hybrid_coordinator.settings import Collection

_HOUR: Final = 3_600.0
_ENOUGH: Final = 4
"""Pages that a span may hold before a shorter one is looked for."""
_HALVINGS: Final = 16
_CURSOR: Final = 128
"""Characters of a cursor at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: before what is of this time (epoch seconds) and this id."""

    time: float
    id: str

    def __str__(self) -> str:
        return f"{self.time!r}_{self.id}"

    @classmethod
    def read(cls, text: str) -> Place:
        """A cursor as it was given out; also a bare time, in epoch seconds.

        Raises:
            InvalidRequest: it is neither.
        """
        time, _, id_ = text.partition("_")
        try:
            found = cls(float(time), id_)
        except ValueError:
            found = cls(-1.0, "")
        if not 0.0 <= found.time < 1e12 or len(text) > _CURSOR:
            raise InvalidRequest(
                "'before' is the 'next' of the page before, or epoch seconds.", field="before"
            )
        return found


@dataclass(frozen=True, slots=True)
class Listed:
    """A stored item in a list. ``similarity``: its cosine to the question, where one was asked."""

    collection: Collection
    point: StoredPoint
    time: float
    similarity: float | None = None

    @property
    def place(self) -> Place:
        return Place(self.time, self.point.id)


async def newest(
    store: KnowledgeStore,
    filters: Mapping[Collection, Filter],
    field: str,
    limit: int,
    before: Place | None,
    now: float,
) -> list[Listed]:
    """The ``limit`` newest items by the payload's ``field`` (epoch seconds), newest first.

    ``before``: only those that come after it in this order. Items of one time
    are in the order of their ids. Raises ``StoreUnavailable``.
    """
    start = await _start(store, filters, field, limit, before, now)
    kept: list[tuple[float, str, Listed]] = []
    for collection, where in filters.items():
        span = _between(where, field, start, before)
        after: str | None = None
        while True:
            page = await store.scroll(collection, span, after=after)
            for point in page.points:
                one = Listed(collection, point, _time(point, field))
                if before is not None and (one.time, point.id) >= (before.time, before.id):
                    continue
                # Bounded by the page, however many are of one time.
                entry = (one.time, point.id, one)
                if len(kept) < limit:
                    heapq.heappush(kept, entry)
                elif entry[:2] > kept[0][:2]:
                    heapq.heapreplace(kept, entry)
            after = page.next
            if after is None:
                break
    return [entry[2] for entry in sorted(kept, key=lambda e: e[:2], reverse=True)]


async def found(
    knowledge: Knowledge,
    filters: Mapping[Collection, Filter],
    field: str,
    query: str,
    limit: int,
) -> list[Listed]:
    """The items that belong to a question, by meaning or by its words, nearest first.

    Raises ``StoreUnavailable``, ``EmbeddingError``.
    """
    hits = [
        (
            hit.fused,
            Listed(collection, StoredPoint(hit.id, hit.payload), _time(hit, field), hit.cosine),
        )
        for collection, hit in await knowledge.hits(query, filters, limit)
        if hit.sparse_rank is not None or hit.cosine >= knowledge.calibration.floor(collection)
    ]
    hits.sort(key=lambda one: (-one[0], -(one[1].similarity or 0.0), one[1].point.id))
    return [one for _, one in hits[:limit]]


async def _start(
    store: KnowledgeStore,
    filters: Mapping[Collection, Filter],
    field: str,
    limit: int,
    before: Place | None,
    now: float,
) -> float:
    """The begin of a span before ``before`` that holds a page, and not many more."""
    end = now if before is None else before.time

    async def held(start: float) -> int:
        spans = [(c, _between(w, field, start, before)) for c, w in filters.items()]
        return sum([await store.count(c, span) for c, span in spans])

    # Of those at the very end any may be on a page before.
    wanted = limit if before is None else limit + await held(end)

    async def enough(width: float) -> int:
        return await held(end - width) - wanted

    width, too_short = _HOUR, 0.0
    while (surplus := await enough(width)) < 0:
        if width >= end:
            return 0.0
        too_short, width = width, min(width * 8, end)
    for _ in range(_HALVINGS):
        if surplus <= _ENOUGH * limit:
            break
        middle = (too_short + width) / 2
        less = await enough(middle)
        if less < 0:
            too_short = middle
        else:
            width, surplus = middle, less
    return end - width


def _between(where: Filter, field: str, start: float, before: Place | None) -> Filter:
    below = dict(where.below)
    if before is not None:
        # Exclusive: those of the very same time are told apart by their ids.
        below[field] = _just_after(before.time)
    return replace(where, at_least={**where.at_least, field: start}, below=below)


def _just_after(time: float) -> float:
    # A thousandth of a second: stores may keep a bound in less than 64 bits of precision.
    return time + 0.001


def _time(point: StoredPoint | FoundPoint, field: str) -> float:
    value = point.payload.get(field)
    return float(value) if isinstance(value, int | float) else 0.0


def merged(lists: Sequence[Sequence[Listed]], limit: int) -> list[Listed]:
    """Several lists as one, newest first; of two items of one id the first list's."""
    seen: dict[str, Listed] = {}
    for items in lists:
        for item in items:
            seen.setdefault(item.point.id, item)
    ordered = sorted(seen.values(), key=lambda one: (one.time, one.point.id), reverse=True)
    return ordered[:limit]
