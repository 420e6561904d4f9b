"""What happens after a request's last byte: ledger, metrics, telemetry.

Runs off the request's path and never raises: an answer that was given is not
taken back because its record could not be kept.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from hybrid_coordinator.cache import Lookup
from hybrid_coordinator.conversation import CacheStatus, Completion, Tier, Usage
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.knowledge import Retrieved
from hybrid_coordinator.knowledge.store import Vector
from hybrid_coordinator.learning.service import Learning
from hybrid_coordinator.routing import SpendLedger
from hybrid_coordinator.settings import ModelSettings, Settings
from hybrid_coordinator.telemetry import Metrics, TelemetryWriter
from hybrid_coordinator.telemetry.events import (
    CacheLookup,
    ContextSearch,
    Inference,
    InteractionRecorded,
    ResponseRejected,
    RoutingDecision,
)
from hybrid_coordinator.trace import Trace
from hybrid_coordinator.tracing import Tracing
from hybrid_coordinator.tracking import observed


def cost_usd(model: ModelSettings, usage: Usage) -> float:
    """US dollars of one answer: tokens times the declared prices per million."""
    spent = usage.input_tokens * model.input_price + usage.output_tokens * model.output_price
    return spent / 1_000_000


def query_digest(query: str) -> str:
    """Stands for a question in telemetry: equal questions are equal, and none can be read."""
    return "blake2b:" + hashlib.blake2b(query.encode(), digest_size=12).hexdigest()


class Aftermath:
    """Records what a ``Trace`` tells."""

    def __init__(
        self,
        metrics: Metrics,
        telemetry: TelemetryWriter,
        ledger: SpendLedger,
        learning: Learning,
        settings: Settings,
        tracing: Tracing | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tracing = tracing
        self._metrics = metrics
        self._telemetry = telemetry
        self._ledger = ledger
        self._learning = learning
        self._settings = settings
        self._now = now

    def began(self, trace: Trace) -> None:
        """A request is being answered from now until ``done``, ``failed`` or ``abandoned``."""
        self._metrics.active_requests.inc()
        self._learning.began(trace.request.interaction_id)
        if self._tracing is not None:
            self._tracing.begin(trace)

    def charge(self, trace: Trace) -> None:
        """Book what the answer cost, once its usage is known."""
        if trace.model is None or trace.tier is None or trace.backend is None:
            return
        trace.cost_usd = cost_usd(trace.model, trace.usage)
        if trace.cost_usd:
            self._ledger.add(trace.cost_usd)
            self._metrics.cost_usd.labels(backend=trace.backend).inc(trace.cost_usd)
        for direction, count in (
            ("in", trace.usage.input_tokens),
            ("out", trace.usage.output_tokens),
        ):
            self._metrics.tokens.labels(
                direction=direction, tier=trace.tier.value, backend=trace.backend
            ).inc(count)

    def searched(self, trace: Trace, retrieved: Retrieved) -> None:
        """Record a retrieval."""
        counts: dict[str, int] = {}
        for hit in retrieved.hits:
            counts[hit.collection.value] = counts.get(hit.collection.value, 0) + 1
        trace.found_in = {hit.id: hit.collection.value for hit in retrieved.hits}
        scores = [hit.score for hit in retrieved.hits]
        self._telemetry.record(
            ContextSearch(
                timestamp=self._now(),
                interaction_id=trace.request.interaction_id,
                query=query_digest(trace.request.question),
                results_count=len(scores),
                avg_score=sum(scores) / len(scores) if scores else 0.0,
                latency_ms=trace.steps.get("knowledge", 0.0) * 1000,
                collections=counts,
            )
        )

    def failed(self, trace: Trace, error: HybridError) -> None:
        """Record a request that got an error for an answer."""
        trace.failed(error)
        self.done(trace)

    def abandoned(self, trace: Trace) -> None:
        """Record a request whose client left before the answer's end."""
        trace.abandoned()
        self.done(trace)

    def done(
        self,
        trace: Trace,
        completion: Completion | None = None,
        lookup: Lookup | None = None,
        vector: Vector | None = None,
    ) -> None:
        """Record a finished request; with a whole ``completion`` it is something to learn from."""
        m = self._metrics
        m.active_requests.dec()
        story = None
        if completion is not None and trace.error is None:
            story = observed(trace, completion, lookup, vector, self._settings, self._now())
        self._learning.ended(trace.request.interaction_id, story)
        m.cache_lookups.labels(status=trace.cache.value).inc()
        m.gateway_overhead_seconds.labels(cache=trace.cache.value).observe(trace.overhead_seconds)
        for step, seconds in trace.steps.items():
            m.step_seconds.labels(step=step).observe(seconds)
        if trace.cost_saved_usd:
            m.cost_saved_usd.inc(trace.cost_saved_usd)
        for event in self._events(trace):
            self._telemetry.record(event)
        last = len(trace.rejections) - (0 if trace.error is None else 1)
        for number, rejected in enumerate(trace.rejections):
            self._telemetry.record(
                ResponseRejected(
                    timestamp=self._now(),
                    interaction_id=trace.request.interaction_id,
                    backend=rejected.candidate.backend,
                    rejection=rejected.verdict.rejection,
                    escalated=number < last,
                )
            )
        if self._tracing is not None:
            self._tracing.done(trace, completion, self._settings.backends)

    def _events(
        self, trace: Trace
    ) -> list[CacheLookup | RoutingDecision | Inference | InteractionRecorded]:
        now, interaction = self._now(), trace.request.interaction_id
        events: list[CacheLookup | RoutingDecision | Inference | InteractionRecorded] = []
        if trace.cache is not CacheStatus.OFF:
            events.append(
                CacheLookup(
                    timestamp=now,
                    interaction_id=interaction,
                    status=trace.cache,
                    similarity=trace.similarity,
                    why=trace.cache_why or None,
                    latency_ms=trace.cache_seconds * 1000,
                )
            )
        if trace.decision is not None and trace.decision.candidates:
            events.append(trace.decision.to_event(timestamp=now, interaction_id=interaction))
        if trace.backend is not None and trace.model is not None and trace.tier is not None:
            first_token = trace.first_token_seconds
            events.append(
                Inference(
                    timestamp=now,
                    interaction_id=interaction,
                    backend=trace.backend,
                    model=trace.model.name,
                    tier=trace.tier,
                    outcome=trace.error or "ok",
                    input_tokens=trace.usage.input_tokens,
                    output_tokens=trace.usage.output_tokens,
                    usage_estimated=trace.usage.estimated,
                    cost_usd=trace.cost_usd,
                    first_token_ms=None if first_token is None else first_token * 1000,
                    latency_ms=trace.backend_seconds * 1000,
                )
            )
        events.append(self._interaction(trace, now))
        return events

    def _interaction(self, trace: Trace, now: float) -> InteractionRecorded:
        tier: Tier | None = trace.tier
        return InteractionRecorded(
            timestamp=now,
            interaction_id=trace.request.interaction_id,
            caller=trace.request.caller.id,
            dialect=trace.request.dialect.value,
            cache=trace.cache,
            route=tier,
            backend=trace.backend,
            model=trace.model.name if trace.model else None,
            reason=trace.reason_class,
            status=trace.status,
            input_tokens=trace.usage.input_tokens,
            output_tokens=trace.usage.output_tokens,
            usage_estimated=trace.usage.estimated,
            cost_usd=trace.cost_usd,
            cost_saved_usd=trace.cost_saved_usd,
            context_ids=list(trace.context.ids) if trace.context else [],
            context_tokens=trace.context.tokens if trace.context else 0,
            context_collections=trace.context_collections,
            experiment=trace.request.variant,
            skipped=trace.skipped,
            overhead_ms=trace.overhead_seconds * 1000,
            latency_ms=trace.elapsed * 1000,
        )
