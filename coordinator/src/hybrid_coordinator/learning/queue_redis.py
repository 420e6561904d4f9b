"""The extraction queue in Redis: shared by several coordinators.

A stream with a consumer group; what must happen at once is Lua, see
``queue_scripts``. While Redis is away every call fails at once (see
``cache.outage``) and nothing is lost: interactions that wait say so
themselves. Holds ids and reasons, no content.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final, TypeVar

import orjson
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from hybrid_coordinator.cache.outage import Outage
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.learning import queue_scripts as scripts
from hybrid_coordinator.learning.queue import (
    LOOK_AGAIN,
    MAX_DEAD,
    MAX_SEEN,
    MAX_WAITING,
    REASON,
    show,
)
from hybrid_coordinator.learning.records import QueuedExtraction, QueueView
from hybrid_coordinator.settings import RedisSettings
from hybrid_coordinator.telemetry.metrics import Metrics

_T = TypeVar("_T")

_AWAY = (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError)
_CONNECTIONS: Final = 4
_CLAIMED_LISTED: Final = 1_000
"""Claims looked at when what waits is listed; each coordinator has one or two."""


class RedisQueue:
    """An ``ExtractionQueue`` in Redis.

    Args:
        settings: where Redis is; ``url`` must be set.
        consumer: this instance's name in the group; made up if not given.
        now: epoch seconds, for the order of dead letters. Leases are timed by Redis.
        clock: monotonic seconds, for the pauses of an outage.
    """

    def __init__(
        self,
        settings: RedisSettings,
        metrics: Metrics,
        consumer: str | None = None,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        max_waiting: int = MAX_WAITING,
        max_dead: int = MAX_DEAD,
        max_seen: int = MAX_SEEN,
    ) -> None:
        if settings.url is None:
            raise ValueError("redis.url is not set: use SqliteQueue")
        pool = BlockingConnectionPool.from_url(
            settings.url,
            max_connections=_CONNECTIONS,
            timeout=None,  # waiting for a connection counts within settings.timeout
            socket_connect_timeout=settings.timeout,
            socket_timeout=None,  # for the reason see cache.redis
            protocol=2,
            decode_responses=True,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._command: Callable[..., Awaitable[Any]] = self._redis.execute_command
        self._keys = scripts.key_names(settings.key_prefix)
        _, self._entries, _, self._dead, _ = self._keys
        self._consumer = consumer or uuid.uuid4().hex
        self._timeout = settings.timeout
        self._metrics = metrics
        self._now = now
        self._outage = Outage("Redis", clock=clock)
        self._most = (max_waiting, max_dead, max_seen)
        self._scripts = {
            name: self._redis.register_script(getattr(scripts, name)) for name in scripts.NAMES
        }
        self._group_made = False
        self._changed = asyncio.Event()

    async def start(self) -> None:
        # A Redis that is away delays extraction and nothing else: the service starts without.
        with suppress(StoreUnavailable):
            await self._with_group()

    async def aclose(self) -> None:
        with suppress(StoreUnavailable):
            await self._retire()
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def add(self, entry: QueuedExtraction) -> bool:
        return await self._put("ADD", entry)

    async def restore(self, entry: QueuedExtraction) -> bool:
        return await self._put("RESTORE", entry)

    async def claim(self, lease: float) -> QueuedExtraction | None:
        body = await self._script("CLAIM", self._consumer, max(0, int(lease * 1000)))
        return None if body is None else _entry(body)

    async def done(self, entry: QueuedExtraction) -> None:
        await self._script("DONE", entry.interaction_id, self._consumer)

    async def release(self, entry: QueuedExtraction) -> None:
        if await self._again(entry):
            self._changed.set()

    async def failed(self, entry: QueuedExtraction, reason: str, tries: int) -> bool:
        tried = replace(entry, tries=entry.tries + 1, reason=reason[:REASON])
        if tried.tries < tries:
            if await self._again(tried):
                self._changed.set()
            return False
        buried = await self._script(
            *("BURY", entry.interaction_id, self._consumer, _body(tried), self._now()),
            self._most[1],
        )
        return bool(buried)

    async def dead(self, limit: int) -> list[QueuedExtraction]:
        if limit <= 0:
            return []
        ids = await self._run("list", lambda: self._command("ZREVRANGE", self._dead, 0, limit - 1))
        return await self._bodies(ids)

    async def waiting(self, limit: int) -> list[QueuedExtraction]:
        return [_entry(body) for body in await self._script("WAITING", limit, _CLAIMED_LISTED)]

    async def replay(self, ids: Sequence[str] | None) -> list[str]:
        if ids is None:
            wanted = await self._run("list", lambda: self._command("ZRANGE", self._dead, 0, -1))
        else:
            wanted = list(ids)
        replayed = []
        for letter in await self._bodies(wanted):
            fresh = replace(letter, tries=0, reason="")
            if await self._script("REPLAY", letter.interaction_id, _body(fresh)):
                replayed.append(letter.interaction_id)
        if replayed:
            self._changed.set()
            await self.depth()
        return replayed

    async def remove(self, interaction_id: str) -> int:
        return int(await self._script("REMOVE", interaction_id))

    async def depth(self) -> QueueView:
        waiting, claimed, dead = await self._script("DEPTH")
        first = await self.waiting(1)
        view = QueueView(
            waiting=waiting,
            claimed=claimed,
            dead=dead,
            oldest=first[0].enqueued if first else None,
        )
        show(view, self._metrics)
        return view

    async def wait(self) -> None:
        self._changed.clear()
        with suppress(StoreUnavailable):  # the pause below is the pause until the next try
            if (await self.depth()).waiting:
                return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN):
                await self._changed.wait()

    async def _put(self, name: str, entry: QueuedExtraction) -> bool:
        waiting, _, seen = self._most
        added = await self._script(
            name, entry.interaction_id, _body(entry), self._now(), waiting, seen
        )
        if added:
            self._changed.set()
            await self.depth()
        return bool(added)

    async def _again(self, entry: QueuedExtraction) -> bool:
        again = await self._script("AGAIN", entry.interaction_id, self._consumer, _body(entry))
        return bool(again)

    async def _bodies(self, ids: Sequence[str]) -> list[QueuedExtraction]:
        if not ids:
            return []
        bodies = await self._run("list", lambda: self._command("HMGET", self._entries, *ids))
        return [_entry(body) for body in bodies if body is not None]

    async def _with_group(self) -> None:
        if not self._group_made:
            await self._run(
                "start",
                lambda: self._scripts["START"](keys=self._keys, args=[scripts.GROUP]),
            )
            self._group_made = True

    async def _retire(self) -> None:
        """Leave the group, unless something is still claimed here: that would be lost to it."""
        if not self._group_made:
            return
        await self._script("RETIRE", self._consumer)

    async def _script(self, name: str, *values: str | float) -> Any:
        await self._with_group()
        return await self._run(
            name.lower(),
            lambda: self._scripts[name](keys=self._keys, args=[scripts.GROUP, *values]),
        )

    async def _run(self, operation: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """One operation within the time limit; whatever Redis does wrong is StoreUnavailable."""
        self._outage.admit()
        try:
            async with asyncio.timeout(self._timeout):
                result = await call()
        except _AWAY as error:
            self._group_made = False  # what comes back may be empty
            raise self._outage.failed(error) from error
        except RedisError as error:
            if isinstance(error, ResponseError) and "NOGROUP" in str(error):
                self._group_made = False  # somebody emptied it; the next call makes it anew
            raise self._outage.refused(operation, error) from error
        self._outage.succeeded(operation)
        return result


def _body(entry: QueuedExtraction) -> str:
    return orjson.dumps(asdict(entry)).decode()


def _entry(body: str) -> QueuedExtraction:
    return QueuedExtraction(**orjson.loads(body))
