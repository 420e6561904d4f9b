"""What every backend offers to the fleet: answer, stream, say whether it is ready, close.

The fleet knows backends by this protocol alone. Retries, breakers and limits
of concurrency are the fleet's, not a backend's: each method here is one try.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from hybrid_coordinator.conversation import Completion, Delta, ModelCall
from hybrid_coordinator.settings import BackendSettings, ModelSettings


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a probe found.

    ``models`` are those it can be asked for, the best choice first; empty
    where it is not ready. ``detail`` is a sentence for the operator.
    ``asleep``: all that is missing is that a model is brought into memory.
    """

    ready: bool
    models: tuple[ModelSettings, ...]
    detail: str
    asleep: bool = False


class Backend(Protocol):
    """One server, or the embedded engine, that answers questions."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    @property
    def settings(self) -> BackendSettings:
        """Its settings."""

    async def complete(self, call: ModelCall) -> Completion:
        """The whole answer.

        Raises:
            BackendError: of the class that says what went wrong.
        """

    def stream(self, call: ModelCall) -> AsyncGenerator[Delta, None]:
        """The answer as it comes; nothing is sent before the first ``anext``.

        ``aclose()`` of the generator, or cancelling the task that awaits it,
        ends the request at the backend at once.

        Raises:
            BackendError: while iterating.
        """

    async def probe(self) -> Readiness:
        """Whether it could answer now: cheap, never a prompt, never an exception of its own."""

    async def count_tokens(self, call: ModelCall) -> int | None:
        """Tokens of the call's prompt by the backend's own count, or nothing where it has none.

        Raises:
            BackendError: the backend counts tokens, but did not this time.
        """

    async def aclose(self) -> None:
        """Close connections and free what was loaded. May be called twice."""
