"""Puts the gateway's answered requests on disk, then what they say of earlier answers.

One outbox, in order. How they get here without making anybody wait is in
``intake``; what is kept of a text in ``entries``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.learning.entries import TextScrubber, kept
from hybrid_coordinator.learning.intake import Intake, Observed
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.records import OutcomeSource, Tracked
from hybrid_coordinator.learning.signals import Signals
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


class Keeper:
    """Keeps interactions in one outbox, under one set of settings."""

    def __init__(
        self,
        outbox: Outbox,
        intake: Intake,
        scrubber: TextScrubber,
        signals: Signals,
        settings: LearningSettings,
        metrics: Metrics,
    ) -> None:
        self._outbox = outbox
        self._intake = intake
        self._scrubber = scrubber
        self._signals = signals
        self._settings = settings
        self._metrics = metrics

    async def keep(self, batch: Sequence[Observed]) -> None:
        """Keep answered requests. One that cannot be kept is counted, the others are."""
        tracked = await asyncio.to_thread(self._prepared, batch)
        accepted = await asyncio.gather(
            *(self.accept(one, "gateway") for one in tracked), return_exceptions=True
        )
        for result in accepted:
            if isinstance(result, HybridError):
                self._intake.lost(result.code, 1)
            elif isinstance(result, BaseException):
                raise result
        try:
            await self._note_signs(batch)
        except HybridError as error:
            # The interactions themselves are on disk.
            self._metrics.failures.labels(room="learning", kind=error.code).inc()
            log.warning("signs of outcomes were not kept: %s", error.message)

    async def accept(self, tracked: Tracked, source: str) -> None:
        """Keep one interaction; ``source`` is how it came. Raises as the outbox does."""
        if await self._outbox.accept_interaction(tracked):
            self._metrics.learning.interactions.labels(source=source).inc()

    def _prepared(self, batch: Sequence[Observed]) -> list[Tracked]:
        limit = self._settings.max_response_chars
        return [
            kept(raw, self._scrubber, limit)
            for observed in batch
            for raw in (observed.whole, *observed.rejected)
        ]

    async def _note_signs(self, batch: Sequence[Observed]) -> None:
        """What answered requests say of earlier answers, and of those turned down on the way."""
        escalation = self._settings.signals.escalation
        for observed in batch:
            for rejected in observed.rejected:
                if escalation.enable:
                    await self._outbox.accept_signal(
                        rejected.id, OutcomeSource.ESCALATION, -escalation.weight
                    )
            whole = observed.whole
            for earlier, source, weight in self._signals.observe(
                whole.caller,
                observed.key,
                observed.vector,
                whole.query,
                whole.id,
                whole.timestamp,
                began=whole.timestamp - whole.latency_ms / 1000,
            ):
                await self._outbox.accept_signal(earlier, source, weight)
