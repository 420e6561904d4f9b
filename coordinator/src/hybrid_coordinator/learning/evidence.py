"""How the items that were in prompts have done, counted from the interactions that used them.

Counts are derived, never incremented: each is the number of interactions in
interaction-history that fit, plus what the item's author gave (``seed``). So
an outcome that is delivered twice, or an interaction that is forgotten, leaves
no count that is wrong. Which status follows from them is in ``patterns``; what
they mean for a search is in ``knowledge.retrieval``.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from pydantic import ValidationError

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.knowledge import SHARED, Knowledge, KnowledgeStore
from hybrid_coordinator.knowledge.collections import content_hash, read_record
from hybrid_coordinator.knowledge.items import (
    BestPractice,
    ErrorSolution,
    SkillsPattern,
    UsedItem,
)
from hybrid_coordinator.knowledge.store import Filter, StoredPoint
from hybrid_coordinator.learning.records import LearnedRef, Outcome
from hybrid_coordinator.settings import Collection

USED: Final = (
    Collection.SKILLS_PATTERNS,
    Collection.ERROR_SOLUTIONS,
    Collection.BEST_PRACTICES,
    Collection.CODEBASE_CONTEXT,
)
"""The collections whose items get into prompts and have a record."""

StatusRefresh: TypeAlias = Callable[[LearnedRef], Awaitable[object]]
"""Sets an item's status from what is stored; an item that is gone is passed over."""

_HISTORY: Final = Collection.INTERACTION_HISTORY

log = logging.getLogger(__name__)


async def _no_status(_: LearnedRef) -> None:
    """Leave the status as it is."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Interactions that used an item, and those it was taken from that turned out well.

    ``sources``: distinct ones that are not among the successes already.
    """

    accesses: int = 0
    successes: int = 0
    partials: int = 0
    failures: int = 0
    sources: int = 0


class Evidence:
    """Keeps the records of stored items in step with interaction-history.

    ``status`` is told of each item whose record was looked at. ``trusted_after``:
    successes that verify an error's solution. ``now`` gives epoch seconds.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        status: StatusRefresh = _no_status,
        *,
        trusted_after: int = 2,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._knowledge = knowledge
        self._status = status
        self._trusted_after = trusted_after
        self._now = now
        # What is counted later must be written later.
        self._one_at_a_time = asyncio.Lock()

    async def refresh(
        self,
        ids: Sequence[str],
        *,
        accessed: Mapping[str, float] = MappingProxyType({}),
        succeeded: float = 0.0,
    ) -> list[LearnedRef]:
        """Count anew for the items of these ids, in whatever collections; returns what changed.

        ``accessed``: by id, epoch seconds of a use; ``succeeded``: of one of
        them all that turned out well, where there was one. What is no id of a
        stored item is passed over. A repeat changes nothing. Raises
        ``StoreUnavailable``.
        """
        wanted = sorted(set(_uuids(ids)))
        if not wanted:
            return []
        # A clock that was set back later leaves no time that is still to come.
        now = self._now()
        succeeded = min(succeeded, now)
        looked_at: dict[LearnedRef, bool] = {}
        async with self._one_at_a_time:
            store = await self._knowledge.opened()
            for collection in USED:
                for point in await store.get(collection, wanted):
                    ref = LearnedRef(collection, point.id)
                    looked_at[ref] = await self._recount(
                        store, ref, point, min(accessed.get(point.id, 0.0), now), succeeded
                    )
        # Of each, changed or not: an earlier try may have got no further than the counts.
        for ref in looked_at:
            await self._status(ref)
        return [ref for ref, changed in looked_at.items() if changed]

    async def taught_by(self, interaction_id: str) -> list[str]:
        """The ids of the items that an interaction was a source of."""
        store = await self._knowledge.opened()
        where = Filter(any_of={"source_interactions": (interaction_id,)})
        pages = await asyncio.gather(*(store.scroll(collection, where) for collection in USED))
        return [point.id for page in pages for point in page.points]

    async def _recount(
        self,
        store: KnowledgeStore,
        ref: LearnedRef,
        point: StoredPoint,
        accessed: float,
        succeeded: float,
    ) -> bool:
        """Bring one item's record up to date; whether it was not."""
        try:
            record = read_record(ref.collection, point.payload)
        except ValidationError:
            log.warning("an item cannot be read and keeps its record", extra={"item_id": ref.id})
            return False
        item = record.item
        if not isinstance(item, UsedItem):
            return False
        counts = await _count(store, ref.id, item, record.provenance.caller)
        updated = self._updated(item, counts, accessed, succeeded)
        payload = {
            name: value
            for name, value in updated.model_dump(mode="json").items()
            if point.payload.get(name) != value and name in _WRITTEN
        }
        if not payload:
            return False
        shown = updated.text_for_prompt()
        if shown != item.text_for_prompt():
            tokens = await asyncio.to_thread(self._knowledge.embedder.count_tokens, shown)
            payload |= {"content_hash": content_hash(shown), "tokens": tokens}
        return bool(await self._knowledge.amend(ref.collection, [ref.id], payload))

    def _updated(
        self, item: UsedItem, counts: Counts, accessed: float, succeeded: float
    ) -> UsedItem:
        seed = seed_of(item)
        accesses = seed[0] + counts.accesses
        helped = seed[1] + counts.successes + counts.partials / 2
        known = seed[1] + seed[2] + counts.successes + counts.partials + counts.failures
        changes: Json = {
            "seed": seed,
            "access_count": accesses,
            "last_accessed": max(item.last_accessed, accessed) if accesses else 0.0,
            "outcome_count": known,
            # The mean of Beta(1, 1) after these outcomes; of none there is no rate.
            "success_rate": (1 + helped) / (2 + known) if known else None,
        }
        worked = seed[1] + counts.successes + counts.sources
        failed = seed[2] + counts.failures
        if isinstance(item, SkillsPattern):
            changes |= {"helpful_count": worked, "harmful_count": failed}
        elif isinstance(item, ErrorSolution):
            verified = worked >= self._trusted_after or item.solution_verified
            half = counts.partials / 2
            some = worked + failed + counts.partials
            changes |= {
                "success_count": worked,
                "failure_count": failed,
                "confidence_score": (1 + worked + half) / (2 + some) if some else None,
                "solution_verified": verified and failed <= worked,
                "last_used": max(item.last_used, accessed),
            }
        elif isinstance(item, BestPractice):
            changes |= {
                "endorsement_count": worked,
                "last_validated": max(item.last_validated, succeeded),
            }
        return item.model_copy(update=changes)


