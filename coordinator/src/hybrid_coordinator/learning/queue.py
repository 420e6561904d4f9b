"""The extraction queue: which interactions a local model is still to look at.

The interface and what both kinds share. ``queue_sqlite`` keeps it on this
machine, ``queue_redis`` for several coordinators; both pass one test suite.
What is done with an entry is in ``worker``. Losing a queue loses nothing: the
interaction itself says that it waits, and ``worker`` puts it in again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from hybrid_coordinator.learning.records import QueuedExtraction, QueueView
from hybrid_coordinator.telemetry.metrics import Metrics

MAX_WAITING: Final = 100_000
"""Entries that wait at most; what does not fit is put in later, see ``worker``."""
MAX_DEAD: Final = 10_000
"""Dead letters kept; beyond it the oldest is dropped (its interaction still says "dead")."""
MAX_SEEN: Final = 200_000
"""Interactions remembered as done. One that was forgotten and comes again is looked at
again, which adds nothing: its pattern has the same id."""
LOOK_AGAIN: Final = 30.0
"""Seconds after which ``wait`` looks by itself: another process may have put something in."""
REASON: Final = 300
"""Characters of a reason that are kept."""


class ExtractionQueue(Protocol):
    """Entries in the order they came. Every method raises ``StoreUnavailable``."""

    async def start(self) -> None:
        """Open it, making what is missing."""

    async def aclose(self) -> None:
        """Let go of it; what is claimed becomes claimable when its lease has run out."""

    async def add(self, entry: QueuedExtraction) -> bool:
        """Put an interaction in, once for ever; False where it was there, or it is full."""

    async def restore(self, entry: QueuedExtraction) -> bool:
        """Put in an interaction that is neither waiting, claimed nor dead; False where it is."""

    async def claim(self, lease: float) -> QueuedExtraction | None:
        """Take the next entry for ``lease`` seconds; None where nothing waits."""

    async def done(self, entry: QueuedExtraction) -> None:
        """It needs nothing more. As the next two, no effect on what is not claimed here."""

    async def release(self, entry: QueuedExtraction) -> None:
        """Put it back, at the end; it does not count as a try."""

    async def failed(self, entry: QueuedExtraction, reason: str, tries: int) -> bool:
        """Count a try and put it back, or, after so many, among the dead letters: then True."""

    async def dead(self, limit: int) -> list[QueuedExtraction]:
        """The dead letters, newest first."""

    async def waiting(self, limit: int) -> list[QueuedExtraction]:
        """What waits, the next first."""

    async def replay(self, ids: Sequence[str] | None) -> list[str]:
        """Let these dead letters (None: all) wait again with no tries; returns which there were."""

    async def remove(self, interaction_id: str) -> int:
        """Forget an interaction, in whatever state; returns how many entries there were."""

    async def depth(self) -> QueueView:
        """How much there is of each state, also shown as a metric."""

    async def wait(self) -> None:
        """Until there may be something to claim."""


def show(view: QueueView, metrics: Metrics) -> None:
    """Set the metric to what a view counts."""
    gauge = metrics.learning.extraction_queue
    gauge.labels("waiting").set(view.waiting)
    gauge.labels("claimed").set(view.claimed)
    gauge.labels("dead").set(view.dead)
