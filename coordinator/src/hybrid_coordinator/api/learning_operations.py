"""The learning endpoints and ``/mcp`` as the OpenAPI document shows them; see ``operations``."""

from __future__ import annotations

from typing import Final

from hybrid_coordinator.api import schemas
from hybrid_coordinator.api.dashboard_operations import DASHBOARD_OPERATIONS
from hybrid_coordinator.api.learning_schemas import QueueRequest
from hybrid_coordinator.api.operations import (
    ERRORS,
    GATEWAY_OPERATIONS,
    READ_ERRORS,
    Operation,
    in_path,
)
from hybrid_coordinator.api.system_operations import SYSTEM_OPERATIONS
from hybrid_coordinator.api.view_operations import VIEW_OPERATIONS
from hybrid_coordinator.conversation import Json

_WRITE_ERRORS: Final = (*READ_ERRORS, 500, 503)
_POST_ERRORS: Final = (*READ_ERRORS, 409, 500, 503)

_INTERACTION_ID: Final = in_path(
    "interaction_id", {"type": "string", "pattern": schemas.UUID_PATTERN}
)
_LIMIT: Final[Json] = {
    "name": "limit",
    "in": "query",
    "description": QueueRequest.model_fields["limit"].description,
    "schema": QueueRequest.model_json_schema()["properties"]["limit"],
}

LEARNING_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "POST",
        "/v1/interactions",
        "Keep an interaction that was answered elsewhere.",
        request="TrackRequest",
        status=201,
        response="TrackedResponse",
        errors=_POST_ERRORS,
    ),
    Operation(
        "GET",
        "/v1/interactions/{interaction_id}",
        "Show an interaction as it is now.",
        response="InteractionView",
        parameters=(_INTERACTION_ID,),
    ),
    Operation(
        "DELETE",
        "/v1/interactions/{interaction_id}",
        "Forget an interaction and everything derived from it.",
        response="Forgotten",
        parameters=(_INTERACTION_ID,),
    ),
    Operation(
        "POST",
        "/v1/interactions/{interaction_id}/outcome",
        "Say how an answer turned out.",
        request="OutcomeRequest",
        response="OutcomeReceipt",
        errors=_POST_ERRORS,
        parameters=(_INTERACTION_ID,),
    ),
    Operation(
        "POST",
        "/v1/training-data",
        "Write the training data.",
        request="TrainingDataRequest",
        body_required=False,
        response="DatasetReport",
        errors=_WRITE_ERRORS,
    ),
    Operation(
        "POST",
        "/v1/patterns/extract",
        "Work through the extraction queue (operators).",
        request="ExtractRequest",
        body_required=False,
        response="ExtractionReport",
        errors=_WRITE_ERRORS,
    ),
    Operation(
        "GET",
        "/v1/patterns/queue",
        "Show the extraction queue.",
        response="QueueView",
        parameters=(_LIMIT,),
    ),
    Operation(
        "POST",
        "/v1/patterns/queue/replay",
        "Put dead letters back into the extraction queue.",
        request="ReplayRequest",
        body_required=False,
        response="ReplayedResponse",
        errors=_WRITE_ERRORS,
    ),
    Operation(
        "GET",
        "/v1/experiments",
        "Show every declared experiment and how its variants do.",
        response="ExperimentsResponse",
        errors=ERRORS,
    ),
    Operation(
        "POST",
        "/mcp",
        "One message of the Model Context Protocol (streamable HTTP, stateless).",
        request="McpMessage",
        response="McpAnswer",
        errors=_WRITE_ERRORS,
        extra={202: None},
    ),
)

OPERATIONS: Final = (
    *GATEWAY_OPERATIONS,
    *LEARNING_OPERATIONS,
    *VIEW_OPERATIONS,
    *SYSTEM_OPERATIONS,
    *DASHBOARD_OPERATIONS,
)
"""Every endpoint."""
