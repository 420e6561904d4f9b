"""The lists and the dashboard's page as the OpenAPI document shows them; see ``operations``."""

from __future__ import annotations

from typing import Final, get_args

from hybrid_coordinator.api import schemas
from hybrid_coordinator.api.operations import READ_ERRORS, Operation, in_path
from hybrid_coordinator.api.schemas import Body
from hybrid_coordinator.api.view_schemas import (
    InteractionsRequest,
    PatternCollection,
    PatternsRequest,
)
from hybrid_coordinator.conversation import Json

_LIST_ERRORS: Final = (400, 401, 403, 404, 405, 422, 500, 503)
_WRITE_ERRORS: Final = (*READ_ERRORS, 500, 503)
_OPEN_ERRORS: Final = (400, 401, 403, 405, 408, 413, 415, 422, 429, 500)


def _query(model: type[Body]) -> tuple[Json, ...]:
    described = model.model_json_schema()
    return tuple(
        {
            "name": name,
            "in": "query",
            "description": field.description,
            "schema": _without_null(described["properties"][name]),
        }
        for name, field in model.model_fields.items()
    )


def _without_null(schema: Json) -> Json:
    """A parameter that is left out is not null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if kinds else schema


_UUID: Final[Json] = {"type": "string", "pattern": schemas.UUID_PATTERN}

VIEW_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "GET",
        "/v1/interactions",
        "List interactions, newest first or nearest to a text.",
        response="InteractionPage",
        errors=_LIST_ERRORS,
        parameters=_query(InteractionsRequest),
    ),
    Operation(
        "GET",
        "/v1/interactions/{interaction_id}/steps",
        "Show an interaction's whole way: what is stored of it, its events, its context.",
        response="InteractionSteps",
        errors=_LIST_ERRORS,
        parameters=(in_path("interaction_id", _UUID),),
    ),
    Operation(
        "GET",
        "/v1/patterns",
        "List learned patterns, newest first or nearest to a text.",
        response="PatternPage",
        errors=_LIST_ERRORS,
        parameters=_query(PatternsRequest),
    ),
    Operation(
        "POST",
        "/v1/patterns/{collection}/{id}/status",
        "Retire a pattern, or take it back into use.",
        request="PatternStatusRequest",
        response="PatternChanged",
        errors=_WRITE_ERRORS,
        parameters=(
            in_path("collection", {"type": "string", "enum": list(get_args(PatternCollection))}),
            in_path("id", _UUID),
        ),
    ),
    Operation(
        "GET",
        "/dashboard/",
        "The dashboard: a page that asks the other endpoints.",
        text="text/html",
        errors=(400, 403, 405, 500),
        open=True,
    ),
    Operation(
        "GET",
        "/dashboard/session",
        "Say whether the page's user is logged in.",
        response="SessionView",
        errors=(400, 403, 405, 500),
        open=True,
    ),
    Operation(
        "POST",
        "/dashboard/session",
        "Log in with an API key; the answer sets a cookie.",
        request="LoginRequest",
        response="SessionView",
        errors=_OPEN_ERRORS,
        open=True,
    ),
    Operation(
        "DELETE",
        "/dashboard/session",
        "Log out.",
        response="SessionView",
        errors=(400, 401, 403, 405, 500),
        open=True,
    ),
)
