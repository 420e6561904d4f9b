"""The cache in this process: for a coordinator that runs without Redis.

Bounded by entries and by bytes, oldest first; lost with the process, as a cache may be. One event
loop uses it and every operation is complete before the next begins, so it needs no lock. Not
shared between processes: several coordinators want ``redis``.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hybrid_coordinator.cache.key import CacheKey
from hybrid_coordinator.cache.store import (
    Found,
    Nearest,
    Neighbour,
    Put,
    Readiness,
    Vector,
    Versions,
)
from hybrid_coordinator.cache.vectors import VectorTable
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.settings import Collection

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
_ENTRY_OVERHEAD_BYTES = 700
_TABLE_OVERHEAD_BYTES = 1500
"""What the bookkeeping of an entry and of a partition takes; measured with tracemalloc."""
_FIND_SLICE = 1024


@dataclass(slots=True)
class _Kept:
    body: bytes
    expires_at: float
    member: str
    partition: str | None
    size: int


class MemoryStore:
    """A ``CacheStore`` in memory.

    Args:
        max_entries: entries kept at most.
        ttl: seconds an entry is kept.
        max_bytes: bytes that entries, vectors and bookkeeping may take together.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        max_entries: int,
        ttl: float,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._ttl = ttl
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # oldest first
        self._tables: dict[str, VectorTable] = {}
        self._links: OrderedDict[str, str] = OrderedDict()
        self._versions = dict.fromkeys(Collection, 0)
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes in use, by the store's own reckoning."""
        return self._bytes

    async def get(self, exact: str) -> Found:
        kept = self._live(exact)
        return Found(kept.body if kept else None, dict(self._versions))

    async def versions(self) -> Versions:
        return dict(self._versions)

    async def nearest(self, partition: str, vector: Vector, count: int) -> Nearest:
        neighbours: list[Neighbour] = []
        table = self._tables.get(partition)
        if table is not None:
            _same_size(table, vector)
            for similarity, exact in table.nearest(vector, count):
                kept = self._live(exact)
                if kept is not None:
                    neighbours.append(Neighbour(similarity, kept.body))
        return Nearest(neighbours, dict(self._versions))

    async def put(
        self, key: CacheKey, body: bytes, partition: str, vector: Vector | None, expected: Versions
    ) -> Put:
        if any(self._versions[name] != version for name, version in expected.items()):
            return Put(False, len(self._kept))
        table = self._tables.get(partition)
        if vector is not None and table is not None:
            _same_size(table, vector)
        self._drop(key.exact)
        size = len(body) + _ENTRY_OVERHEAD_BYTES
        if vector is not None:
            table = self._tables.get(partition)
            if table is None:
                table = self._tables[partition] = VectorTable(len(vector))
                self._bytes += _TABLE_OVERHEAD_BYTES
            table.put(key.exact, vector)
            size += table.bytes_per_row
        self._kept[key.exact] = _Kept(
            body=body,
            expires_at=self._clock() + self._ttl,
            member=key.member,
            partition=None if vector is None else partition,
            size=size,
        )
        self._bytes += size
        self._trim()
        return Put(key.exact in self._kept, len(self._kept))

    async def remove(self, members: Sequence[str]) -> int:
        removed = 0
        for member in members:
            exact = member[-32:]
            removed += self._live(exact) is not None
            self._drop(exact)
        return removed

    async def find(self, caller: str | None, question: str | None) -> list[str]:
        found: list[str] = []
        names = list(self._kept)
        for start in range(0, len(names), _FIND_SLICE):
            slice_ = map(self._kept.get, names[start : start + _FIND_SLICE])
            found += [
                kept.member
                for kept in slice_
                if kept is not None
                and (caller is None or kept.member.startswith(caller))
                and (question is None or kept.member.startswith(question, 16))
            ]
            await asyncio.sleep(0)  # requests go on between two slices
        return found

    async def link(self, links: Mapping[str, str]) -> None:
        self._links.update(links)
        while len(self._links) > self._max_entries:
            self._links.popitem(last=False)

    async def linked(self, interaction_id: str) -> str | None:
        return self._links.get(interaction_id)

    async def bump(self, collection: Collection) -> None:
        self._versions[collection] += 1

    def rebound(self, max_entries: int, ttl: float) -> None:
        self._max_entries = max_entries
        self._ttl = ttl
        self._trim()

    async def ready(self) -> Readiness:
        return Readiness(
            True, f"in this process, {len(self._kept)} entries, {self._bytes / 2**20:.1f} MiB"
        )

    async def aclose(self) -> None:
        self._kept.clear()
        self._tables.clear()
        self._links.clear()
        self._bytes = 0

    def _live(self, exact: str) -> _Kept | None:
        kept = self._kept.get(exact)
        if kept is not None and kept.expires_at <= self._clock():
            self._drop(exact)
            return None
        return kept

    def _drop(self, exact: str) -> None:
        kept = self._kept.pop(exact, None)
        if kept is None:
            return
        self._bytes -= kept.size
        if kept.partition is not None:
            table = self._tables[kept.partition]
            table.remove(exact)
            if not table:
                del self._tables[kept.partition]
                self._bytes -= _TABLE_OVERHEAD_BYTES

    def _trim(self) -> None:
        """Drop what has expired and, oldest first, what is too much."""
        now = self._clock()
        while self._kept:
            exact, oldest = next(iter(self._kept.items()))
            if (
                oldest.expires_at > now
                and len(self._kept) <= self._max_entries
                and self._bytes <= self._max_bytes
            ):
                return
            self._drop(exact)


def _same_size(table: VectorTable, vector: Vector) -> None:
    if len(vector) != table.size:
        raise StoreUnavailable(
            f"The question's vector has {len(vector)} numbers, the cached ones have {table.size}: "
            "give the embedder another name when its model changes."
        )
