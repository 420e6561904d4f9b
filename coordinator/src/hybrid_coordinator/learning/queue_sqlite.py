"""The extraction queue in an SQLite file: for one machine, and more than one process on it.

One thread does all the work of one instance, so nothing blocks the event
loop; several processes may have the file open (WAL, and every change is one
immediate transaction). Not a place for content: it holds ids and reasons.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final, TypeVar

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.learning.queue import (
    LOOK_AGAIN,
    MAX_DEAD,
    MAX_SEEN,
    MAX_WAITING,
    REASON,
    show,
)
from hybrid_coordinator.learning.records import QueuedExtraction, QueueView
from hybrid_coordinator.telemetry.metrics import Metrics

_T = TypeVar("_T")

_BUSY_SECONDS: Final = 5.0
"""How long one process waits for another's transaction; each takes milliseconds."""
_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
  interaction_id TEXT PRIMARY KEY,
  caller TEXT NOT NULL,
  score REAL NOT NULL,
  enqueued REAL NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'waiting',
  place INTEGER NOT NULL,
  claimed REAL,
  lease REAL,
  owner TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS entries_state ON entries (state, place);
CREATE INDEX IF NOT EXISTS entries_place ON entries (place);
"""
_COLUMNS: Final = "interaction_id, caller, score, enqueued, tries, reason"
_NEXT_PLACE: Final = "(SELECT coalesce(max(place), 0) + 1 FROM entries)"
# A claim whose time lies in the future was made before the clock was set back.
_CLAIMABLE: Final = (
    "(state = 'waiting' OR (state = 'claimed' AND "
    "(:now >= claimed + lease OR :now < claimed - 1.0)))"
)


_CLAIM: Final = f"""
UPDATE entries SET state = 'claimed', claimed = :now, lease = :lease, owner = :owner
WHERE interaction_id = (
  SELECT interaction_id FROM entries WHERE {_CLAIMABLE} ORDER BY place LIMIT 1
) RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_COUNT: Final = f"""
SELECT count(*) FILTER (WHERE {_CLAIMABLE}), min(enqueued) FILTER (WHERE {_CLAIMABLE}),
  count(*) FILTER (WHERE state = 'claimed' AND NOT {_CLAIMABLE}),
  count(*) FILTER (WHERE state = 'dead')
FROM entries WHERE state != 'done'
"""  # noqa: S608 - constants
_REPLAY: Final = f"""
UPDATE entries SET state = 'waiting', tries = 0, reason = '', place = {_NEXT_PLACE}
WHERE interaction_id = ? AND state = 'dead'
"""  # noqa: S608 - constants
_INSERT: Final = f"""
INSERT INTO entries ({_COLUMNS}, place)
VALUES (:interaction_id, :caller, :score, :enqueued, :tries, :reason, {_NEXT_PLACE})
ON CONFLICT (interaction_id) DO """  # noqa: S608 - constants
_RESTORE: Final = """
UPDATE SET state = 'waiting', tries = 0, reason = '', enqueued = excluded.enqueued,
  place = excluded.place WHERE state = 'done'
"""


