"""Checks of the stores: Qdrant and Redis directly, the embedded ones by the coordinator's word.

An embedded store is locked by the coordinator that has it, so nobody else can
look into it. A server is asked here, and the coordinator's own view of it is
compared. Questions are answered without any store: none is ever critical.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from hybrid_coordinator.cache import RedisStore
from hybrid_coordinator.gateway import PartState
from hybrid_coordinator.health.coordinator_view import View
from hybrid_coordinator.health.keys import KeyNotHere, key_for
from hybrid_coordinator.health.machine_checks import not_known
from hybrid_coordinator.health_report import Level, Part
from hybrid_coordinator.knowledge import ServerReport, identify, inspect_server
from hybrid_coordinator.settings import Collection, Settings

_REDIS_SECONDS = 2.0
"""What a check waits for Redis where ``redis.timeout``, made for requests, is shorter."""
_LOADING = "loading the dataset"
"""Redis' own words while it reads its file after a start."""


async def check_qdrant(settings: Settings, view: Awaitable[View], limit: float) -> Part:
    """The server is ready and holds the five collections, each for our embedder."""
    qdrant = settings.qdrant
    if qdrant.url is None:
        raise ValueError("qdrant.url is not set: use check_knowledge")
    try:
        key = key_for(qdrant.api_key_file, "qdrant.api_key_file")
    except KeyNotHere as error:
        return _by_word(await view, error)
    embedder = await asyncio.to_thread(identify, settings.embedder)
    found = await inspect_server(qdrant.url, key, embedder, timeout=limit)
    if found.recovering:
        what = "not ready: it is still reading its collections"
        return Part(name="qdrant", level=Level.WARNING, found=what, starting=True)
    if found.missing:
        return _missing(found)
    problems = {c: report.problem for c, report in found.collections.items() if report.problem}
    if problems:
        # The coordinator's word is no news where the server shows the trouble itself.
        return _troubled("qdrant", list(problems), " ".join(problems.values()))
    told = [name for name, part in (await view).under("collection.").items() if not part.ready]
    if told:
        detail = (await view).parts[f"collection.{told[0]}"].detail
        what = f"well when asked directly, but the coordinator says: {detail}"
        remedy = "it looks again by itself; else check what is between the two"
        cause = " ".join(sorted(told))
        return Part(name="qdrant", level=Level.WARNING, found=what, remedy=remedy, cause=cause)
    points = sum(report.points or 0 for report in found.collections.values())
    what = f"ready, {len(found.collections)} collections, {points:,} points"
    return Part(name="qdrant", level=Level.OK, found=what)


def _missing(found: ServerReport) -> Part:
    names = ", ".join(found.missing)
    remedy = "they are made when they are next used, or at once by 'hybrid-coordinator init'"
    return Part(
        name="qdrant",
        level=Level.WARNING,
        found=f"ready, but without the collections {names}",
        remedy=remedy,
        cause=f"missing {names}",
    )


def _troubled(name: str, collections: list[str], text: str) -> Part:
    return Part(name=name, level=Level.WARNING, found=text, cause=" ".join(sorted(collections)))


def _by_word(view: View, error: KeyNotHere) -> Part:
    if not view.under("collection."):
        return Part(name="qdrant", level=Level.WARNING, found=error.message)
    told = _told("qdrant", view)
    if told.level is Level.OK:
        return told.model_copy(update={"found": f"{told.found}, says the coordinator"})
    return told


async def check_knowledge(view: Awaitable[View]) -> Part:
    """The embedded store, by the word of the coordinator that has it open."""
    return _told("knowledge", await view)


def _told(name: str, view: View) -> Part:
    """The collections as the coordinator sees them."""
    collections = view.under("collection.")
    if not collections:
        return not_known(name, view)
    problems = {name: part.detail for name, part in collections.items() if not part.ready}
    missing = [c.value for c in Collection if c.value not in collections]
    problems.update(dict.fromkeys(missing, f"nothing is known of {', '.join(missing)}."))
    if problems:
        return _troubled(name, list(problems), " ".join(dict.fromkeys(problems.values())))
    return Part(name=name, level=Level.OK, found=f"{len(collections)} collections")


async def check_redis(settings: Settings, view: Awaitable[View], limit: float) -> Part:
    """Redis answers and has vector sets."""
    if not settings.cache.enable:
        return Part(name="redis", level=Level.OFF, found="cache.enable is false")
    patient = min(limit, max(settings.redis.timeout, _REDIS_SECONDS))
    redis = settings.redis.model_copy(update={"timeout": patient})
    store = RedisStore(redis, settings.cache.max_entries, settings.cache.ttl)
    try:
        ready = await store.ready()
    finally:
        await store.aclose()
    if not ready.ok:
        starting = _LOADING in ready.detail
        return Part(name="redis", level=Level.WARNING, found=ready.detail, starting=starting)
    if not ready.semantic:
        remedy = "only equal questions are answered from the cache: run Redis 8 or later"
        return Part(
            name="redis",
            level=Level.WARNING,
            found=ready.detail,
            remedy=remedy,
            cause="no vector sets",
        )
    told = (await view).part("cache")
    if told is not None and told.state == PartState.DEGRADED:
        what = f"well when asked directly, but the coordinator says: {told.detail}"
        remedy = "it looks again by itself; else check what is between the two"
        return Part(
            name="redis", level=Level.WARNING, found=what, remedy=remedy, cause="coordinator"
        )
    return Part(name="redis", level=Level.OK, found=ready.detail)


async def check_cache(settings: Settings, view: Awaitable[View]) -> Part:
    """The cache in the coordinator's own memory."""
    if not settings.cache.enable:
        return Part(name="cache", level=Level.OFF, found="cache.enable is false")
    seen = await view
    part = seen.part("cache")
    if part is None:
        return not_known("cache", seen)
    level = Level.OK if part.ready else Level.WARNING
    return Part(name="cache", level=level, found=part.detail)
