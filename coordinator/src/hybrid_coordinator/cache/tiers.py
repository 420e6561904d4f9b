"""The cache as the pipeline sees it: an exact and a semantic tier, and how answers get in and out.

Everything here is about when an answer given before may be given again; where it is kept is a
``CacheStore``, whether two questions mean the same is the guard's word. A store that is away is a
status, never an error of the request. Not for telemetry: the pipeline counts look-ups by their
final status.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace

import numpy as np

from hybrid_coordinator.cache.eligibility import exact_eligible, semantic_eligible
from hybrid_coordinator.cache.entry import (
    CacheEntry,
    UnreadableEntry,
    decode,
    encode,
    without_raw,
)
from hybrid_coordinator.cache.flight import Flight, Flights
from hybrid_coordinator.cache.freshness import Freshness
from hybrid_coordinator.cache.key import (
    CacheKey,
    cache_key,
    caller_digest,
    partition_at,
    question_digest,
)
from hybrid_coordinator.cache.links import AnswerLinks
from hybrid_coordinator.cache.lookup import Lookup, PairGuard
from hybrid_coordinator.cache.storable import unstorable
from hybrid_coordinator.cache.store import CacheStore, Readiness, Vector
from hybrid_coordinator.conversation import CacheMode, CacheStatus, ChatRequest, Completion, Tier
from hybrid_coordinator.errors import InvalidRequest, StoreUnavailable
from hybrid_coordinator.settings import CacheSettings, Collection
from hybrid_coordinator.telemetry.metrics import Metrics

_REMEMBERED_INVALIDATIONS = 1024


class Cache:
    """Answers given before.

    Args:
        store: where they are kept.
        guard: tells questions apart.
        settings: the cache's options.
        metrics: ``cache_errors``, ``cache_rejections``, ``cache_entries`` and
            ``single_flight_waits`` are counted here.
        embedder: name of the model the questions' vectors are from.
        collections: those whose changes make answers stale; those that get into prompts.
        clock: epoch seconds.
        timer: seconds, monotonic.
    """

    def __init__(
        self,
        store: CacheStore,
        guard: PairGuard,
        settings: CacheSettings,
        metrics: Metrics,
        *,
        embedder: str,
        collections: Iterable[Collection] = tuple(Collection),
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._store = store
        self._guard = guard
        self._settings = settings
        self._metrics = metrics
        self._embedder = embedder
        self._freshness = Freshness(store, collections)
        self._clock = clock
        self._timer = timer
        self._flights = Flights(on_wait=metrics.single_flight_waits.inc)
        self._links = AnswerLinks(store, metrics.cache_errors.labels("link").inc)
        self._called_wrong: OrderedDict[str, None] = OrderedDict()

    def under(
        self, settings: CacheSettings, guard: PairGuard, collections: Iterable[Collection]
    ) -> Cache:
        """This cache with other options, for requests from now on.

        Entries, flights and what is unsent are shared; requests that look things up in this
        object go on under its own options.
        """
        other = copy(self)
        other._settings = settings
        other._guard = guard
        other._freshness = self._freshness.of(collections)
        self._store.rebound(settings.max_entries, settings.ttl)
        return other

    async def look_up_exact(self, request: ChatRequest) -> Lookup:
        """The answer to an equal request."""
        started = self._timer()
        lookup = await self._exact(request)
        if lookup.entry is not None and lookup.key is not None:
            self._links.add(request.interaction_id, lookup.key.member)
        return replace(lookup, latency=self._timer() - started)

    async def look_up_semantic(
        self, request: ChatRequest, lookup: Lookup, vector: Vector | None
    ) -> Lookup:
        """The answer to a question that means the same; ``vector`` is the question's embedding.

        Without effect unless ``lookup`` is a miss.
        """
        if lookup.status is not CacheStatus.MISS or lookup.key is None:
            return lookup
        started = self._timer()
        found = await self._semantic(request, lookup, lookup.key, vector)
        if found.entry is not None:
            self._links.add(request.interaction_id, found.entry.key.member)
        return replace(found, latency=lookup.latency + self._timer() - started)

    async def store(
        self,
        lookup: Lookup,
        request: ChatRequest,
        vector: Vector | None,
        completion: Completion,
        backend: str,
        tier: Tier,
        cost_usd: float,
        interaction_id: str,
        *,
        flight: Flight | None = None,
    ) -> bool:
        """Keep an answer; whether it was kept.

        Refused are answers that are partial, empty, refusals or too long, and those made while
        the knowledge changed. Answers that came from the cache are never kept again under
        another question: errors would add up. Those who wait in ``flight`` get the answer at
        once, or are let go where it cannot be shared.
        """
        entry = self._shareable(
            lookup, request, vector, completion, backend, tier, cost_usd, interaction_id
        )
        if flight is not None and entry is not None:
            flight.publish(entry)
        elif flight is not None:
            flight.disband()
        if entry is None or lookup.versions is None or not self._freshness.known:
            return False
        try:
            body = encode(entry)
        except TypeError:  # text that is not Unicode, numbers beyond 64 bits
            self._failed("encode")
            return False
        if len(body) > self._settings.max_entry_bytes:
            return False
        return await self._keep(entry, body, vector if entry.embedder else None)

    @asynccontextmanager
    async def flight(self, lookup: Lookup, request: ChatRequest) -> AsyncIterator[Flight]:
        """Share the work on equal requests: ``flight.entry`` is another's answer, to be replayed.

        None means: ask the backend, then ``store(…, flight=flight)`` inside the block. Requests
        that are not looked up fly alone.
        """
        shares = lookup.status in (CacheStatus.MISS, CacheStatus.UNAVAILABLE)
        key = None
        if shares and lookup.key is not None:
            # A change of the knowledge divides those who asked before it from those after.
            key = (lookup.key.exact, tuple((lookup.versions or {}).items()))
        async with self._flights.enter(key, self._settings.single_flight_timeout) as flight:
            if flight.entry is not None:
                self._links.add(request.interaction_id, flight.entry.key.member)
            yield flight

    async def invalidate(
        self,
        *,
        interaction_id: str | None = None,
        question: str | None = None,
        caller: str | None = None,
    ) -> int:
        """Drop answers from both tiers; how many there were.

        By the interaction that made an answer or was given it, by the text of a question, by the
        id of a caller; several narrow each other down. Raises InvalidRequest when none is given
        and StoreUnavailable when the store is away.
        """
        if interaction_id is None and question is None and caller is None:
            raise InvalidRequest(
                "Say what is to be forgotten: an interaction id, a question or a caller.",
                field="interaction_id",
            )
        self._flights.forget()
        try:
            if interaction_id is not None:
                self._remember_wrong(interaction_id)
                member = await self._links.of(interaction_id)
                members = [] if member is None else [member]
            else:
                await self._links.settle()
                members = await self._store.find(
                    None if caller is None else caller_digest(caller),
                    None if question is None else question_digest(question),
                )
            wanted = [m for m in members if _matches(m, caller, question)]
            return await self._store.remove(wanted) if wanted else 0
        except StoreUnavailable:
            self._failed("invalidate")
            raise

    async def bump(self, collection: Collection) -> None:
        """Say that a collection has changed, after the change can be seen.

        Where the store cannot be told, it is told before the next look-up, and until then the
        cache is not read.
        """
        try:
            await self._freshness.changed(collection)
        except StoreUnavailable:
            self._failed("bump")

    async def ready(self) -> Readiness:
        """Whether the store serves, and a sentence about it."""
        return await self._store.ready()

    async def aclose(self) -> None:
        """Write what is unwritten and let go of the store."""
        await self._links.settle()
        await self._store.aclose()

    async def _exact(self, request: ChatRequest) -> Lookup:
        if not self._settings.enable:
            return Lookup(CacheStatus.OFF, why="the cache is switched off")
        if request.cache_mode is CacheMode.BYPASS:
            return Lookup(CacheStatus.BYPASS, why="the client said no-store")
        eligible = exact_eligible(request)
        if not eligible.ok:
            return Lookup(CacheStatus.BYPASS, why=eligible.why)
        key = cache_key(request, self._embedder)
        try:
            await self._freshness.catch_up()
            if request.cache_mode is CacheMode.REFRESH:
                versions = self._freshness.counted(await self._store.versions())
                return Lookup(
                    CacheStatus.BYPASS, key, None, "the client said no-cache", 0.0, versions
                )
            found = await self._store.get(key.exact)
        except StoreUnavailable as error:
            self._failed("get")
            return Lookup(CacheStatus.UNAVAILABLE, key, why=error.message)
        versions = self._freshness.counted(found.versions)
        miss = Lookup(CacheStatus.MISS, key, versions=versions)
        if found.body is None:
            return miss
        entry = self._readable(found.body)
        if entry is None:
            return replace(miss, why="the entry is unreadable")
        if entry.key.exact != key.exact or entry.versions != versions:
            return replace(miss, why="the knowledge has changed since")
        return replace(miss, status=CacheStatus.EXACT, entry=entry)

    async def _semantic(
        self, request: ChatRequest, lookup: Lookup, key: CacheKey, vector: Vector | None
    ) -> Lookup:
        if not self._settings.semantic.enable:
            return replace(lookup, why="the semantic tier is switched off")
        eligible = semantic_eligible(request)
        if not eligible.ok:
            return replace(lookup, why=eligible.why)
        if vector is None or not _usable(vector):
            return replace(lookup, why="the question has no vector")
        if lookup.versions is None:
            return lookup
        try:
            nearest = await self._store.nearest(
                partition_at(key.partition, lookup.versions),
                vector,
                self._settings.semantic.candidates,
            )
        except StoreUnavailable as error:
            self._failed("nearest")
            return replace(lookup, status=CacheStatus.UNAVAILABLE, why=error.message)
        if (
            not self._freshness.known
            or self._freshness.counted(nearest.versions) != lookup.versions
        ):
            return replace(lookup, why="the knowledge has just changed")
        why: str | None = None
        for neighbour in nearest.neighbours:
            entry = self._readable(neighbour.body)
            if entry is None or entry.key.partition != key.partition:
                continue
            if lookup.similarity is None:
                lookup = replace(lookup, similarity=neighbour.similarity)
            verdict = self._guard.examine(request.question, entry.question, neighbour.similarity)
            if verdict.same:
                return replace(lookup, status=CacheStatus.SEMANTIC, entry=entry, why=None)
            if verdict.rule is not None:
                self._metrics.cache_rejections.labels(verdict.rule).inc()
                why = why or f"kept apart by the rule '{verdict.rule}'"
        return replace(lookup, why=why)

    def _shareable(
        self,
        lookup: Lookup,
        request: ChatRequest,
        vector: Vector | None,
        completion: Completion,
        backend: str,
        tier: Tier,
        cost_usd: float,
        interaction_id: str,
    ) -> CacheEntry | None:
        """The answer as an entry; None where nobody else may be given it."""
        if lookup.key is None or lookup.entry is not None or unstorable(completion) is not None:
            return None
        semantic = (
            self._settings.semantic.enable
            and vector is not None
            and _usable(vector)
            and not completion.tool_calls
            and semantic_eligible(request).ok
        )
        return CacheEntry(
            key=lookup.key,
            question=request.question,
            completion=without_raw(completion),
            model=completion.model,
            backend=backend,
            tier=tier,
            cost_usd=cost_usd,
            created_at=self._clock(),
            interaction_id=interaction_id,
            embedder=self._embedder if semantic else "",
            versions=lookup.versions or {},
        )

    async def _keep(self, entry: CacheEntry, body: bytes, vector: Vector | None) -> bool:
        partition = partition_at(entry.key.partition, entry.versions)
        try:
            put = await self._store.put(entry.key, body, partition, vector, entry.versions)
            if put.stored and entry.interaction_id in self._called_wrong:
                await self._store.remove([entry.key.member])  # while it was being written
                return False
        except StoreUnavailable:
            self._failed("put")
            return False
        self._metrics.cache_entries.set(put.entries)
        if put.stored:
            self._links.add(entry.interaction_id, entry.key.member)
            await self._links.settle()  # nobody waits here, and all coordinators know it then
        return put.stored

    def _readable(self, body: bytes) -> CacheEntry | None:
        try:
            return decode(body)
        except UnreadableEntry:
            self._failed("decode")
            return None

    def _remember_wrong(self, interaction_id: str) -> None:
        """So that an answer called wrong while it is being kept is not kept."""
        self._called_wrong[interaction_id] = None
        while len(self._called_wrong) > _REMEMBERED_INVALIDATIONS:
            self._called_wrong.popitem(last=False)

    def _failed(self, operation: str) -> None:
        self._metrics.cache_errors.labels(operation).inc()


def _matches(member: str, caller: str | None, question: str | None) -> bool:
    return (caller is None or member.startswith(caller_digest(caller))) and (
        question is None or member.startswith(question_digest(question), 16)
    )


def _usable(vector: Vector) -> bool:
    """Whether it has a direction: a zero vector or one with a NaN is near to nothing."""
    length = float(np.dot(vector, vector))
    return 0.0 < length < float("inf")
