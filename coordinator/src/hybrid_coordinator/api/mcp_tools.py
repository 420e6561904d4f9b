"""The MCP tools: name, description, arguments and what each does.

Arguments and results are described by the models of the HTTP endpoints. How a
tool is called over the protocol is in ``mcp_server``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic

from hybrid_coordinator.analysis.report import Analysis
from hybrid_coordinator.api import learning_schemas as bodies
from hybrid_coordinator.api import schemas
from hybrid_coordinator.api.learning import adapter, known_id
from hybrid_coordinator.api.schemas import BodyT
from hybrid_coordinator.api.verbs import Verbs
from hybrid_coordinator.conversation import Json
from hybrid_coordinator.gateway import Augmented, Readiness
from hybrid_coordinator.health_report import Report
from hybrid_coordinator.learning.records import (
    DatasetReport,
    Forgotten,
    InteractionView,
    OutcomeReceipt,
)

_COMBINING: Final = ("anyOf", "oneOf", "allOf", "not")
"""At the top of a tool's schema several model APIs refuse these; the check is made all the same."""


@dataclass(frozen=True, slots=True)
class Tool(Generic[BodyT]):
    """One tool. ``reads``: it changes nothing; ``repeats``: a second call adds nothing."""

    name: str
    title: str
    description: str
    request: type[BodyT]
    response: type[Any]
    run: Callable[[Verbs, BodyT], Awaitable[object]]
    reads: bool = False
    repeats: bool = True
    destroys: bool = False

    def input_schema(self) -> Json:
        """JSON schema of the arguments."""
        schema = adapter(self.request).json_schema()
        return {key: value for key, value in schema.items() if key not in _COMBINING}

    def output_schema(self) -> Json:
        """JSON schema of the structured result."""
        return adapter(self.response).json_schema(mode="serialization")

    async def call(self, verbs: Verbs, arguments: Json) -> Json:
        """Check the arguments, do it, and give the structured result; raises ``HybridError``."""
        result = await self.run(verbs, schemas.validate(self.request, arguments))
        structured: Json = adapter(self.response).dump_python(result, mode="json")
        return structured


async def _augment(verbs: Verbs, wanted: schemas.AugmentRequest) -> Augmented:
    return await verbs.augment(wanted.query, wanted.agent_type, wanted.token_budget)


async def _search(verbs: Verbs, wanted: schemas.SearchRequest) -> schemas.SearchResponse:
    hits = await verbs.search(wanted.query, wanted.collections, wanted.limit, wanted.filters)
    return schemas.SearchResponse(
        hits=[
            schemas.SearchHitBody(
                id=hit.id, collection=hit.collection, score=float(hit.score), payload=hit.payload
            )
            for hit in hits
        ]
    )


async def _track(verbs: Verbs, wanted: bodies.TrackRequest) -> bodies.TrackedResponse:
    return bodies.TrackedResponse(interaction_id=await verbs.track(wanted.to_record()))


async def _outcome(verbs: Verbs, wanted: bodies.UpdateOutcomeRequest) -> OutcomeReceipt:
    return await verbs.outcome(known_id(wanted.interaction_id), wanted.to_record())


async def _interaction(verbs: Verbs, wanted: bodies.InteractionRequest) -> InteractionView:
    return await verbs.interaction(known_id(wanted.interaction_id))


async def _forget(verbs: Verbs, wanted: bodies.InteractionRequest) -> Forgotten:
    return await verbs.forget(known_id(wanted.interaction_id))


async def _training_data(verbs: Verbs, wanted: bodies.TrainingDataRequest) -> DatasetReport:
    return await verbs.training_data(wanted.to_record())


async def _health(verbs: Verbs, wanted: bodies.NothingRequest) -> Readiness:
    return await verbs.readiness()


async def _system_health(verbs: Verbs, wanted: bodies.NothingRequest) -> Report:
    return await verbs.system_health()


async def _system_analysis(verbs: Verbs, wanted: bodies.NothingRequest) -> Analysis:
    return await verbs.system_analysis()


TOOLS: Final[tuple[Tool[Any], ...]] = (
    Tool(
        "augment_query",
        "Augment a question",
        "Put the stored knowledge that belongs to a question around it. Ask a model the "
        "augmented_prompt; hand context_ids to track_interaction afterwards.",
        schemas.AugmentRequest,
        Augmented,
        _augment,
        reads=True,
    ),
    Tool(
        "search_context",
        "Search the knowledge",
        "Search code, patterns, solved errors and best practices; the best hits come first.",
        schemas.SearchRequest,
        schemas.SearchResponse,
        _search,
        reads=True,
    ),
    Tool(
        "track_interaction",
        "Track an interaction",
        "Keep a question and its answer that did not come through this gateway, so that it can "
        "be learned from. Gives the id that update_outcome wants.",
        bodies.TrackRequest,
        bodies.TrackedResponse,
        _track,
        repeats=False,
    ),
    Tool(
        "update_outcome",
        "Report an outcome",
        "Say how an answer turned out: its outcome, what the user thinks of it, or both. Saying "
        "the same again changes nothing; something else is refused unless replace is true.",
        bodies.UpdateOutcomeRequest,
        OutcomeReceipt,
        _outcome,
    ),
    Tool(
        "get_interaction",
        "Show an interaction",
        "Show what is kept of an interaction, its outcome and value score included.",
        bodies.InteractionRequest,
        InteractionView,
        _interaction,
        reads=True,
    ),
    Tool(
        "forget",
        "Forget an interaction",
        "Remove an interaction and everything derived from it, everywhere. It cannot be undone.",
        bodies.InteractionRequest,
        Forgotten,
        _forget,
        destroys=True,
    ),
    Tool(
        "generate_training_data",
        "Write the training data",
        "Write a fine-tuning data set of the successful answers that are worth it; gives the "
        "paths on the coordinator's machine and what is in the files.",
        bodies.TrainingDataRequest,
        DatasetReport,
        _training_data,
    ),
    Tool(
        "health",
        "Check the parts",
        "Say whether a question could be answered now, and how every part is.",
        bodies.NothingRequest,
        Readiness,
        _health,
        reads=True,
    ),
    Tool(
        "system_health",
        "Check the whole system",
        "Check every part by its own probe: stores, models, outbox, disk, keys, certificates, "
        "timers and units; names what is wrong and what to do. For operators.",
        bodies.NothingRequest,
        Report,
        _system_health,
        reads=True,
    ),
    Tool(
        "system_analysis",
        "Compare settings with use",
        "Say which settings do not fit how they are used, with the evidence, and propose changes "
        "as NixOS option lines. For operators.",
        bodies.NothingRequest,
        Analysis,
        _system_analysis,
        reads=True,
    ),
)
"""Every tool, in the order in which they are listed."""
