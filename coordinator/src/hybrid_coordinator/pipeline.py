"""The way of a request: cache, routing, knowledge, inference, validation, then telemetry.

``Pipeline.answer`` reads top to bottom like the drawing in the architecture;
each step is one call into one room. A step that is switched off or whose store
is down is skipped with a recorded reason; only "no backend can answer" is an
error to the client. What is done after the last byte is in ``aftermath``; the
other verbs of the gateway (search, augment, …) are in ``verbs``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hybrid_coordinator.aftermath import Aftermath
from hybrid_coordinator.cache import (
    Cache,
    CacheEntry,
    Flight,
    Lookup,
    completion_of,
    semantic_eligible,
    stream_of,
)
from hybrid_coordinator.calls import CallBuilder
from hybrid_coordinator.collector import StreamCollector
from hybrid_coordinator.conversation import (
    AUTO_MODEL,
    CacheStatus,
    ChatRequest,
    Completion,
    Delta,
    ModelCall,
    Tier,
    Usage,
)
from hybrid_coordinator.errors import Attempt, EmbeddingError, HybridError, NoBackend
from hybrid_coordinator.gateway import Answer, attach_meta
from hybrid_coordinator.inference import Answered, Candidate, Fleet, OpenedStream
from hybrid_coordinator.knowledge import Context, Embedder, Knowledge, Retrieved
from hybrid_coordinator.learning.experiments import Experiments
from hybrid_coordinator.routing import Decision, Router, SpendLedger
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.tokens import TokenCounter
from hybrid_coordinator.trace import Trace
from hybrid_coordinator.trials import Trial, trial_of
from hybrid_coordinator.validation import AnswerJudge, looks_like_refusal

Vector = NDArray[np.float32]

log = logging.getLogger(__name__)


class Pipeline:
    """Answers questions. Holds no state of its own; the rooms do."""

    def __init__(
        self,
        *,
        settings: Settings,
        cache: Cache,
        embedder: Embedder,
        knowledge: Knowledge,
        router: Router,
        fleet: Fleet,
        ledger: SpendLedger,
        experiments: Experiments,
        aftermath: Aftermath,
        metrics: Metrics,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._embedder = embedder
        self._knowledge = knowledge
        self._router = router
        self._fleet = fleet
        self._ledger = ledger
        self._experiments = experiments
        self._aftermath = aftermath
        self._metrics = metrics
        self._counter = TokenCounter(embedder.count_tokens)
        self._clock = clock
        self._now = now

    async def answer(self, request: ChatRequest) -> Answer:
        """Answer one question, whole or streamed as the request wants it.

        Raises:
            HybridError: as the client should see it; what was known of the
                answer by then is attached for the headers.
        """
        trial = trial_of(request, self._experiments.assign(request), self._offered)
        trace = Trace(trial.request, self._clock)
        self._aftermath.began(trace)
        try:
            return await self._answer(trial.request, trace, trial)
        except HybridError as error:
            self._aftermath.failed(trace, error)
            raise attach_meta(error, trace.meta) from error.__cause__
        except asyncio.CancelledError:
            self._aftermath.abandoned(trace)
            raise

    async def _answer(self, request: ChatRequest, trace: Trace, trial: Trial) -> Answer:
        lookup = await self._cache.look_up_exact(request)
        trace.looked_up(lookup, self._now())
        if lookup.entry is not None:
            return self._replay(trace, lookup, lookup.entry)

        async with AsyncExitStack() as stack:
            started = self._clock()
            flight = await stack.enter_async_context(self._cache.flight(lookup, request))
            trace.waited(started)
            if flight.entry is not None:
                trace.joined(lookup, flight.entry)
                return self._replay(trace, lookup, flight.entry)

            decision = self._pinned(request, trace)
            vector = await self._embed(request, lookup, trace)
            lookup = await self._cache.look_up_semantic(request, lookup, vector)
            trace.looked_up(lookup, self._now())
            if lookup.entry is not None:
                flight.publish(lookup.entry)
                return self._replay(trace, lookup, lookup.entry, vector)

            retrieved = await self._retrieve(trial, vector, trace)
            prompt_tokens = self._prompt_tokens(trace)
            if decision is None:
                router = trial.router(self._router)
                decision = self._decide(router, request, trace, vector, retrieved)

            judge = AnswerJudge(request, self._settings.validation)
            make_call = self._calls(trace, trial, prompt_tokens, retrieved)
            if request.stream:
                with _naming_all(decision):
                    opened = await self._fleet.stream(_fleets(decision), make_call, judge)
                self._settle(trace, opened)
                trace.opened()
                collector = StreamCollector(self._settings.cache.max_entry_bytes)
                held = stack.pop_all()
                return Answer(
                    meta=trace.meta,
                    deltas=self._relay(opened, collector, trace),
                    after=lambda: self._after_stream(
                        trace, lookup, flight, vector, opened, collector, held
                    ),
                )
            with _naming_all(decision):
                answered = await self._fleet.complete(_fleets(decision), make_call, judge)
            self._settle(trace, answered)
            trace.backend_seconds = answered.backend_seconds
            trace.usage = self._usage(trace, answered.completion.usage, answered.completion.text)
            trace.opened()
            held = stack.pop_all()
            return Answer(
                meta=trace.meta,
                completion=answered.completion,
                after=lambda: self._after(trace, lookup, flight, vector, answered.completion, held),
            )

    # Cache

    def _replay(
        self, trace: Trace, lookup: Lookup, entry: CacheEntry, vector: Vector | None = None
    ) -> Answer:
        """An answer from the cache, in the form this client wants."""
        trace.cost_saved_usd = entry.cost_usd
        trace.usage = entry.completion.usage
        trace.opened()

        async def after() -> None:
            self._aftermath.done(trace, entry.completion, lookup, vector)

        if trace.request.stream:
            return Answer(meta=trace.meta, deltas=_replayed(entry), after=after)
        return Answer(meta=trace.meta, completion=completion_of(entry), after=after)

    # Knowledge

    async def _embed(self, request: ChatRequest, lookup: Lookup, trace: Trace) -> Vector | None:
        """The question's one embedding, shared by cache, router and retrieval."""
        semantic = (
            lookup.status is CacheStatus.MISS
            and self._settings.cache.semantic.enable
            and semantic_eligible(request).ok
        )
        wanted = (
            semantic
            or request.model == AUTO_MODEL
            or (self._settings.retrieval.enable and await self._knowledge.has_items())
        )
        if not request.question.strip() or not wanted:
            return None
        started = self._clock()
        try:
            return await self._embedder.embed_query(request.question)
        except EmbeddingError as error:
            trace.skip("embedding", error.message)
            self._metrics.steps_skipped.labels(step="embedding", reason=error.code).inc()
            return None
        finally:
            trace.took("embedding", started)

    async def _retrieve(
        self, trial: Trial, vector: Vector | None, trace: Trace
    ) -> Retrieved | None:
        request = trial.request
        if not (trial.augmentation and self._settings.retrieval.enable):
            return None
        if not await self._knowledge.has_items():
            return None
        if vector is None:
            trace.skip("knowledge", "there is no embedding of the question")
            return None
        started = self._clock()
        try:
            retrieved = await self._knowledge.search(request.question, vector, request.caller.id)
        finally:
            trace.took("knowledge", started)
        for collection, why in (retrieved.skipped or {}).items():
            trace.skip(f"knowledge.{collection}", why)
        self._aftermath.searched(trace, retrieved)
        return retrieved

    # Routing

    def _pinned(self, request: ChatRequest, trace: Trace) -> Decision | None:
        """A pinned model is decided before anything is computed, an unknown one refused."""
        if request.model == AUTO_MODEL:
            return None
        return self._decide(self._router, request, trace, None, None)

    def _decide(
        self,
        router: Router,
        request: ChatRequest,
        trace: Trace,
        vector: Vector | None,
        retrieved: Retrieved | None,
    ) -> Decision:
        prompt_tokens = self._prompt_tokens(trace)
        started = self._clock()
        decision = router.decide(
            request,
            statuses=self._fleet.statuses(),
            vector=vector,
            best_context_score=retrieved.best_score if retrieved else None,
            prompt_tokens=prompt_tokens,
            spent_today_usd=self._ledger.today(),
        )
        trace.took("routing", started)
        trace.decision = decision
        m = self._metrics
        m.routing_decisions.labels(tier=decision.tier.value, reason=decision.reason.value).inc()
        if decision.confidence is not None:
            m.routing_confidence.observe(decision.confidence)
        log.debug("routed", extra={"interaction_id": request.interaction_id, "to": decision.route})
        return decision

    # Inference

    def _offered(self, model: str) -> bool:
        return bool(self._fleet.find_model(model))

    def _calls(
        self, trace: Trace, trial: Trial, prompt_tokens: int, retrieved: Retrieved | None
    ) -> Callable[[Candidate], ModelCall]:
        def pack(budget: int) -> Context | None:
            if retrieved is None or not retrieved.hits:
                return None
            room = min(budget, self._settings.retrieval.token_budget)
            context = self._knowledge.pack(retrieved.hits, room)
            return context if context.ids else None

        builder = CallBuilder(trace, prompt_tokens, pack, prompt=trial.prompt)
        return lambda candidate: builder.build(candidate.backend, candidate.model)

    def _settle(self, trace: Trace, result: Answered | OpenedStream) -> None:
        """Note who answered."""
        trace.backend = result.candidate.backend
        trace.model = result.candidate.model
        trace.tier = self._settings.backends[trace.backend].tier
        trace.first_token_seconds = result.first_token_seconds
        trace.rejections = result.rejections

    def _usage(self, trace: Trace, reported: Usage | None, text: str) -> Usage:
        extra = trace.context.tokens if trace.context else 0
        return self._counter.usage(reported, trace.request.prompt_text, extra, text)

    def _prompt_tokens(self, trace: Trace) -> int:
        """Tokens of the conversation; counted once a request."""
        if trace.prompt_tokens is None:
            trace.prompt_tokens = self._counter.prompt(trace.request.prompt_text)
        return trace.prompt_tokens

    async def _relay(
        self, opened: OpenedStream, collector: StreamCollector, trace: Trace
    ) -> AsyncGenerator[Delta, None]:
        """Pass the answer on as it comes, and keep it."""
        async with aclosing(opened.deltas) as deltas:
            try:
                async for delta in deltas:
                    collector.add(delta)
                    yield delta
                collector.finished = True
            except HybridError as error:
                trace.failed(error)
                raise

    # After the last byte

    async def _after_stream(
        self,
        trace: Trace,
        lookup: Lookup,
        flight: Flight,
        vector: Vector | None,
        opened: OpenedStream,
        collector: StreamCollector,
        held: AsyncExitStack,
    ) -> None:
        trace.backend_seconds = opened.backend_seconds
        trace.usage = self._usage(trace, collector.usage, collector.text)
        completion = collector.completion(created=int(self._now()))
        if not collector.finished and trace.error is None:
            trace.abandoned()
        await self._after(trace, lookup, flight, vector, completion, held)

    async def _after(
        self,
        trace: Trace,
        lookup: Lookup,
        flight: Flight,
        vector: Vector | None,
        completion: Completion | None,
        held: AsyncExitStack,
    ) -> None:
        """Book, keep and record; then let those go on who wait for this answer."""
        try:
            async with held:
                self._aftermath.charge(trace)
                if completion is not None and not looks_like_refusal(completion.text):
                    await self._cache.store(
                        lookup,
                        trace.request,
                        vector,
                        _with_usage(completion, trace.usage),
                        backend=trace.backend or "",
                        tier=trace.tier or Tier.LOCAL,
                        cost_usd=trace.cost_usd,
                        interaction_id=trace.request.interaction_id,
                        flight=flight,
                    )
        finally:
            self._aftermath.done(trace, completion, lookup, vector)


def _with_usage(completion: Completion, usage: Usage) -> Completion:
    return completion if completion.usage == usage else replace(completion, usage=usage)


def _fleets(decision: Decision) -> list[Candidate]:
    """The router's candidates as the fleet's: two rooms, two types of the same shape."""
    return [Candidate(choice.backend, choice.model) for choice in decision.candidates]


@contextmanager
def _naming_all(decision: Decision) -> Iterator[None]:
    """Add those whom the router passed over to an error that names who was tried."""
    try:
        yield
    except NoBackend as error:
        passed = [Attempt(name, why) for name, why in decision.passed_over.items()]
        attempts = [*error.attempts, *passed]
        told = "; ".join(f"{attempt.backend}: {attempt.why}" for attempt in attempts)
        raise NoBackend(
            f"no backend could answer ({told}): try again later, or see /ready",
            attempts=attempts,
            retry_after=error.retry_after,
        ) from None


async def _replayed(entry: CacheEntry) -> AsyncGenerator[Delta, None]:
    for delta in stream_of(entry):
        yield delta
