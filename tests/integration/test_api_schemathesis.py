"""Schemathesis makes requests out of the OpenAPI document: none is a 5xx, none breaks a schema."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from hybrid_coordinator.api.openapi import document
from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.learning.records import Forgotten, NewInteraction
from tests.unit.api.scripted import ScriptedGateway, edge

# The coverage phase takes minutes for schemas as large as the chat requests'.
QUICK = SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": False}}})
SCHEMA = schemathesis.openapi.from_dict(json.loads(document(needs_key=False)), config=QUICK)


class EveryId(ScriptedGateway):
    """Knows an interaction of any id, so that answers of success are made and checked as well."""

    def own(self, interaction_id: str, caller: Caller) -> NewInteraction:
        return self.kept.get((caller.id, interaction_id), NewInteraction("q", "r"))

    async def forget(self, interaction_id: str, caller: Caller) -> Forgotten:
        return Forgotten(interaction_id, {"interaction-history": 1})


SCHEMA.app = edge(EveryId())

# Where a valid body may still be refused: how long a vector is depends on the embedder, and
# JSON Schema takes 7.0 for an integer, which the checks of both dialects do not.
REFUSES_SOME_VALID = {
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/knowledge/{collection}",
    "/v1/messages",
    "/v1/messages/count_tokens",
}


@SCHEMA.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_made_from_the_document_breaks_it(case: schemathesis.Case[Any]) -> None:
    headers = {"host": "localhost"}
    if case.path in REFUSES_SOME_VALID:
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])
    else:
        case.call_and_validate(headers=headers)
