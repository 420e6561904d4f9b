"""Answers given before: an exact and a semantic tier over one store interface.

``Cache`` is what the pipeline uses; ``MemoryStore`` and ``RedisStore`` are the two places it can
keep answers in.
"""

from hybrid_coordinator.cache.eligibility import semantic_eligible
from hybrid_coordinator.cache.entry import CacheEntry
from hybrid_coordinator.cache.flight import Flight
from hybrid_coordinator.cache.guard import Guard
from hybrid_coordinator.cache.key import CacheKey
from hybrid_coordinator.cache.lookup import Lookup, PairGuard, PairVerdict
from hybrid_coordinator.cache.memory import MemoryStore
from hybrid_coordinator.cache.redis import RedisStore
from hybrid_coordinator.cache.replay import completion_of, stream_of
from hybrid_coordinator.cache.store import CacheStore, Readiness
from hybrid_coordinator.cache.tiers import Cache

__all__ = [
    "Cache",
    "CacheEntry",
    "CacheKey",
    "CacheStore",
    "Flight",
    "Guard",
    "Lookup",
    "MemoryStore",
    "PairGuard",
    "PairVerdict",
    "Readiness",
    "RedisStore",
    "completion_of",
    "semantic_eligible",
    "stream_of",
]
