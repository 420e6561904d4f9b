"""What a look-up found, and what the semantic tier asks of a guard.

Types only; the look-ups themselves are in ``tiers``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hybrid_coordinator.cache.entry import CacheEntry
from hybrid_coordinator.cache.key import CacheKey
from hybrid_coordinator.cache.store import Versions
from hybrid_coordinator.conversation import CacheStatus


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the cache knows of one request.

    Attributes:
        status: where the answer is from, or why there is none.
        key: the request's names; None where it is neither looked up nor kept.
        entry: the answer, where there is one.
        why: the reason, in words, of a status that is no hit; None for a plain miss.
        latency: seconds spent so far.
        versions: the collections' versions when the cache was first asked; None where unknown.
        similarity: cosine of the nearest question, where one was examined.
    """

    status: CacheStatus
    key: CacheKey | None = None
    entry: CacheEntry | None = None
    why: str | None = None
    latency: float = 0.0
    versions: Versions | None = None
    similarity: float | None = None


class PairVerdict(Protocol):
    """What the guard says of a pair; ``rule`` names the rule that kept them apart, if one did."""

    @property
    def same(self) -> bool:
        """Whether the cached answer may be given."""

    @property
    def rule(self) -> str | None:
        """One of a fixed set of names."""


class PairGuard(Protocol):
    """Decides whether the answer to one question may serve for another."""

    def examine(self, asked: str, cached: str, similarity: float) -> PairVerdict:
        """Judge a pair with its cosine; quick, and without input or output."""
