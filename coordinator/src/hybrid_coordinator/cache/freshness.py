"""Which versions of the knowledge count, and telling the store that it changed.

A change that the store could not be told of is remembered; until it is told, nothing may be read
from the cache. Remembered in this process only: what is unsent when the process ends is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from itertools import count

from hybrid_coordinator.cache.store import CacheStore, Versions
from hybrid_coordinator.settings import Collection


class Freshness:
    """The versions of ``collections``, those that get into prompts, as ``store`` has them."""

    def __init__(self, store: CacheStore, collections: Iterable[Collection]) -> None:
        self._store = store
        self._collections = tuple(sorted(set(collections)))
        self._changes = count(1)
        self._unsent: dict[Collection, int] = {}

    def of(self, collections: Iterable[Collection]) -> Freshness:
        """The same knowledge of what is unsent, for other collections."""
        other = copy(self)
        other._collections = tuple(sorted(set(collections)))
        return other

    @property
    def known(self) -> bool:
        """Whether the store knows of every change."""
        return not self._unsent

    def counted(self, versions: Versions) -> Versions:
        """Those versions a kept answer depends on."""
        return {collection: versions[collection] for collection in self._collections}

    async def changed(self, collection: Collection) -> None:
        """Give the collection a new version. Raises StoreUnavailable, and remembers it then."""
        self._unsent[collection] = next(self._changes)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Tell the store what it does not know yet. Raises StoreUnavailable."""
        for collection, change in list(self._unsent.items()):
            await self._store.bump(collection)
            # Only now: who reads meanwhile must wait. Twice told is harmless, and a later change
            # of the same collection still has to be told.
            if self._unsent.get(collection) == change:
                del self._unsent[collection]
