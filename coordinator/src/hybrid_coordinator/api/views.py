"""The endpoints of what people look at: lists of interactions and patterns, and one's whole way.

They turn parameters into the gateway's types and back; who may see what is
decided behind the gateway.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar, get_args

from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.api.learning import adapter, known_id
from hybrid_coordinator.api.schemas import UUID_PATTERN, Body, validate
from hybrid_coordinator.api.view_schemas import (
    InteractionsRequest,
    PatternCollection,
    PatternsRequest,
    PatternStatusRequest,
)
from hybrid_coordinator.errors import InvalidRequest, NotFound
from hybrid_coordinator.gateway import Gateway
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.records import LearnedRef
from hybrid_coordinator.settings import Collection

BodyT = TypeVar("BodyT", bound=Body)

_COLLECTIONS: Final = get_args(PatternCollection)


class ViewEndpoints:
    """``GET /v1/interactions``, ``…/{id}/steps``, ``GET /v1/patterns``, ``…/status``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def interactions(self, exchange: Exchange) -> None:
        """A page of interactions."""
        wanted = _parameters(exchange, InteractionsRequest).to_record()
        await _respond(exchange, await self._gateway.interactions(wanted, exchange.caller))

    async def steps(self, exchange: Exchange) -> None:
        """One interaction's whole way."""
        id_ = known_id(exchange.parameter("interaction_id"))
        await _respond(exchange, await self._gateway.interaction_steps(id_, exchange.caller))

    async def patterns(self, exchange: Exchange) -> None:
        """A page of patterns."""
        wanted = _parameters(exchange, PatternsRequest).to_record()
        await _respond(exchange, await self._gateway.patterns(wanted, exchange.caller))

    async def pattern_status(self, exchange: Exchange) -> None:
        """Retire a pattern or take it back into use."""
        ref = _ref(exchange.parameter("collection"), exchange.parameter("id"))
        wanted = validate(PatternStatusRequest, await exchange.json())
        changed = await self._gateway.set_pattern_status(
            ref, PatternStatus(wanted.status), exchange.caller
        )
        await _respond(exchange, changed)


def _parameters(exchange: Exchange, model: type[BodyT]) -> BodyT:
    given = exchange.query(*model.model_fields)
    for name, values in given.items():
        if len(values) > 1:
            raise InvalidRequest(f"'{name}' is there twice: give it once.", field=name)
    # An empty one is a field of a form that was left empty.
    return validate(model, {name: values[0] for name, values in given.items() if values[0]})


def _ref(collection: str, id_: str) -> LearnedRef:
    if collection not in _COLLECTIONS:
        raise NotFound(f"Patterns are in {', '.join(_COLLECTIONS)}.", field="collection")
    if re.fullmatch(UUID_PATTERN, id_) is None:
        raise NotFound("There is no such pattern: its id is a UUID.", field="id")
    return LearnedRef(Collection(collection), id_.lower())


async def _respond(exchange: Exchange, value: object) -> None:
    await exchange.respond_without_model(adapter(type(value)).dump_json(value))