class SqliteQueue:
    """An ``ExtractionQueue`` in the file ``path``. ``now`` gives epoch seconds."""

    def __init__(
        self,
        path: Path,
        metrics: Metrics,
        *,
        now: Callable[[], float] = time.time,
        max_waiting: int = MAX_WAITING,
        max_dead: int = MAX_DEAD,
        max_seen: int = MAX_SEEN,
    ) -> None:
        self._path = path
        self._metrics = metrics
        self._now = now
        self._max_waiting = max_waiting
        self._max_dead = max_dead
        self._max_seen = max_seen
        self._owner = uuid.uuid4().hex
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._changed = asyncio.Event()

    async def start(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="extraction-queue")
        await self._do(lambda connection: None)

    async def aclose(self) -> None:
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        await asyncio.get_running_loop().run_in_executor(thread, self._close)
        thread.shutdown(wait=False)

    async def add(self, entry: QueuedExtraction) -> bool:
        return await self._put(entry, "NOTHING")

    async def restore(self, entry: QueuedExtraction) -> bool:
        return await self._put(entry, _RESTORE)

    async def claim(self, lease: float) -> QueuedExtraction | None:
        def change(connection: sqlite3.Connection) -> QueuedExtraction | None:
            values = {"now": self._now(), "lease": lease, "owner": self._owner}
            rows = connection.execute(_CLAIM, values).fetchall()
            return QueuedExtraction(*rows[0]) if rows else None

        return await self._do(change)

    async def done(self, entry: QueuedExtraction) -> None:
        await self._settle(entry, "state = 'done', reason = ''")

    async def release(self, entry: QueuedExtraction) -> None:
        if await self._settle(entry, f"state = 'waiting', place = {_NEXT_PLACE}"):
            self._changed.set()

    async def failed(self, entry: QueuedExtraction, reason: str, tries: int) -> bool:
        dead = entry.tries + 1 >= tries
        settled = await self._settle(
            entry,
            f"state = :state, place = {_NEXT_PLACE}, reason = :reason, tries = tries + 1",
            {"state": "dead" if dead else "waiting", "reason": reason[:REASON]},
        )
        if settled and not dead:
            self._changed.set()
        return settled and dead

    async def dead(self, limit: int) -> list[QueuedExtraction]:
        return await self._list("state = 'dead'", "place DESC", limit)

    async def waiting(self, limit: int) -> list[QueuedExtraction]:
        return await self._list(_CLAIMABLE, "place", limit)

    async def replay(self, ids: Sequence[str] | None) -> list[str]:
        def change(connection: sqlite3.Connection) -> list[str]:
            if ids is None:
                found = connection.execute(
                    "SELECT interaction_id FROM entries WHERE state = 'dead' ORDER BY place"
                )
                wanted = [row[0] for row in found]
            else:
                wanted = list(ids)
            return [id_ for id_ in wanted if connection.execute(_REPLAY, (id_,)).rowcount]

        replayed = await self._do(change)
        if replayed:
            self._changed.set()
            await self.depth()
        return replayed

    async def remove(self, interaction_id: str) -> int:
        return await self._do(
            lambda connection: (
                connection.execute(
                    "DELETE FROM entries WHERE interaction_id = ?", (interaction_id,)
                ).rowcount
            )
        )

    async def depth(self) -> QueueView:
        def look(connection: sqlite3.Connection) -> QueueView:
            row = connection.execute(_COUNT, {"now": self._now()}).fetchone()
            return QueueView(waiting=row[0], oldest=row[1], claimed=row[2], dead=row[3])

        view = await self._do(look)
        show(view, self._metrics)
        return view

    async def wait(self) -> None:
        self._changed.clear()
        if (await self.depth()).waiting:
            return
        # Another process may add, and a lease may run out: neither is an event of this one.
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN):
                await self._changed.wait()

    async def _put(self, entry: QueuedExtraction, conflict: str) -> bool:
        def change(connection: sqlite3.Connection) -> bool:
            counted = connection.execute("SELECT count(*) FROM entries WHERE state = 'waiting'")
            if counted.fetchone()[0] >= self._max_waiting:
                return False
            values = {**asdict(entry), "reason": entry.reason[:REASON]}
            cursor = connection.execute(_INSERT + conflict, values)
            return cursor.rowcount == 1

        added = await self._do(change)
        if added:
            self._changed.set()
            await self.depth()
        return added

    async def _settle(
        self, entry: QueuedExtraction, change: str, values: dict[str, object] | None = None
    ) -> bool:
        """Change an entry that is claimed here; False where it no longer is."""

        def settle(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                f"UPDATE entries SET {change}, claimed = NULL, lease = NULL, owner = NULL "  # noqa: S608 - constants
                "WHERE interaction_id = :id AND state = 'claimed' AND owner = :owner",
                {"id": entry.interaction_id, "owner": self._owner, **(values or {})},
            )
            for state, most in (("done", self._max_seen), ("dead", self._max_dead)):
                connection.execute(
                    "DELETE FROM entries WHERE interaction_id IN (SELECT interaction_id FROM "
                    "entries WHERE state = ? ORDER BY place DESC LIMIT -1 OFFSET ?)",
                    (state, most),
                )
            return cursor.rowcount == 1

        return await self._do(settle)

    async def _list(self, where: str, order: str, limit: int) -> list[QueuedExtraction]:
        def look(connection: sqlite3.Connection) -> list[QueuedExtraction]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE {where} ORDER BY {order} LIMIT :limit",  # noqa: S608
                {"limit": limit, "now": self._now()},
            )
            return [QueuedExtraction(*row) for row in rows]

        return await self._do(look)

    async def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """One immediate transaction in the thread; whatever SQLite says is StoreUnavailable."""
        if self._thread is None:
            raise StoreUnavailable("The extraction queue is not open.")

        def run() -> _T:
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"The extraction queue '{self._path.name}' cannot be used ({error}): "
                "look after the state directory's space and permissions."
            ) from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found > _VERSION:
                raise sqlite3.DatabaseError(f"it was written by a newer version ({found})")
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
