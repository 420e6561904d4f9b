"""Everything the edge may ask, in one object: the pipeline and the other verbs.

The pipeline answers questions; what is here needs one room each, or asks every
room how it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_coordinator.analysis.report import Analysis
from hybrid_coordinator.cache import Cache
from hybrid_coordinator.conversation import (
    AUTO_MODEL,
    Caller,
    ChatRequest,
    Dialect,
    ModelCall,
)
from hybrid_coordinator.errors import BackendError, Forbidden, UnknownModel, Unprocessable
from hybrid_coordinator.gateway import (
    Answer,
    Augmented,
    Embeddings,
    KnowledgeItem,
    ModelInfo,
    PartState,
    PartStatus,
    Readiness,
    SearchHit,
)
from hybrid_coordinator.health_report import Report
from hybrid_coordinator.inference import BackendStatus, Fleet, MakeCall
from hybrid_coordinator.knowledge import Embedder, Knowledge, NewItem
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.experiments import ExperimentReport
from hybrid_coordinator.learning.records import (
    DatasetReport,
    DatasetRequest,
    ExtractionReport,
    Forgotten,
    InteractionView,
    LearnedRef,
    NewInteraction,
    OutcomeReceipt,
    PostedOutcome,
    QueueView,
)
from hybrid_coordinator.learning.service import Learning
from hybrid_coordinator.learning.view_records import (
    InteractionPage,
    InteractionQuery,
    InteractionSteps,
    PatternChanged,
    PatternPage,
    PatternQuery,
)
from hybrid_coordinator.pipeline import Pipeline
from hybrid_coordinator.reporting.figures import DashboardData, Range
from hybrid_coordinator.reporting.reporter import Reporter
from hybrid_coordinator.settings import BUNDLED_EMBEDDER, Collection, Settings
from hybrid_coordinator.system_view import SystemView, outbox_part
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.tokens import estimate_tokens

SEARCHABLE = tuple(c for c in Collection if c is not Collection.INTERACTION_HISTORY)
"""What a search looks through where it names no collection."""


class Coordinator:
    """The ``Gateway`` that the edge is given."""

    def __init__(
        self,
        *,
        settings: Settings,
        pipeline: Pipeline,
        cache: Cache,
        embedder: Embedder,
        knowledge: Knowledge,
        fleet: Fleet,
        learning: Learning,
        reporter: Reporter,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._learning = learning
        self._reporter = reporter
        self._pipeline = pipeline
        self._cache = cache
        self._embedder = embedder
        self._knowledge = knowledge
        self._fleet = fleet
        self._metrics = metrics
        self._system = SystemView(settings, self.readiness, knowledge, learning, metrics)

    @property
    def metrics(self) -> Metrics:
        """The metrics everything here counts in."""
        return self._metrics

    async def answer(self, request: ChatRequest) -> Answer:
        """Answer a question."""
        return await self._pipeline.answer(request)

    async def embed(self, texts: Sequence[str], model: str | None, caller: Caller) -> Embeddings:
        """Embed texts with the configured embedder."""
        names = (AUTO_MODEL, BUNDLED_EMBEDDER, self._embedder.name)
        if model is not None and model not in names:
            raise UnknownModel(
                f"'{model}' is not the embedding model of this gateway: "
                f"ask for '{self._embedder.name}' or '{AUTO_MODEL}'",
                field="model",
            )
        for index, text in enumerate(texts):
            if not text.strip():
                raise Unprocessable("an empty text has no embedding", field=f"input[{index}]")
        vectors = await self._embedder.embed_documents(list(texts))
        tokens = sum(estimate_tokens(text, self._embedder.count_tokens) for text in texts)
        return Embeddings(
            vectors=np.asarray(vectors, dtype=np.float32), model=self._embedder.name, tokens=tokens
        )

    def models(self) -> Sequence[ModelInfo]:
        """``auto``, then every model of every backend once, then the embedder."""
        infos = {AUTO_MODEL: ModelInfo(id=AUTO_MODEL, owned_by="hybrid-ai")}
        for status in self._fleet.statuses():
            for model in status.models:
                infos.setdefault(
                    model.name,
                    ModelInfo(
                        id=model.name,
                        owned_by=status.name,
                        tier=status.tier,
                        context_tokens=model.context_tokens,
                        ready=status.usable,
                    ),
                )
        name = self._embedder.name
        infos.setdefault(name, ModelInfo(id=name, owned_by="hybrid-ai"))
        return list(infos.values())

    async def count_tokens(self, request: ChatRequest) -> int:
        """The backend's own count where the pinned model has one, else an estimate."""
        for candidate in self._fleet.find_model(request.model)[:1]:
            call = ModelCall(
                body={**request.body, "model": candidate.model.name},
                api_model=candidate.model.name,
                stream=False,
                interaction_id=request.interaction_id,
                native=request.native and {**request.native, "model": candidate.model.name},
                native_dialect=Dialect.ANTHROPIC if request.native else None,
            )
            try:
                counted = await self._fleet.count_tokens(candidate, _always(call))
            except BackendError as error:
                self._metrics.failures.labels(room="inference", kind=error.code).inc()
                counted = None
            if counted is not None:
                return counted
        return estimate_tokens(request.prompt_text, self._embedder.count_tokens)

    async def augment(
        self, query: str, agent_type: str, caller: Caller, token_budget: int | None
    ) -> Augmented:
        """Put stored knowledge around a question without asking a model."""
        retrieved = await self._knowledge.search(query, None, caller.id)
        context = self._knowledge.pack(retrieved.hits, token_budget)
        prompt = f"{context.text}\n\n{query}" if context.ids else query
        return Augmented(
            augmented_prompt=prompt,
            context_ids=context.ids,
            original_query=query,
            context_count=len(context.ids),
            context_tokens=context.tokens,
        )

    async def search(
        self,
        query: str,
        collections: Sequence[Collection],
        limit: int,
        caller: Caller,
        filters: Mapping[str, Any],
    ) -> Sequence[SearchHit]:
        """Search the collections, best first."""
        retrieved = await self._knowledge.search(
            query,
            None,
            caller.id,
            collections=collections or SEARCHABLE,
            limit=limit,
            filters=filters,
            abstain=False,
        )
        return [
            SearchHit(
                id=hit.id,
                collection=hit.collection,
                score=hit.score,
                payload={
                    **hit.item.model_dump(mode="json"),
                    "source": hit.provenance.source,
                    "created": hit.provenance.created,
                },
            )
            for hit in retrieved.hits[:limit]
        ]

    async def add_knowledge(
        self, collection: Collection, items: Sequence[KnowledgeItem], caller: Caller
    ) -> Sequence[str]:
        """Store items, without the secrets and personal data in their texts."""
        payloads = await asyncio.to_thread(
            lambda: [self._learning.scrub(item.payload) for item in items]
        )
        new = [
            NewItem(payload, id=item.id, vector=item.vector)
            for item, payload in zip(items, payloads, strict=True)
        ]
        return await self._knowledge.add(collection, new, caller.id)

    async def delete_knowledge(
        self, collection: Collection, ids: Sequence[str], caller: Caller
    ) -> int:
        """Delete items."""
        return await self._knowledge.delete(collection, ids, caller.id)

    async def invalidate(
        self, interaction_id: str | None, query: str | None, caller: Caller
    ) -> int:
        """Evict cached answers of this caller."""
        return await self._cache.invalidate(
            interaction_id=interaction_id, question=query, caller=caller.id
        )

    async def track(self, new: NewInteraction, caller: Caller) -> str:
        """Keep an interaction that was answered elsewhere."""
        return await self._learning.track(new, caller)

    async def interaction(self, interaction_id: str, caller: Caller) -> InteractionView:
        """An interaction of the caller's as it is now."""
        return await self._learning.interaction(interaction_id, caller)

    async def outcome(
        self, interaction_id: str, posted: PostedOutcome, caller: Caller
    ) -> OutcomeReceipt:
        """Note how an answer turned out."""
        return await self._learning.outcome(interaction_id, posted, caller)

    async def forget(self, interaction_id: str, caller: Caller) -> Forgotten:
        """Remove an interaction and everything that was made of it."""
        return await self._learning.forget(interaction_id, caller)

    async def training_data(self, wanted: DatasetRequest, caller: Caller) -> DatasetReport:
        """Write the training data."""
        return await self._learning.training_data(wanted, caller)

    async def extract_patterns(self, limit: int | None) -> ExtractionReport:
        """Work through the extraction queue now."""
        return await self._learning.extract_patterns(limit)

    async def extraction_queue(self, limit: int, caller: Caller) -> QueueView:
        """The extraction queue, as far as the caller may see it."""
        return await self._learning.extraction_queue(limit, caller)

    async def replay_extractions(self, ids: Sequence[str], caller: Caller) -> int:
        """Put dead letters back into the queue."""
        return await self._learning.replay_extractions(ids, caller)

    async def interactions(self, wanted: InteractionQuery, caller: Caller) -> InteractionPage:
        """A page of interactions, newest first or by a question."""
        return await self._learning.views.interactions(wanted, caller)

    async def interaction_steps(self, interaction_id: str, caller: Caller) -> InteractionSteps:
        """One interaction's whole way."""
        return await self._learning.steps(interaction_id, caller)

    async def patterns(self, wanted: PatternQuery, caller: Caller) -> PatternPage:
        """A page of learned items."""
        return await self._learning.views.patterns(wanted, caller)

    async def set_pattern_status(
        self, ref: LearnedRef, status: PatternStatus, caller: Caller
    ) -> PatternChanged:
        """Retire a pattern, or take it back into use."""
        return await self._learning.set_pattern_status(ref, status, caller)

    async def experiments(self) -> Sequence[ExperimentReport]:
        """Every declared experiment and how its variants do."""
        return await self._learning.report()

    async def figures(self, range_s: int, caller: Caller) -> DashboardData:
        """What the dashboard shows."""
        _need_operator(caller)
        return await self._reporter.figures(Range.of(range_s))

    async def figures_stream(self, range_s: int, caller: Caller) -> AsyncIterator[DashboardData]:
        """The same at once and at each interval."""
        _need_operator(caller)
        async for data in self._reporter.stream(Range.of(range_s)):
            yield data

    async def system_health(self, caller: Caller) -> Report:
        """Check every part."""
        _need_operator(caller)
        return await self._system.health()

    async def system_analysis(self, caller: Caller) -> Analysis:
        """Compare the settings with their use."""
        _need_operator(caller)
        return await self._system.analysis()

    async def readiness(self) -> Readiness:
        """Every dependency by name; ready where at least one backend is."""
        statuses = self._fleet.statuses()
        parts: dict[str, PartStatus] = {
            f"backend.{status.name}": _backend_part(status) for status in statuses
        }
        parts["cache"] = await self._cache_part()
        parts["embedder"] = PartStatus(
            PartState.READY, f"{self._embedder.name}, {self._embedder.size} dimensions"
        )
        parts.update(await self._knowledge_parts())
        parts["learning"] = self._learning_part()
        parts["outbox"] = outbox_part(self._settings, self._learning.outbox_totals, time.time())
        return Readiness(ready=any(status.usable for status in statuses), parts=parts)

    async def _cache_part(self) -> PartStatus:
        if not self._settings.cache.enable:
            return PartStatus(PartState.OFF, "cache.enable is false")
        ready = await self._cache.ready()
        return PartStatus(PartState.READY if ready.ok else PartState.DEGRADED, ready.detail)

    def _learning_part(self) -> PartStatus:
        if not self._settings.learning.enable:
            return PartStatus(PartState.OFF, "learning.enable is false")
        state = self._learning.state()
        ready = PartState.READY if state.ok else PartState.DEGRADED
        return PartStatus(ready, state.detail)

    async def _knowledge_parts(self) -> dict[str, PartStatus]:
        report = await self._knowledge.status()
        parts = {}
        for collection, state in report.items():
            if state.problem is None:
                part = PartStatus(PartState.READY, f"{state.points} points")
            else:
                part = PartStatus(PartState.DEGRADED, state.problem)
            parts[f"collection.{collection.value}"] = part
        return parts


def _need_operator(caller: Caller) -> None:
    if not caller.is_operator:
        raise Forbidden(
            "The figures are of everybody's questions: use the operator's key, as the service's "
            "user or root has it."
        )


def _always(call: ModelCall) -> MakeCall:
    return lambda _: call


def _backend_part(status: BackendStatus) -> PartStatus:
    names = ", ".join(model.name for model in status.models)
    if status.usable:
        return PartStatus(PartState.READY, names or status.detail)
    why = "left alone after failures" if status.breaker_open else status.detail
    return PartStatus(PartState.DOWN, why)
