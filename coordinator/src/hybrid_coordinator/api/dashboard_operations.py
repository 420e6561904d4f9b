"""The dashboard's endpoints as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Final

from hybrid_coordinator.api.operations import Operation
from hybrid_coordinator.conversation import Json
from hybrid_coordinator.reporting.figures import Range

_RANGE: Final[Json] = {
    "name": "range",
    "in": "query",
    "description": "How far back the figures go.",
    "schema": {"type": "string", "enum": [span.value for span in Range], "default": "24h"},
}

DASHBOARD_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "GET",
        "/v1/dashboard",
        "Show what the dashboard shows: service, collections, learning, context, savings.",
        response="DashboardData",
        parameters=(_RANGE,),
    ),
    Operation(
        "GET",
        "/v1/dashboard/events",
        "Send the same at once and at each interval, as server-sent events named `figures`.",
        text="text/event-stream",
        example='event: figures\ndata: {"version": 1, …}\n\n',
        parameters=(_RANGE,),
    ),
)
