"""The errors that only the edge itself has: a defect, the end of the process, wrong keys."""

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


class TooManyLogins(HybridError):
    """Wrong keys were tried too often; ``retry_after`` says when to try again."""

    status = 429
    code = "too_many_logins"

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            "Wrong keys were tried too often: wait as long as Retry-After says, then log in with "
            "the right one.",
            retry_after=retry_after,
        )
