"""The endpoints of learning: interactions, outcomes, training data, extraction, experiments.

They turn bodies into the gateway's types and back; what is kept, scored or
learned is decided behind the gateway.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

from hybrid_coordinator.api import learning_schemas as bodies
from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.api.schemas import UUID_PATTERN, validate
from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import Forbidden, InvalidRequest, NotFound
from hybrid_coordinator.gateway import Gateway
from hybrid_coordinator.wire.json_text import parse_object

_UUID: Final = re.compile(UUID_PATTERN)


class LearningEndpoints:
    """``/v1/interactions…``, ``/v1/training-data``, ``/v1/patterns/…``, ``/v1/experiments``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def track(self, exchange: Exchange) -> None:
        """Keep an interaction that was answered elsewhere."""
        wanted = validate(bodies.TrackRequest, await exchange.json())
        id_ = await self._gateway.track(wanted.to_record(), exchange.caller)
        await _respond(exchange, bodies.TrackedResponse(interaction_id=id_), status=201)

    async def interaction(self, exchange: Exchange) -> None:
        """Answer with an interaction as it is now."""
        found = await self._gateway.interaction(_interaction_id(exchange), exchange.caller)
        await _respond(exchange, found)

    async def outcome(self, exchange: Exchange) -> None:
        """Note how an answer turned out."""
        id_ = _interaction_id(exchange)
        wanted = validate(bodies.OutcomeRequest, await exchange.json())
        receipt = await self._gateway.outcome(id_, wanted.to_record(), exchange.caller)
        await _respond(exchange, receipt)

    async def forget(self, exchange: Exchange) -> None:
        """Remove an interaction and everything derived from it."""
        forgotten = await self._gateway.forget(_interaction_id(exchange), exchange.caller)
        await _respond(exchange, forgotten)

    async def training_data(self, exchange: Exchange) -> None:
        """Write the training data."""
        wanted = validate(bodies.TrainingDataRequest, await exchange.json(_object_or_nothing))
        report = await self._gateway.training_data(wanted.to_record(), exchange.caller)
        await _respond(exchange, report)

    async def extract(self, exchange: Exchange) -> None:
        """Work through the extraction queue; everybody's, so it takes an operator."""
        wanted = validate(bodies.ExtractRequest, await exchange.json(_object_or_nothing))
        if not exchange.caller.is_operator:
            raise Forbidden(
                "Extraction works on everybody's interactions: run 'hybrid-coordinator "
                "extract-patterns' as the service's user or root, or wait for its timer."
            )
        await _respond(exchange, await self._gateway.extract_patterns(wanted.limit))

    async def queue(self, exchange: Exchange) -> None:
        """Show the extraction queue."""
        given = exchange.query("limit").get("limit", [])
        if len(given) > 1:
            raise InvalidRequest("'limit' is there twice: give it once.", field="limit")
        wanted = validate(bodies.QueueRequest, {"limit": given[0]} if given else {})
        view = await self._gateway.extraction_queue(wanted.limit, exchange.caller)
        await _respond(exchange, view)

    async def replay(self, exchange: Exchange) -> None:
        """Put dead letters back into the queue."""
        wanted = validate(bodies.ReplayRequest, await exchange.json(_object_or_nothing))
        ids = [id_.lower() for id_ in wanted.ids]
        replayed = await self._gateway.replay_extractions(ids, exchange.caller)
        await _respond(exchange, bodies.ReplayedResponse(replayed=replayed))

    async def experiments(self, exchange: Exchange) -> None:
        """Show every declared experiment."""
        reports = list(await self._gateway.experiments())
        await _respond(exchange, bodies.ExperimentsResponse(experiments=reports))


def adapter(kind: Any) -> TypeAdapter[Any]:
    """Validates and writes values of a type; made once for each."""
    return _made(kind)


@cache
def _made(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def known_id(text: str) -> str:
    """An interaction's id as it is stored; raises ``NotFound`` for what can be none."""
    if _UUID.fullmatch(text) is None:
        raise NotFound(
            "There is no such interaction: its id is the UUID in the header "
            "x-hybrid-interaction-id, or the one that tracking gave.",
            field="interaction_id",
        )
    return text.lower()


def _interaction_id(exchange: Exchange) -> str:
    return known_id(exchange.parameter("interaction_id"))


def _object_or_nothing(body: bytes, max_depth: int) -> Json:
    """A body whose every field has a default may be left away."""
    return parse_object(body, max_depth) if body else {}


async def _respond(exchange: Exchange, value: object, *, status: int = 200) -> None:
    data = adapter(type(value)).dump_json(value)
    await exchange.respond_without_model(data, status=status)
