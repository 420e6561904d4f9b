"""The places that forgetting removes something from, each by the little that is asked of it.

Interfaces only; who implements each is said at it. How they are used, and in
which order, is in ``forgetting``.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from hybrid_coordinator.knowledge.store import KnowledgeStore
from hybrid_coordinator.settings import Collection


class _Owned(Protocol):
    @property
    def caller(self) -> str: ...


class ForgetfulOutbox(Protocol):
    """What is needed of ``Outbox``."""

    async def known(self, interaction_id: str) -> _Owned | None:
        """What it knows of an interaction."""

    async def forget(self, interaction_id: str) -> int:
        """Remove its records and refuse it from now on."""


class Deliveries(Protocol):
    """What is needed of ``Deliverer``."""

    def paused(self) -> AbstractAsyncContextManager[None]:
        """Inside, nothing is on its way from the outbox to the store."""


class ForgetfulKnowledge(Protocol):
    """What is needed of ``Knowledge``."""

    async def opened(self) -> KnowledgeStore:
        """The store; raises ``StoreUnavailable``."""

    async def delete(self, collection: Collection, ids: Sequence[str], caller: str) -> int:
        """Delete items of one owner and say so to the cache."""


class ForgetfulQueue(Protocol):
    """What is needed of ``ExtractionQueue``."""

    async def remove(self, interaction_id: str) -> int:
        """Remove its entry, waiting or dead."""


class Unlearns(Protocol):
    """What is needed of ``PatternShelf``."""

    async def unlearn(self, interaction_id: str) -> Mapping[str, int]:
        """Remove what was learned from it: items, by collection."""


class Recounts(Protocol):
    """What is needed of ``Evidence``."""

    async def refresh(self, ids: Sequence[str]) -> Sequence[object]:
        """Count anew how these items have done; the ones that changed."""


class ForgetfulDataset(Protocol):
    """What is needed of ``DatasetWriter``."""

    async def without(self, *ids: str) -> int:
        """Rewrite the training data without them."""


class ForgetfulCache(Protocol):
    """What is needed of ``Cache``."""

    async def invalidate(
        self,
        *,
        interaction_id: str | None = None,
        question: str | None = None,
        caller: str | None = None,
    ) -> int:
        """Drop cached answers."""


class ForgetfulTelemetry(Protocol):
    """What is needed of ``TelemetryWriter``."""

    def erase(self, ids: collections.abc.Collection[str]) -> int:
        """Remove their events; blocking."""


@runtime_checkable
class Purges(Protocol):
    """A store whose files keep what was deleted until they are written anew."""

    async def purge(self, collection: Collection) -> bool:
        """Write a collection's files anew; False where it has to be tried again."""