def seed_of(item: UsedItem) -> tuple[int, int, int]:
    """Accesses, successes and failures that an item's author gave.

    Noted when an item is counted for the first time: until then its counts are
    the author's. What was learned has none; its sources are counted apart.
    """
    if len(item.seed) == 3:
        return item.seed[0], item.seed[1], item.seed[2]
    if item.learned:
        return 0, 0, 0
    helped, harmed = item.evidence()
    return item.access_count, round(helped), round(harmed)


async def _count(store: KnowledgeStore, id_: str, item: UsedItem, owner: str) -> Counts:
    # Nobody else's interaction can have had a caller's own item in its prompt, so one that says
    # so is not believed.
    used: Mapping[str, tuple[str, ...]] = {"context_provided": (id_,)}
    if owner != SHARED:
        used = {**used, "caller": (owner,)}

    async def number(outcome: Outcome) -> int:
        return await store.count(_HISTORY, Filter(any_of={**used, "outcome": (outcome.value,)}))

    accesses, successes, partials, failures, sources = await asyncio.gather(
        store.count(_HISTORY, Filter(any_of=used)),
        number(Outcome.SUCCESS),
        number(Outcome.PARTIAL),
        number(Outcome.FAILURE),
        _sources(store, id_, item),
    )
    return Counts(accesses, successes, partials, failures, sources)


async def _sources(store: KnowledgeStore, id_: str, item: UsedItem) -> int:
    """Sources that have not turned out a failure since, and are no successful uses either."""
    ids = tuple(sorted(set(_uuids(item.source_interactions))))
    if not ids:
        return 0
    failed, counted = await asyncio.gather(
        store.count(_HISTORY, Filter(ids=ids, any_of={"outcome": (Outcome.FAILURE.value,)})),
        store.count(
            _HISTORY,
            Filter(
                ids=ids,
                any_of={"outcome": (Outcome.SUCCESS.value,), "context_provided": (id_,)},
            ),
        ),
    )
    return len(ids) - failed - counted


def _uuids(ids: Iterable[str]) -> list[str]:
    """Those that can be a point's id, in its one spelling; a client may have said anything."""
    found = []
    for id_ in ids:
        try:
            found.append(str(uuid.UUID(id_)))
        except ValueError:
            continue
    return found


_WRITTEN: Final = frozenset(
    {
        "seed",
        "access_count",
        "last_accessed",
        "outcome_count",
        "success_rate",
        "helpful_count",
        "harmful_count",
        "success_count",
        "failure_count",
        "confidence_score",
        "solution_verified",
        "last_used",
        "endorsement_count",
        "last_validated",
    }
)
"""The fields that are a record; the others are their author's."""
