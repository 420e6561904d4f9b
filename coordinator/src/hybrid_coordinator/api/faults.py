"""The two errors that only the edge itself has: a defect, and the end of the process."""

from __future__ import annotations

from hybrid_coordinator.errors import HybridError


class InternalError(HybridError):
    """A defect of this program; its details are in the log under the interaction id."""

    def __init__(self) -> None:
        super().__init__(
            "The coordinator failed on this request: look in its log for the id in the header "
            "x-hybrid-interaction-id."
        )


class ShuttingDown(HybridError):
    """The server stops and the grace period is over."""

    status = 503
    code = "shutting_down"

    def __init__(self) -> None:
        super().__init__("The coordinator is stopping: ask again in a moment.", retry_after=5)
