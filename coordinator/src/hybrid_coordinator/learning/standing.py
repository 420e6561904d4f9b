"""What is known of a stored item, counted from the interactions that used or taught it.

Only looks; the rules are in ``lifecycle``. The number of look-ups is bounded
whatever the number of interactions, and for most items, which nobody called
harmful, it is two or three.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Final

from hybrid_coordinator.knowledge import SHARED, KnowledgeStore
from hybrid_coordinator.knowledge.collections import Record
from hybrid_coordinator.knowledge.items import UsedItem
from hybrid_coordinator.knowledge.store import Filter, StoredPoint
from hybrid_coordinator.learning.evidence import seed_of
from hybrid_coordinator.learning.lifecycle import DAY, Standing, weight, windows
from hybrid_coordinator.learning.records import Outcome
from hybrid_coordinator.learning_settings import PatternSettings
from hybrid_coordinator.settings import Collection

_HISTORY: Final = Collection.INTERACTION_HISTORY


async def standing_of(
    store: KnowledgeStore,
    id_: str,
    record: Record,
    item: UsedItem,
    settings: PatternSettings,
    now: float,
) -> Standing:
    """An item's standing at ``now``, epoch seconds. Raises ``StoreUnavailable``."""
    uses = _Uses(store, id_, record.provenance.caller)
    sources = await store.get(_HISTORY, _ids(item.source_interactions))
    good = [source for source in sources if source.payload.get("outcome") != Outcome.FAILURE]
    # What a forgotten interaction taught is taken out of an item, so each source is there.
    counted_twice = sum(_succeeded_with(source, id_) for source in good)
    successes = await uses.count(Outcome.SUCCESS)
    restored = item.restored
    failures = await uses.count(Outcome.FAILURE, restored or None)
    half_life = settings.half_life_days
    _, helped, harmed = seed_of(item)
    if restored:
        harmed = 0
    helpful = helped + sum(
        weight(now - _time(source), half_life)
        for source in good
        if not _succeeded_with(source, id_)
    )
    # A source that turned out a failure after all speaks against what it taught.
    harmful = harmed + sum(
        weight(now - _time(source), half_life)
        for source in sources
        if source.payload.get("outcome") == Outcome.FAILURE
        and source.payload.get("context_first") != id_
        and (not restored or _time(source) >= restored)
    )
    if failures:
        for window in windows(now, half_life):
            helpful += window.weight * await uses.count(Outcome.SUCCESS, window.start, window.end)
            # A person who took it back into use has seen the failures before that.
            if not restored or window.end is None or window.end > restored:
                start = max(window.start or 0.0, restored) if restored else window.start
                failed = await uses.count(Outcome.FAILURE, start, window.end)
                harmful += window.weight * failed
    else:
        helpful += successes
    since = now - settings.candidate_days * DAY
    recent = (
        max(record.provenance.created, restored) >= since
        or any(_time(source) >= since for source in good)
        or (successes > 0 and await uses.count(Outcome.SUCCESS, since) > 0)
    )
    return Standing(len(good) - counted_twice + successes, helpful, harmful, recent)


class _Uses:
    """Counts the interactions that had an item in their prompt."""

    def __init__(self, store: KnowledgeStore, id_: str, owner: str) -> None:
        self._store = store
        # Nobody else can have had a caller's own item in a prompt: one that says so is not heard.
        self._used: Mapping[str, tuple[str, ...]] = {"context_provided": (id_,)}
        self._relied: Mapping[str, tuple[str, ...]] = {"context_first": (id_,)}
        if owner != SHARED:
            self._used = {**self._used, "caller": (owner,)}
            self._relied = {**self._relied, "caller": (owner,)}

    async def count(
        self, outcome: Outcome, start: float | None = None, end: float | None = None
    ) -> int:
        # All items of a prompt share in a success. For a failure the one answers that was taken
        # for the most relevant: blamed alike, the right ones would go with the wrong.
        used = self._relied if outcome is Outcome.FAILURE else self._used
        return await self._store.count(
            _HISTORY,
            Filter(
                any_of={**used, "outcome": (outcome.value,)},
                at_least={} if start is None else {"timestamp": start},
                below={} if end is None else {"timestamp": end},
            ),
        )


def _succeeded_with(source: StoredPoint, id_: str) -> bool:
    """Whether a source had the item in its prompt and turned out well: then it is a use too."""
    payload = source.payload
    return payload.get("outcome") == Outcome.SUCCESS and id_ in payload.get("context_provided", ())


def _time(point: StoredPoint) -> float:
    value = point.payload.get("timestamp")
    return float(value) if isinstance(value, int | float) else 0.0


def _ids(names: Iterable[str]) -> list[str]:
    """Those that can be a point's id; an author may have written anything."""
    found = []
    for name in names:
        try:
            found.append(str(uuid.UUID(name)))
        except ValueError:
            continue
    return found
