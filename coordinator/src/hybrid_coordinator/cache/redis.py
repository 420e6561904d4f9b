"""The cache in Redis 8: shared by several coordinators, and it outlives them.

An exact look-up is one MGET (the entry and the versions), a semantic one VSIM and one MGET. Every
operation is bounded by ``redis.timeout``; while Redis is away they fail at once (see ``outage``).
A Redis without vector sets serves the exact tier only. Not a queue and not a durable store: all
in it may be lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from hybrid_coordinator.cache.key import CacheKey
from hybrid_coordinator.cache.outage import Outage
from hybrid_coordinator.cache.redis_scripts import LINK, PUT, REMOVE, TRIM_BATCH, Keys
from hybrid_coordinator.cache.store import (
    Found,
    Nearest,
    Neighbour,
    Put,
    Readiness,
    Vector,
    Versions,
)
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.settings import Collection, RedisSettings

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_AWAY = (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError)
_SEARCH_EFFORT = 150
"""Candidates of the graph search (EF): with 150 of 100,000 the nearest was found each time, with
Redis's default of 100 it was missed 2 times in 80 at a cosine of 0.86; both take 0.8 ms."""
_REMOVE_BATCH = 128
_FIND_BATCH = 1000


class RedisStore:
    """A ``CacheStore`` in Redis.

    Args:
        settings: where Redis is; ``url`` must be set.
        max_entries: entries kept at most, over all coordinators that share the prefix.
        ttl: seconds an entry is kept.
        pause: seconds between two tries while Redis is away.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        settings: RedisSettings,
        max_entries: int,
        ttl: float,
        *,
        pause: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if settings.url is None:
            raise ValueError("redis.url is not set: use MemoryStore")
        pool = BlockingConnectionPool.from_url(
            settings.url,
            max_connections=settings.max_connections,
            timeout=None,  # waiting for a connection counts within settings.timeout
            socket_connect_timeout=settings.timeout,
            # Not a second limit: redis-py keeps it with asyncio.wait_for, which in Python 3.11
            # swallows the cancellation by the outer limit if it comes at the wrong moment.
            socket_timeout=None,
            protocol=2,
            # A connection that Redis closed while it was idle is replaced once, silently.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._command: Callable[..., Awaitable[Any]] = self._redis.execute_command
        self._put = self._redis.register_script(PUT)
        self._remove = self._redis.register_script(REMOVE)
        self._link = self._redis.register_script(LINK)
        self._keys = Keys(settings.key_prefix)
        self._timeout = settings.timeout
        self._max_entries = max_entries
        self._ttl_ms = max(1, int(ttl * 1000))
        self._outage = Outage("Redis", pause=pause, clock=clock)
        self._vector_sets: bool | None = None

    async def get(self, exact: str) -> Found:
        body, *numbers = await self._mget("get", [self._keys.entry(exact), *self._keys.versions])
        return Found(body, _versions(numbers))

    async def versions(self) -> Versions:
        return _versions(await self._mget("get", self._keys.versions))

    async def nearest(self, partition: str, vector: Vector, count: int) -> Nearest:
        if not await self._has_vector_sets():
            return Nearest((), await self.versions())
        near = self._keys.near(partition)
        reply = await self._run(
            "nearest",
            lambda: self._command(
                *("VSIM", near, "FP32", _fp32(vector), "WITHSCORES", "COUNT", count),
                *("EF", max(_SEARCH_EFFORT, 2 * count)),
            ),
        )
        names = [name.decode() for name in reply[::2]]
        bodies = await self._mget("nearest", [*map(self._keys.entry, names), *self._keys.versions])
        found, gone = [], []
        for name, score, body in zip(names, reply[1::2], bodies, strict=False):
            if body is None:
                gone.append(name)
            else:
                # VSIM scores are (1 + cosine) / 2 (Redis manual, VSIM).
                found.append(Neighbour(2.0 * float(score) - 1.0, body))
        if gone:  # expired or evicted by Redis itself: their vectors are in the way of others
            await self._forget_vectors(near, gone)
        return Nearest(found, _versions(bodies[len(names) :]))

    async def put(
        self, key: CacheKey, body: bytes, partition: str, vector: Vector | None, expected: Versions
    ) -> Put:
        keeps_vector = vector is not None and await self._has_vector_sets()
        versions = [text for name, number in expected.items() for text in (name, str(number))]
        stored, entries = await self._run(
            "put",
            lambda: self._put(
                args=[
                    *(self._keys.prefix, key.member, body, self._ttl_ms),
                    *(self._max_entries, TRIM_BATCH, partition if keeps_vector else ""),
                    *versions,
                ]
            ),
        )
        if stored and keeps_vector and vector is not None:
            await self._add_vector(self._keys.near(partition), key.exact, vector)
        return Put(bool(stored), int(entries))

    async def remove(self, members: Sequence[str]) -> int:
        removed = 0
        for start in range(0, len(members), _REMOVE_BATCH):
            batch = members[start : start + _REMOVE_BATCH]
            removed += int(await self._run("remove", self._call_remove(batch)))
        return removed

    async def find(self, caller: str | None, question: str | None) -> list[str]:
        pattern = f"{caller or '?' * 16}{question or '?' * 16}*"
        found: set[str] = set()  # a scan may give a member twice
        cursor = 0
        while True:
            cursor, members = await self._run("find", self._call_scan(cursor, pattern))
            found.update(member.decode() for member, _ in members)
            if cursor == 0:
                return sorted(found)

    async def link(self, links: Mapping[str, str]) -> None:
        pairs = [text for pair in links.items() for text in pair]
        await self._run(
            "link",
            lambda: self._link(args=[self._keys.prefix, self._max_entries, self._ttl_ms, *pairs]),
        )

    async def linked(self, interaction_id: str) -> str | None:
        member = await self._run(
            "link", lambda: self._command("HGET", self._keys.links, interaction_id)
        )
        return None if member is None else str(member, "ascii")

    async def bump(self, collection: Collection) -> None:
        # A number that was lost, say by eviction, must not come back: it starts at the time.
        pipe = self._redis.pipeline(transaction=True)
        key = self._keys.version(collection)
        pipe.set(key, time.time_ns() // 1_000_000, nx=True)
        pipe.incr(key)
        await self._run("bump", pipe.execute)

    def rebound(self, max_entries: int, ttl: float) -> None:
        self._max_entries = max_entries
        self._ttl_ms = max(1, int(ttl * 1000))

    async def ready(self) -> Readiness:
        try:
            info = await self._run("ready", lambda: self._redis.info("server"))
            vector_sets = await self._has_vector_sets()
        except StoreUnavailable as error:
            return Readiness(False, error.message)
        version = info.get("redis_version", "of an unknown version")
        if vector_sets:
            return Readiness(True, f"Redis {version}, exact and semantic tier")
        return Readiness(
            True, f"Redis {version} has no vector sets (8 has): exact tier only", semantic=False
        )

    async def aclose(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _add_vector(self, near: str, exact: str, vector: Vector) -> None:
        # CAS: Redis looks for the neighbours in a thread, so other clients do not wait for it.
        pipe = self._redis.pipeline(transaction=False)
        pipe.execute_command("VADD", near, "FP32", _fp32(vector), exact, "CAS", "Q8")
        pipe.pexpire(near, self._ttl_ms)
        await self._run("put", pipe.execute)

    async def _forget_vectors(self, near: str, names: Sequence[str]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.execute_command("VREM", near, name)
        await self._run("nearest", pipe.execute)

    async def _has_vector_sets(self) -> bool:
        if self._vector_sets is None:
            self._vector_sets = await self._run("ready", self._probe_vector_sets)
            if not self._vector_sets:
                _log.warning(
                    "This Redis has no vector sets, so the cache answers equal questions only, "
                    "not similar ones: use Redis 8 or later.",
                    extra={"event": "cache_without_vector_sets"},
                )
        return self._vector_sets

    async def _probe_vector_sets(self) -> bool:
        try:
            await self._command("VCARD", self._keys.probe)
        except ResponseError as error:
            if "unknown command" in str(error).lower():
                return False
            raise
        return True

    async def _mget(self, operation: str, keys: Sequence[str]) -> list[bytes | None]:
        values: list[bytes | None] = await self._run(
            operation, lambda: self._command("MGET", *keys)
        )
        return values

    def _call_remove(self, members: Sequence[str]) -> Callable[[], Awaitable[Any]]:
        return lambda: self._remove(args=[self._keys.prefix, *members])

    def _call_scan(self, cursor: int, pattern: str) -> Callable[[], Awaitable[Any]]:
        return lambda: self._redis.zscan(self._keys.order, cursor, pattern, _FIND_BATCH)

    async def _run(self, operation: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """One operation within the time limit; whatever Redis does wrong is StoreUnavailable."""
        self._outage.admit()
        try:
            async with asyncio.timeout(self._timeout):
                result = await call()
        except _AWAY as error:
            self._vector_sets = None  # what comes back may be another version
            raise self._outage.failed(error) from error
        except RedisError as error:
            raise self._outage.refused(operation, error) from error
        self._outage.succeeded(operation)
        return result


def _fp32(vector: Vector) -> bytes:
    return np.asarray(vector, dtype="<f4").tobytes()


def _versions(numbers: Sequence[bytes | None]) -> Versions:
    return {
        collection: int(number or 0) for collection, number in zip(Collection, numbers, strict=True)
    }
