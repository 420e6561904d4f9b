"""What of learning lives as long as the process, whatever settings are read again.

The outbox, the extraction queue, the way into them, and the key of the
placeholders. What is done with them is in ``service``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hybrid_coordinator.learning.activity import Activity
from hybrid_coordinator.learning.intake import Intake
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.queue import ExtractionQueue
from hybrid_coordinator.learning.queue_redis import RedisQueue
from hybrid_coordinator.learning.queue_sqlite import SqliteQueue
from hybrid_coordinator.scrubbing import load_key
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class LearningRooms:
    """The rooms, open."""

    outbox: Outbox
    queue: ExtractionQueue
    intake: Intake
    activity: Activity
    scrub_key: bytes
    state: Path
    """The state directory: data sets are below it, and notes of what is being forgotten."""


@asynccontextmanager
async def opened_rooms(settings: Settings, metrics: Metrics) -> AsyncIterator[LearningRooms]:
    """Open the outbox and the queue; closed again in the reverse order.

    Raises:
        StoreUnavailable: the outbox cannot be opened; the sentence names the file.
    """
    state = settings.state_directory
    async with AsyncExitStack() as stack:
        outbox = Outbox(
            state / "outbox.sqlite",
            settings.learning.outbox,
            metrics,
            signals=settings.learning.signals,
        )
        await outbox.start()
        stack.push_async_callback(outbox.aclose)
        queue = _queue(settings, metrics)
        await queue.start()
        stack.push_async_callback(queue.aclose)
        yield LearningRooms(
            outbox=outbox,
            queue=queue,
            intake=Intake(metrics),
            activity=Activity(),
            scrub_key=load_key(state / "scrub.key"),
            state=state,
        )


def _queue(settings: Settings, metrics: Metrics) -> ExtractionQueue:
    if settings.redis.url is None:
        return SqliteQueue(settings.state_directory / "extraction.sqlite", metrics)
    return RedisQueue(settings.redis, metrics)
