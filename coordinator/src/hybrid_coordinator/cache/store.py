"""What a place for cached answers must be able to do.

A store keeps bytes under names, vectors in partitions, and one version number a collection; it
knows nothing of requests, of answers or of when two questions are the same. Two implementations:
``memory`` and ``redis``, held to one test suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.cache.key import CacheKey
from hybrid_coordinator.settings import Collection

Vector: TypeAlias = npt.NDArray[np.float32]
"""One embedding: shape (dimensions,)."""

Versions: TypeAlias = Mapping[Collection, int]
"""How often each collection changed; 0 for never. Only equality means anything."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is under an exact key (None for nothing) and the versions at that moment."""

    body: bytes | None
    versions: Versions


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A kept question near the one asked; ``similarity`` is the cosine."""

    similarity: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest kept questions, nearest first, and the versions at that moment."""

    neighbours: Sequence[Neighbour]
    versions: Versions


class Put(NamedTuple):
    """Whether the entry was kept, and how many entries there are now."""

    stored: bool
    entries: int


class Readiness(NamedTuple):
    """Whether the store serves, and a sentence about it for people.

    ``semantic``: whether it can compare vectors.
    """

    ok: bool
    detail: str
    semantic: bool = True


class CacheStore(Protocol):
    """A place for answers. Every method may raise ``StoreUnavailable``."""

    async def get(self, exact: str) -> Found:
        """The body under an exact key, in one round trip with the versions."""

    async def versions(self) -> Versions:
        """The versions alone."""

    async def nearest(self, partition: str, vector: Vector, count: int) -> Nearest:
        """Up to ``count`` nearest of a partition; empty where the store cannot compare vectors.

        Raises StoreUnavailable when ``vector`` is not of the partition's size.
        """

    async def put(
        self, key: CacheKey, body: bytes, partition: str, vector: Vector | None, expected: Versions
    ) -> Put:
        """Keep ``body`` unless a version differs from ``expected``; the oldest leave for it.

        The vector, if any, goes into ``partition``. What stood under the key is replaced.
        """

    async def remove(self, members: Sequence[str]) -> int:
        """Drop entries and their vectors by ``CacheKey.member``; how many there were."""

    async def find(self, caller: str | None, question: str | None) -> list[str]:
        """Members with that caller's and that question's digest (None: any)."""

    async def link(self, links: Mapping[str, str]) -> None:
        """Remember which member each interaction was answered from; the oldest are forgotten."""

    async def linked(self, interaction_id: str) -> str | None:
        """The member that an interaction was answered from."""

    async def bump(self, collection: Collection) -> None:
        """Give a collection a version it never had."""

    def rebound(self, max_entries: int, ttl: float) -> None:
        """Other bounds from now on; what is kept keeps the time it was given."""

    async def ready(self) -> Readiness:
        """Whether the store serves now; never raises StoreUnavailable."""

    async def aclose(self) -> None:
        """Let go of connections."""
