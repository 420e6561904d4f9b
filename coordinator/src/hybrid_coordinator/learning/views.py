"""What people look at: lists of interactions and of patterns, and one interaction's whole way.

Reads only. Everybody sees their own, an operator sees all: for patterns those
that are shared are everybody's. Where the knowledge store is away, what waits
for it in the outbox is still shown. Changing a pattern is ``patterns``' work.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import orjson
from pydantic import ValidationError

from hybrid_coordinator.conversation import Caller, Json, Tier
from hybrid_coordinator.errors import (
    CollectionMismatch,
    EmbeddingError,
    NotFound,
    StoreUnavailable,
)
from hybrid_coordinator.knowledge import SHARED, Knowledge
from hybrid_coordinator.knowledge.collections import read_record
from hybrid_coordinator.knowledge.items import PatternStatus, UsedItem
from hybrid_coordinator.knowledge.store import Filter, StoredPoint
from hybrid_coordinator.learning.evidence import USED
from hybrid_coordinator.learning.listing import Listed, Place, found, merged, newest
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.reading import HISTORY, InteractionReader, interaction_id_of
from hybrid_coordinator.learning.rows import interaction_row, pattern_row, title_of
from hybrid_coordinator.learning.view_records import (
    ContextUsed,
    InteractionPage,
    InteractionQuery,
    InteractionSteps,
    PatternPage,
    PatternQuery,
)
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics

_WAITING: Final = 1_000
"""Interactions on their way to the store that are looked through for a list."""
_TIERS: Final = tuple(tier.value for tier in Tier)
_PAGE: Final = 200
_PAGES: Final = 10
"""Interactions that are looked through for those of a tier, at a time, and how many times."""
_CONTEXT: Final = 64
"""Items of a prompt that are looked up."""


class Views:
    """The lists. ``events`` reads an interaction's telemetry since a time, ``now`` gives the time.

    Times are epoch seconds; ``events`` blocks, and is called in a thread.
    """

    def __init__(
        self,
        outbox: Outbox,
        knowledge: Knowledge,
        reader: InteractionReader,
        events: Callable[[str, float], Sequence[Json]],
        metrics: Metrics,
        *,
        now: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._knowledge = knowledge
        self._reader = reader
        self._events = events
        self._metrics = metrics
        self._now = now

    async def interactions(self, wanted: InteractionQuery, caller: Caller) -> InteractionPage:
        """The caller's interactions, newest first, or those nearest to a question.

        A ``query`` that is an id finds just that one. Raises ``InvalidRequest``
        for a cursor that is none, ``EmbeddingError``.
        """
        before = Place.read(wanted.before) if wanted.before is not None else None
        if _is_id(wanted.query):
            return await self._one(wanted.query.strip(), caller)
        waiting = await self._waiting(wanted, caller, before)
        stored: Sequence[Listed] = ()
        further: Place | None = None
        trouble = ""
        try:
            stored, further = await self._stored(wanted, caller, before)
        except (StoreUnavailable, CollectionMismatch) as error:
            self._metrics.failures.labels(room="views", kind=error.code).inc()
            trouble = f"Only what waits for the knowledge store is listed: {error.message}"
        if wanted.query:
            ids = {one.point.id for one in waiting}
            listed = [*waiting, *(one for one in stored if one.point.id not in ids)]
            listed = listed[: wanted.limit]
        else:
            listed = merged([waiting, stored], wanted.limit)
        rows = [interaction_row(await self._told(one), one) for one in listed]
        return InteractionPage(
            [row for row in rows if wanted.outcome in (None, row.outcome)],
            _next(listed, wanted, further),
            trouble,
        )

    async def steps(self, interaction_id: str, caller: Caller) -> InteractionSteps:
        """One interaction's whole way.

        Raises:
            NotFound: unknown, forgotten, or somebody else's.
            StoreUnavailable: it is in the store, which is away.
        """
        view = await self._reader.view(interaction_id_of(interaction_id), caller)
        begun = _number(view.payload, "timestamp") - _number(view.payload, "latency_ms") / 1000
        events = await asyncio.to_thread(self._events, view.id, begun)
        context = await self._context(view.payload, caller)
        return InteractionSteps(view, events, context)

    async def patterns(self, wanted: PatternQuery, caller: Caller) -> PatternPage:
        """Learned items, newest first, or those nearest to a question.

        Among the retired are those, too, that somebody wrote. Raises
        ``InvalidRequest``, ``StoreUnavailable``, ``CollectionMismatch``, ``EmbeddingError``.
        """
        before = Place.read(wanted.before) if wanted.before is not None else None
        any_of: dict[str, tuple[str | bool, ...]] = {}
        if wanted.status is not PatternStatus.RETIRED:
            any_of["learned"] = (True,)
        if wanted.status is not None:
            any_of["status"] = (wanted.status.value,)
        if not caller.is_operator:
            any_of["caller"] = (caller.id, SHARED)
        places = USED if wanted.collection is None else (wanted.collection,)
        filters = {collection: Filter(any_of=any_of) for collection in places}
        if wanted.query:
            listed = await found(self._knowledge, filters, "created", wanted.query, wanted.limit)
        else:
            store = await self._knowledge.opened()
            listed = await newest(store, filters, "created", wanted.limit, before, self._now())
        rows = [row for one in listed if (row := pattern_row(one, caller)) is not None]
        full = len(listed) >= wanted.limit and not wanted.query
        return PatternPage(rows, str(listed[-1].place) if full else None)

    async def _one(self, interaction_id: str, caller: Caller) -> InteractionPage:
        try:
            view = await self._reader.view(interaction_id_of(interaction_id), caller)
        except NotFound:
            return InteractionPage(())
        except StoreUnavailable as error:
            return InteractionPage((), None, error.message)
        point = StoredPoint(view.id, view.payload)
        listed = Listed(HISTORY, point, _number(view.payload, "timestamp"))
        return InteractionPage([interaction_row(view.payload, listed)])

    async def _waiting(
        self, wanted: InteractionQuery, caller: Caller, before: Place | None
    ) -> list[Listed]:
        """What is on its way to the store and fits, newest first."""
        whose = None if caller.is_operator else caller.id
        records = await self._outbox.newest(_WAITING, whose)
        words = wanted.query.casefold().split()
        fitting: list[Listed] = []
        for record in records:
            payload: Json = {**orjson.loads(record.body), "waiting": True}
            time = _number(payload, "timestamp")
            text = f"{payload.get('query', '')}\n{payload.get('response', '')}".casefold()
            if before is not None and (time, record.interaction_id) >= (before.time, before.id):
                continue
            if not _is_of_route(payload, wanted.route):
                continue
            if not all(word in text for word in words):
                continue
            fitting.append(Listed(HISTORY, StoredPoint(record.interaction_id, payload), time))
        told = [
            replace(one, point=replace(one.point, payload=await self._told(one))) for one in fitting
        ]
        kept = [one for one in told if wanted.outcome in (None, one.point.payload.get("outcome"))]
        return merged([kept], wanted.limit)

    async def _stored(
        self, wanted: InteractionQuery, caller: Caller, before: Place | None
    ) -> tuple[Sequence[Listed], Place | None]:
        """What the store has that fits, and where to go on where not all of it was read."""
        any_of: dict[str, tuple[str, ...]] = {}
        if not caller.is_operator:
            any_of["caller"] = (caller.id,)
        if wanted.outcome is not None:
            any_of["outcome"] = (wanted.outcome.value,)
        # Stored is a route with its backend and model; a tier alone cannot be looked up.
        by_tier = wanted.route in _TIERS
        if wanted.route is not None and not by_tier:
            any_of["route"] = (wanted.route,)
        filters = {HISTORY: Filter(any_of=any_of)}
        if wanted.query:
            most = wanted.limit * (4 if by_tier else 1)
            near = await found(self._knowledge, filters, "timestamp", wanted.query, most)
            return [one for one in near if _is_of_route(one.point.payload, wanted.route)], None
        store = await self._knowledge.opened()
        fitting: list[Listed] = []
        for _ in range(_PAGES if by_tier else 1):
            size = _PAGE if by_tier else wanted.limit
            page = await newest(store, filters, "timestamp", size, before, self._now())
            fitting += [one for one in page if _is_of_route(one.point.payload, wanted.route)]
            if len(page) < size:
                return fitting, None
            before = page[-1].place
            if len(fitting) >= wanted.limit:
                break
        return fitting, before

    async def _told(self, listed: Listed) -> Json:
        """The payload with what was said of it meanwhile; that may still wait for the store."""
        known = await self._outbox.known(listed.point.id)
        if known is None:
            return listed.point.payload
        effective = known.state.effective()
        return {
            **listed.point.payload,
            "outcome": effective.outcome.value,
            "user_feedback": effective.user_feedback or 0,
            "feedback_given": effective.user_feedback is not None,
        }

    async def _context(self, payload: Json, caller: Caller) -> list[ContextUsed]:
        """The items that were in the prompt, in that order, as they are now."""
        names = payload.get("context_provided") or ()
        ids = [name for name in names if _is_id(name)][:_CONTEXT]
        if not ids:
            return []
        try:
            known = await self._items(ids, str(payload.get("query", "")), caller)
        except (StoreUnavailable, CollectionMismatch) as error:
            self._metrics.failures.labels(room="views", kind=error.code).inc()
            known = {}
        return [known.get(id_, ContextUsed(id_)) for id_ in ids]

    async def _items(
        self, ids: Sequence[str], query: str, caller: Caller
    ) -> dict[str, ContextUsed]:
        store = await self._knowledge.opened()
        similar = await self._similarities(ids, query)
        known: dict[str, ContextUsed] = {}
        for collection in (*USED, HISTORY):
            for point in await store.get(collection, ids):
                if caller.is_operator or point.payload.get("caller") in (caller.id, SHARED):
                    known[point.id] = _used(collection, point, similar.get(point.id))
        return known

    async def _similarities(self, ids: Sequence[str], query: str) -> dict[str, float]:
        where = Filter(ids=tuple(ids))
        try:
            hits = await self._knowledge.hits(
                query, dict.fromkeys((*USED, HISTORY), where), len(ids)
            )
        except EmbeddingError as error:
            self._metrics.failures.labels(room="views", kind=error.code).inc()
            return {}
        return {hit.id: hit.cosine for _, hit in hits}


def _used(collection: Collection, point: StoredPoint, similarity: float | None) -> ContextUsed:
    try:
        item = read_record(collection, point.payload).item
    except ValidationError:
        return ContextUsed(point.id, collection, similarity=similarity)
    return ContextUsed(
        point.id,
        collection,
        title_of(item),
        item.text_for_prompt(),
        item.status if isinstance(item, UsedItem) else None,
        similarity,
    )


def _next(listed: Sequence[Listed], wanted: InteractionQuery, further: Place | None) -> str | None:
    """Where the page after this one begins: after its last item, or where reading stopped."""
    if wanted.query:
        return None
    if len(listed) >= wanted.limit:
        return str(listed[-1].place)
    return None if further is None else str(further)


def _is_of_route(payload: Json, route: str | None) -> bool:
    """Whether a stored route (``local:lemonade/qwen3``) is this one, or of this tier."""
    stored = str(payload.get("route", ""))
    return route is None or stored == route or (route in _TIERS and stored.startswith(f"{route}:"))


def _number(payload: Json, key: str) -> float:
    value = payload.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _is_id(text: object) -> bool:
    try:
        uuid.UUID(str(text).strip())
    except ValueError:
        return False
    return True
