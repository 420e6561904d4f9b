"""Where patterns are kept: stored or merged, risen or retired, and unlearned.

One change at a time, so that what is read is still true when it is written.
Every change may be repeated with the same end: ids are made of what a pattern
was taken from, an interaction teaches once, and counts are looked up, never
kept here. What an item is made of is in ``pattern_items``, when its status
changes in ``lifecycle``, how its record is counted in ``evidence``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from pydantic import ValidationError

from hybrid_coordinator.conversation import Caller, Json
from hybrid_coordinator.errors import Forbidden, NotFound
from hybrid_coordinator.knowledge import SHARED, Knowledge, KnowledgeStore, NewItem
from hybrid_coordinator.knowledge.collections import Record, content_hash, read_record
from hybrid_coordinator.knowledge.items import (
    CodebaseContext,
    InteractionHistory,
    PatternStatus,
    UsedItem,
)
from hybrid_coordinator.knowledge.store import Filter, StoredPoint
from hybrid_coordinator.learning.evidence import USED
from hybrid_coordinator.learning.extraction_answer import Pattern
from hybrid_coordinator.learning.lifecycle import judged
from hybrid_coordinator.learning.pattern_items import (
    COLLECTION_OF,
    item_of,
    pattern_id,
    source_of,
    with_source,
    without_source,
)
from hybrid_coordinator.learning.records import LearnedRef
from hybrid_coordinator.learning.standing import standing_of
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.events import Event, PatternStatusChanged
from hybrid_coordinator.telemetry.metrics import Metrics

_HISTORY: Final = Collection.INTERACTION_HISTORY
_LIVING: Final = (PatternStatus.CANDIDATE.value, PatternStatus.TRUSTED.value)

log = logging.getLogger(__name__)


class Telemetry(Protocol):
    """Where events go."""

    def record(self, event: Event) -> None:
        """Take one event; never blocks and never raises."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """What became of a pattern. ``known``: that interaction had taught it before.

    ``gone``: the interaction was forgotten meanwhile, and nothing was stored.
    """

    result: Literal["stored", "merged", "known", "gone"]
    ref: LearnedRef | None = None


class PatternShelf:
    """The learned items of all collections. ``now`` gives epoch seconds."""

    def __init__(
        self,
        knowledge: Knowledge,
        settings: LearningSettings,
        metrics: Metrics,
        telemetry: Telemetry,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._knowledge = knowledge
        self._settings = settings
        self._metrics = metrics
        self._telemetry = telemetry
        self._now = now
        self._one_at_a_time = asyncio.Lock()

    async def store_or_merge(
        self,
        caller: str,
        pattern: Pattern,
        interaction_id: str,
        interaction: InteractionHistory,
    ) -> Shelved:
        """Keep a pattern: as an example of a known one that is near enough, else as a new one.

        Only the caller's own are near enough, and everybody's where sharing is
        on. Raises ``StoreUnavailable``, ``EmbeddingError``.
        """
        async with self._one_at_a_time:
            store = await self._knowledge.opened()
            # Looked up in here: whoever forgets it deletes it first and then unlearns.
            if not await store.get(_HISTORY, [interaction_id]):
                return Shelved("gone")
            taught = await self._taught_by(store, interaction_id)
            if taught is not None:
                return Shelved("known", taught)
            return await self._keep(caller, pattern, interaction_id, interaction)

    async def refresh(self, ref: LearnedRef) -> PatternStatus | None:
        """Give an item the status it has earned; None for one that is gone.

        Raises ``StoreUnavailable``.
        """
        async with self._one_at_a_time:
            store = await self._knowledge.opened()
            points = await store.get(ref.collection, [ref.id])
            record = _read(ref.collection, points[0]) if points else None
            if record is None or not isinstance(record.item, UsedItem):
                return None
            return await self._judge(store, ref, record, record.item)

    async def set_status(self, ref: LearnedRef, status: PatternStatus, caller: Caller) -> bool:
        """A person's word: retire an item, or take it back into use; whether that changed it.

        Raises:
            NotFound: there is none, or it is not the caller's to see.
            Forbidden: it is everybody's, and the caller is no operator.
            StoreUnavailable.
        """
        async with self._one_at_a_time:
            store = await self._knowledge.opened()
            points = await store.get(ref.collection, [ref.id])
            record = _read(ref.collection, points[0]) if points else None
            if record is None or not isinstance(record.item, UsedItem):
                raise pattern_not_found(ref)
            owner = record.provenance.caller
            if not caller.is_operator and owner != caller.id:
                if owner != SHARED:
                    raise pattern_not_found(ref)
                raise Forbidden(
                    "This pattern is everybody's: an operator may retire or restore it."
                )
            if record.item.status is status:
                return False
            restored = 0.0 if status is PatternStatus.RETIRED else self._now()
            changes: Json = {"status": status.value, "restored": restored}
            # What is in prompts changes both ways, so answers made before are not served again.
            await self._knowledge.amend(ref.collection, [ref.id], changes, announce=True)
            self._tell(ref, status, "by_hand")
            return True

    async def sweep(self) -> int:
        """Look at every learned item that is not retired; returns how many were.

        Raises ``StoreUnavailable``.
        """
        retired = 0
        where = Filter(any_of={"learned": (True,), "status": _LIVING})
        for collection in USED:
            async for point in self._all(collection, where):
                status = await self.refresh(LearnedRef(collection, point.id))
                retired += status is PatternStatus.RETIRED
        return retired

    async def unlearn(self, interaction_id: str) -> Mapping[str, int]:
        """Remove everything taken from an interaction; returns how many items changed, by place.

        An item made of its words goes. Others that taught the same are looked
        at again (``worker`` finds them by their state), so what they taught
        comes back in their own words. Raises ``StoreUnavailable``, ``EmbeddingError``.
        """
        changed: Counter[str] = Counter()
        where = Filter(any_of={"source_interactions": (interaction_id,)})
        async with self._one_at_a_time:
            for collection in USED:
                async for point in self._all(collection, where):
                    await self._take_out(collection, point, interaction_id)
                    changed[collection.value] += 1
        return changed

    # One at a time.

    async def _taught_by(self, store: KnowledgeStore, interaction_id: str) -> LearnedRef | None:
        where = Filter(any_of={"source_interactions": (interaction_id,)})
        for collection in USED:
            page = await store.scroll(collection, where, limit=1)
            if page.points:
                return LearnedRef(collection, page.points[0].id)
        return None

    async def _keep(
        self,
        caller: str,
        pattern: Pattern,
        interaction_id: str,
        interaction: InteractionHistory,
    ) -> Shelved:
        collection = COLLECTION_OF[pattern.kind]
        now = self._now()
        item = item_of(pattern, interaction_id, interaction, now)
        (vector,) = await self._knowledge.embedder.embed_documents([item.text_for_embedding()])
        owners = (caller, SHARED) if self._settings.share else (caller,)
        near = await self._knowledge.similar(
            collection,
            "",
            Filter(any_of={"caller": owners}, none_of={"status": (PatternStatus.RETIRED.value,)}),
            1,
            vector=vector,
        )
        if near and near[0][1] >= self._settings.patterns.merge_similarity:
            ref = LearnedRef(collection, near[0][0].id)
            record = _read(collection, near[0][0])
            if record is not None and isinstance(record.item, UsedItem):
                changes = with_source(record.item, interaction_id, interaction, now)
                await self._append(ref, record.item, changes)
                return Shelved("merged", ref)
        ref = LearnedRef(collection, pattern_id(collection, caller, interaction_id, pattern.kind))
        new = NewItem(
            item.model_dump(mode="json"),
            source=source_of(interaction_id),
            id=ref.id,
            vector=[float(x) for x in vector],
            created=now,
        )
        await self._knowledge.add(collection, [new], caller, announce=False)
        self._tell(ref, PatternStatus.CANDIDATE, "learned")
        return Shelved("stored", ref)

    async def _append(self, ref: LearnedRef, item: UsedItem, changes: Json) -> None:
        """Write what a merge appends. The vector stays: the item is what it was."""
        shown = item.model_copy(update=changes).text_for_prompt()
        tokens = await asyncio.to_thread(self._knowledge.embedder.count_tokens, shown)
        changes = {**changes, "content_hash": content_hash(shown), "tokens": tokens}
        await self._knowledge.amend(ref.collection, [ref.id], changes)

    async def _judge(
        self, store: KnowledgeStore, ref: LearnedRef, record: Record, item: UsedItem
    ) -> PatternStatus:
        settings = self._settings.patterns
        standing = await standing_of(store, ref.id, record, item, settings, self._now())
        status, why = judged(
            item.status,
            standing,
            settings,
            learned=item.learned,
            # A file's text is a fact: what it says does not get wrong by a bad answer.
            may_retire=item.learned or not isinstance(item, CodebaseContext),
        )
        changes: Json = {}
        if status is not item.status:
            changes["status"] = status.value
        if (
            self._settings.share
            and item.learned
            and status is PatternStatus.TRUSTED
            and record.provenance.caller != SHARED
        ):
            changes["caller"] = SHARED
        if changes:
            retired = status is PatternStatus.RETIRED
            await self._knowledge.amend(ref.collection, [ref.id], changes, announce=retired)
        if why:
            self._tell(ref, status, why)
        return status

    async def _take_out(
        self, collection: Collection, point: StoredPoint, interaction_id: str
    ) -> None:
        record = _read(collection, point)
        owner = str(point.payload.get("caller", SHARED))
        if record is None or not isinstance(record.item, UsedItem):
            # It cannot be read, and it says that it is of this interaction.
            await self._knowledge.delete(collection, [point.id], owner)
            return
        left = without_source(record.item, interaction_id)
        origin = record.provenance
        if record.item.learned and (
            not left.source_interactions or origin.source == source_of(interaction_id)
        ):
            # Those first: after the item is gone nothing else says which they were.
            await self._knowledge.amend(
                _HISTORY, list(left.source_interactions), {"extraction": "queued"}
            )
            await self._knowledge.delete(collection, [point.id], owner)
            return
        # Stored anew as a whole: its words are in the index of words too.
        again = NewItem(
            left.model_dump(mode="json"),
            source=origin.source,
            source_hash=origin.source_hash,
            id=point.id,
            created=origin.created,
        )
        await self._knowledge.add(collection, [again], owner)

    async def _all(self, collection: Collection, where: Filter) -> AsyncIterator[StoredPoint]:
        """Every point that fits, a page at a time; what is changed meanwhile may be left out."""
        store = await self._knowledge.opened()
        after: str | None = None
        while True:
            page = await store.scroll(collection, where, after=after)
            for point in page.points:
                yield point
            after = page.next
            if after is None:
                return

    def _tell(self, ref: LearnedRef, status: PatternStatus, why: str) -> None:
        self._metrics.learning.patterns.labels(
            collection=ref.collection.value, status=status.value
        ).inc()
        self._telemetry.record(
            PatternStatusChanged(
                timestamp=self._now(),
                collection=ref.collection.value,
                item_id=ref.id,
                status=status.value,
                why=why,
            )
        )


def pattern_not_found(ref: LearnedRef) -> NotFound:
    """The error for an id that is nobody's, or somebody else's."""
    return NotFound(
        f"There is no pattern '{ref.id[:64]}' in '{ref.collection}': GET /v1/patterns lists them.",
        field="id",
    )


def _read(collection: Collection, point: StoredPoint) -> Record | None:
    try:
        return read_record(collection, point.payload)
    except ValidationError:
        log.warning("an item cannot be read and is left as it is", extra={"item_id": point.id})
        return None
