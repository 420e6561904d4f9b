"""At the end: every promise against what the service says and what its stores hold."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp

from hybrid_coordinator.knowledge.store import StoredPoint
from hybrid_coordinator.settings import Collection, Settings
from hybrid_coordinator.stores import opened_stores
from hybrid_coordinator.telemetry import Metrics
from tests.soak.ledger import Ledger

DELIVERY_SECONDS = 600.0


async def ask_for_all(url: str, ledger: Ledger) -> None:
    """Read every promised interaction over HTTP, once it has been delivered."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(DELIVERY_SECONDS):
        for promise in ledger.promises.values():
            while True:
                async with session.get(f"{url}/v1/interactions/{promise.id}") as response:
                    status, answer = response.status, await response.json()
                if status != 200:
                    ledger.breach(f"reading {promise.id} at the end was answered {status}")
                    break
                if answer["delivered"]:
                    ledger.compare(promise, answer["payload"], "read at the end")
                    break
                await asyncio.sleep(0.2)


async def look_into_stores(settings: Settings, ledger: Ledger) -> None:
    """Compare what is on disk now that no service runs."""
    state = settings.state_directory
    found: dict[str, dict[str, Any]] = {}
    async for point in _points(settings):
        found[point.id] = dict(point.payload)
    for promise in ledger.promises.values():
        payload = found.get(promise.id)
        if payload is None:
            ledger.breach(f"lost: {promise.id} is not in interaction-history")
        else:
            ledger.compare(promise, payload, "in interaction-history")
    asked = Counter(str(payload["query"]) for payload in found.values())
    for query, times in asked.items():
        if times > 1:
            ledger.breach(f"doubled: {times} interactions for '{query}'")
    ledger.counted["interactions stored"] = len(found)
    _look_into_outbox(state / "outbox.sqlite", ledger)
    _look_into_queue(state / "extraction.sqlite", found, ledger)


async def _points(settings: Settings) -> AsyncIterator[StoredPoint]:
    async with opened_stores(settings, Metrics()) as stores:
        store = await stores.knowledge.opened()
        after: str | None = None
        while True:
            page = await store.scroll(Collection.INTERACTION_HISTORY, after=after)
            for point in page.points:
                yield point
            after = page.next
            if after is None:
                return


def _look_into_outbox(file: Path, ledger: Ledger) -> None:
    with closing(sqlite3.connect(file)) as db:
        if (check := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            ledger.breach(f"the outbox is damaged: {check}")
        for table in ("record WHERE delivered = 0", "dead"):
            left = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            if left:
                ledger.breach(f"{left} rows are left in the outbox: {table}")


def _look_into_queue(file: Path, found: dict[str, dict[str, Any]], ledger: Ledger) -> None:
    """What is marked as queued is in the queue, and the other way round, once each."""
    marked = {id_ for id_, payload in found.items() if payload["extraction"] == "queued"}
    with closing(sqlite3.connect(file)) as db:
        queued = {row[0] for row in db.execute("SELECT interaction_id FROM entries")}
    ledger.counted["queued for extraction"] = len(queued)
    if marked != queued:
        ledger.breach(
            f"{len(marked - queued)} interactions are marked as queued and are not, "
            f"{len(queued - marked)} the other way round"
        )
