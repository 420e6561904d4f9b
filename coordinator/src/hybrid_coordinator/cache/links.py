"""Which entry each interaction was answered from, written behind the requests' backs.

A client that says "that answer was wrong" names its interaction, not the entry. The mapping is
written in batches by one task, so a hit does not wait for it. Bounded: beyond ``limit`` unwritten
ones the oldest are forgotten. Not durable: with the store away, links are lost and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hybrid_coordinator.cache.store import CacheStore
from hybrid_coordinator.errors import StoreUnavailable


class AnswerLinks:
    """Interaction → member, in ``store`` as soon as it takes them.

    ``on_lost`` is called with the number of links that could not be written.
    """

    def __init__(
        self, store: CacheStore, on_lost: Callable[[int], object], *, limit: int = 1024
    ) -> None:
        self._store = store
        self._on_lost = on_lost
        self._limit = limit
        self._unwritten: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, interaction_id: str, member: str) -> None:
        """Remember, soon, that ``interaction_id`` was answered from ``member``."""
        self._unwritten[interaction_id] = member
        if len(self._unwritten) > self._limit:
            del self._unwritten[next(iter(self._unwritten))]
            self._on_lost(1)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="cache-links")

    async def of(self, interaction_id: str) -> str | None:
        """The member that answered ``interaction_id``. Raises StoreUnavailable."""
        await self.settle()
        return await self._store.linked(interaction_id)

    async def settle(self) -> None:
        """Wait until what was added so far is written, or lost."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _write(self) -> None:
        while self._unwritten:
            batch, self._unwritten = self._unwritten, {}
            try:
                await self._store.link(batch)
            except StoreUnavailable:
                self._on_lost(len(batch))
