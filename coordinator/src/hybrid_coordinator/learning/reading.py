"""An interaction as it is now, wherever its parts are: on the way in the outbox, or in Qdrant.

Reads only, and knows whose an interaction is: what belongs to somebody else
is not found.
"""

from __future__ import annotations

import uuid

import orjson

from hybrid_coordinator.conversation import Caller, Json
from hybrid_coordinator.errors import NotFound
from hybrid_coordinator.knowledge import Knowledge
from hybrid_coordinator.knowledge.collections import InteractionHistory, read_record
from hybrid_coordinator.learning.outbox import Known, Outbox
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import InteractionView, Tracked
from hybrid_coordinator.settings import Collection

HISTORY = Collection.INTERACTION_HISTORY


def interaction_id_of(text: str) -> str:
    """The id in its canonical form; ``NotFound`` for what is no id at all."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise not_found(text) from None


def not_found(interaction_id: str) -> NotFound:
    """The error for an id that is nobody's, or somebody else's."""
    return NotFound(
        f"There is no interaction '{interaction_id[:64]}' here: send the id that "
        "'x-hybrid-interaction-id' or POST /v1/interactions gave.",
        field="interaction_id",
    )


class InteractionReader:
    """Finds interactions for those they belong to."""

    def __init__(self, outbox: Outbox, knowledge: Knowledge) -> None:
        self._outbox = outbox
        self._knowledge = knowledge

    async def view(self, interaction_id: str, caller: Caller) -> InteractionView:
        """The interaction with everything that was said of it.

        Raises:
            NotFound: unknown, forgotten, or somebody else's.
            StoreUnavailable: it is in Qdrant, which is away.
        """
        if await self._outbox.forgotten(interaction_id):
            raise not_found(interaction_id)
        pending = await self._outbox.pending_of(interaction_id)
        payload: Json | None = None
        for record in pending:
            if record.kind == "interaction":
                payload = {**orjson.loads(record.body), "caller": record.caller}
        if payload is None:
            payload = await self._stored(interaction_id)
        if payload is None or not _owns(caller, str(payload.get("caller", ""))):
            raise not_found(interaction_id)
        known = await self._outbox.known(interaction_id)
        if known is not None:
            payload |= _told(known.state)
        return InteractionView(interaction_id, payload, delivered=not pending)

    async def adoptable(self, interaction_id: str, caller: Caller) -> Known:
        """An interaction that only Qdrant knows: another coordinator's, or an old one.

        Raises:
            NotFound: unknown, forgotten, or somebody else's.
            StoreUnavailable: Qdrant is away, so nobody can tell.
        """
        if await self._outbox.forgotten(interaction_id):
            raise not_found(interaction_id)
        payload = await self._stored(interaction_id)
        if payload is None or not _owns(caller, str(payload.get("caller", ""))):
            raise not_found(interaction_id)
        item = read_record(HISTORY, payload).item
        assert isinstance(item, InteractionHistory)  # noqa: S101 - what that collection holds
        return Known.of(Tracked(interaction_id, str(payload.get("caller", "")), item))

    async def _stored(self, interaction_id: str) -> Json | None:
        store = await self._knowledge.opened()
        points = await store.get(HISTORY, [interaction_id])
        return dict(points[0].payload) if points else None


def _owns(caller: Caller, owner: str) -> bool:
    return caller.is_operator or caller.id == owner


def _told(state: OutcomeState) -> Json:
    effective = state.effective()
    return {
        "outcome": effective.outcome.value,
        "user_feedback": effective.user_feedback or 0,
        "feedback_given": effective.user_feedback is not None,
        "outcome_source": effective.source.value if effective.source is not None else "",
        "signals": dict(state.signals),
    }
