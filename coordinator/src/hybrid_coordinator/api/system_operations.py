"""The endpoints about the whole system as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Final

from hybrid_coordinator.api.operations import Operation

SYSTEM_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "GET",
        "/v1/system/health",
        "Check every part by its own probe (operators).",
        response="Report",
    ),
    Operation(
        "GET",
        "/v1/system/analysis",
        "Compare the settings with their use, and propose changes (operators).",
        response="Analysis",
    ),
)
