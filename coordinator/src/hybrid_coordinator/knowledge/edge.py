"""The embedded store: Qdrant's engine in this process, one folder a collection.

Durability: when a write returns it survives a kill of this process (the
engine's write-ahead log has it); it survives a loss of power once flushed,
at most ``FLUSH_SECONDS`` later. One process at a time can have the folder.
Suits one machine and up to some hundred thousand items; beyond that, or for
several coordinators, set ``qdrant.url``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import HybridError, StoreUnavailable
from hybrid_coordinator.knowledge.collections import indexes
from hybrid_coordinator.knowledge.edge_files import REWRITE, sync_files
from hybrid_coordinator.knowledge.edge_filter import edge
from hybrid_coordinator.knowledge.edge_shard import EdgeShardFolder
from hybrid_coordinator.knowledge.store import (
    PAGE,
    Availability,
    CollectionReport,
    Filter,
    FoundPoint,
    Page,
    Point,
    SparseVector,
    StoredPoint,
    Vector,
    fuse,
    mismatch,
)
from hybrid_coordinator.settings import Collection

FLUSH_SECONDS: Final = 5.0

_UPSERT_CHUNK: Final = 32
"""Points written in one engine call: it holds Python's lock, about 0.1 ms a point."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class EdgeStore:
    """``KnowledgeStore`` over qdrant-edge. ``size`` and ``embedder`` are the embedder's."""

    def __init__(
        self, folder: Path, size: int, embedder: str, *, flush_seconds: float = FLUSH_SECONDS
    ) -> None:
        self._folder = folder
        self._size = size
        self._embedder = embedder
        self._flush_seconds = flush_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="knowledge-store")
        self._shards: dict[Collection, EdgeShardFolder] = {}
        self._availability = Availability("embedded knowledge store")
        self._upkeep: asyncio.Task[None] | None = None
        self._written = asyncio.Event()
        self._writing = {collection: asyncio.Lock() for collection in Collection}
        self._renewing = asyncio.Lock()
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._closed = False

    async def init(self) -> None:
        edge()
        await self._run(self._open_all)
        for collection, shard in self._shards.items():
            have = f"vectors of {shard.stored_size} dimensions by '{shard.stored_embedder}'"
            want = f"vectors of {self._size} by '{self._embedder}'"
            if (shard.stored_size, shard.stored_embedder) != (self._size, self._embedder):
                raise mismatch(collection, have, want)
        if self._upkeep is None:
            self._upkeep = asyncio.create_task(self._keep_up(), name="knowledge-store-upkeep")
            self._written.set()

    async def upsert(self, collection: Collection, points: Sequence[Point]) -> None:
        shard = self._shard(collection)
        for start in range(0, len(points), _UPSERT_CHUNK):
            chunk = points[start : start + _UPSERT_CHUNK]
            async with self._writing[collection]:
                await self._run(partial(shard.upsert, chunk))
        self._written.set()

    async def delete(self, collection: Collection, where: Filter) -> None:
        if where.empty:
            raise ValueError("an empty filter would delete everything: use recreate()")
        shard = self._shard(collection)
        async with self._writing[collection]:
            await self._run(lambda: shard.delete(where))
        self._written.set()

    async def get(
        self, collection: Collection, ids: Sequence[str], *, with_vectors: bool = False
    ) -> list[StoredPoint]:
        shard = self._shard(collection)
        return await self._run(lambda: shard.get(ids, with_vectors))

    async def vectors(self, collection: Collection, ids: Sequence[str]) -> dict[str, Vector]:
        shard = self._shard(collection)
        return await self._run_together(lambda: shard.vectors(ids))

    async def query(
        self,
        collection: Collection,
        dense: Vector,
        sparse: SparseVector,
        limit: int,
        where: Filter | None = None,
    ) -> list[FoundPoint]:
        shard = self._shard(collection)

        def search() -> list[FoundPoint]:
            return fuse(*shard.search(dense, sparse, limit, where))

        return await self._run_together(search)

    async def count(self, collection: Collection, where: Filter | None = None) -> int:
        shard = self._shard(collection)
        return await self._run(lambda: shard.count(where))

    async def scroll(
        self,
        collection: Collection,
        where: Filter | None = None,
        *,
        after: str | None = None,
        limit: int = PAGE,
        with_vectors: bool = False,
    ) -> Page:
        shard = self._shard(collection)
        return await self._run(lambda: shard.scroll(where, after, limit, with_vectors))

    async def set_payload(self, collection: Collection, ids: Sequence[str], payload: Json) -> None:
        shard = self._shard(collection)
        async with self._writing[collection]:
            await self._run(lambda: shard.set_payload(ids, payload))
        self._written.set()

    async def schema_report(self) -> dict[Collection, CollectionReport]:
        report = {}
        for collection in Collection:
            try:
                shard = self._shard(collection)
                points = await self._run(shard.points)
            except StoreUnavailable as error:
                report[collection] = CollectionReport(None, None, error.message)
                continue
            problem = None
            if (shard.stored_size, shard.stored_embedder) != (self._size, self._embedder):
                have = f"vectors of {shard.stored_size} by '{shard.stored_embedder}'"
                want = f"{self._size} by '{self._embedder}'"
                problem = mismatch(collection, have, want).message
            report[collection] = CollectionReport(points, shard.stored_size, problem)
        return report

    async def recreate(self, collection: Collection) -> None:
        shard = self._shard(collection)
        async with self._writing[collection]:
            await self._run(shard.recreate)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        loop = asyncio.get_running_loop()
        for shard in self._shards.values():
            await loop.run_in_executor(self._thread, shard.close)
        self._shards.clear()
        self._thread.shutdown(wait=True)

    async def optimise(self, collection: Collection) -> bool:
        """Optimise one collection now, whether or not it is due; False where it was given up."""
        return await self._renew(collection)

    async def purge(self, collection: Collection) -> bool:
        """Write a collection's files anew, so that nothing deleted before is left in them.

        Searches and writes go on meanwhile. False where it was given up.
        """
        return await self._renew(collection, REWRITE)

    async def _renew(self, collection: Collection, *how: str) -> bool:
        """Have a copy of a collection worked on by another process, and go on with the copy."""
        shard = self._shard(collection)
        async with self._renewing:
            try:
                async with self._writing[collection]:
                    await self._flush(shard)
                    copy = await self._answered(asyncio.to_thread(shard.copy))
                    await self._run(partial(shard.begin_journal, copy))
                await _optimise_elsewhere(copy, *how)
                await self._answered(asyncio.to_thread(sync_files, copy))
                return await self._run(shard.adopt_copy)
            except BaseException:
                # Cancelled, or the other process failed: the original has everything.
                await asyncio.shield(
                    asyncio.get_running_loop().run_in_executor(self._thread, shard.abandon_copy)
                )
                raise

    async def _flush(self, shard: EdgeShardFolder) -> None:
        """Make a collection durable. The disk's part comes first and without Python's lock."""
        await self._answered(asyncio.to_thread(sync_files, shard.generation))
        await self._run(shard.flush)

    def _open_all(self) -> None:
        created = []
        for collection in Collection:
            if collection not in self._shards:
                shard = EdgeShardFolder(
                    self._folder / collection, self._size, self._embedder, indexes(collection)
                )
                if shard.open():
                    created.append(shard)
                self._shards[collection] = shard
        if created:
            os.sync()
            for shard in created:
                shard.commit()

    def _shard(self, collection: Collection) -> EdgeShardFolder:
        shard = self._shards.get(collection)
        if shard is None:
            raise StoreUnavailable("The embedded knowledge store is not open.")
        return shard

    async def _run(self, call: Callable[[], _T]) -> _T:
        """Run an engine call in the store's thread; whatever it raises is ``StoreUnavailable``."""
        return await self._answered(asyncio.get_running_loop().run_in_executor(self._thread, call))

    async def _run_together(self, call: Callable[[], _T]) -> _T:
        """The same for calls that come in numbers: one trip to the thread for all of one moment.

        A request searches several collections at once. Answered one by one,
        this thread and the store's would wait for each other's turn at
        Python's lock several times over.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()
        self._waiting.append((call, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._send_waiting, loop)
        return await self._answered(answer)

    def _send_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting, []

        def settle(done: asyncio.Future[list[tuple[Any, Exception | None]]]) -> None:
            for (_, answer), (result, error) in zip(batch, done.result(), strict=True):
                if answer.done():
                    continue
                if error is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(error)

        calls = [call for call, _ in batch]
        loop.run_in_executor(self._thread, _each, calls).add_done_callback(settle)

    async def _answered(self, answer: Awaitable[_T]) -> _T:
        try:
            result = await answer
        except HybridError:
            raise
        except Exception as error:
            why = str(error).strip() or type(error).__name__
            if "WouldBlock" in why:
                why = (
                    f"another process has '{self._folder}' open: stop the other coordinator, "
                    "or give this one a state_directory of its own"
                )
            self._availability.failed(why)
            raise StoreUnavailable(f"The embedded knowledge store failed: {why}.") from error
        self._availability.succeeded()
        return result

    async def _keep_up(self) -> None:
        """Flush some seconds after a write, and optimise what has grown."""
        while True:
            await self._written.wait()
            await asyncio.sleep(self._flush_seconds)
            self._written.clear()
            for collection, shard in self._shards.items():
                try:
                    if shard.unflushed:
                        await self._flush(shard)
                    if await self._run(shard.wants_optimising):
                        await self.optimise(collection)
                except StoreUnavailable as error:
                    _log.error("Upkeep of '%s' failed: %s", collection, error.message)


def _each(calls: Sequence[Callable[[], Any]]) -> list[tuple[Any, Exception | None]]:
    """Every call's result, or what it raised."""
    results: list[tuple[Any, Exception | None]] = []
    for call in calls:
        try:
            results.append((call(), None))
        except Exception as error:  # noqa: BLE001 - handed to the one who asked
            results.append((None, error))
    return results


async def _optimise_elsewhere(folder: Path, *how: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hybrid_coordinator.knowledge.edge_optimize",
        str(folder),
        *how,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise StoreUnavailable(
            f"The optimiser of '{folder.parent.name}' ended with status {process.returncode}: "
            f"{' '.join(last) or 'no message'}. Searches go on unoptimised."
        )
