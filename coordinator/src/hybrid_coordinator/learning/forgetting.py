"""Removes an interaction and everything that was made of it, everywhere, and what is too old.

What goes: its records in the outbox, itself and its rejected local answers in
interaction-history, its place in the extraction queue, what was learned from
it alone, its share in the records of the items it used, its lines in the
training data, its cached answer, its telemetry. First of all its id is
refused for the future, so nothing that is still under way brings it back.
A note on disk (``forgetting_notes``) is kept from the first step to the last:
whatever happens in between, ``finish`` does the rest. Every step may be done
twice.

Not here: how each place removes it; and backups, which nobody can reach from
here. Deleted items leave the files of the embedded store by ``purge``; a
Qdrant server drops them when it next optimises their segment.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.errors import HybridError, NotFound, StoreUnavailable
from hybrid_coordinator.knowledge.store import Filter, KnowledgeStore, StoredPoint
from hybrid_coordinator.learning.dataset_run import in_thread
from hybrid_coordinator.learning.forgetting_notes import Entry, Note, Notes
from hybrid_coordinator.learning.forgetting_places import (
    Deliveries,
    ForgetfulCache,
    ForgetfulDataset,
    ForgetfulKnowledge,
    ForgetfulOutbox,
    ForgetfulQueue,
    ForgetfulTelemetry,
    Purges,
    Recounts,
    Unlearns,
)
from hybrid_coordinator.learning.records import Forgotten
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics

_HISTORY: Final = Collection.INTERACTION_HISTORY

MOST_EXPIRED: Final = 4096
"""Interactions that one ``expire`` forgets at most."""

PAUSE: Final = 30.0
"""Seconds in which more may come before files are written anew; that takes seconds to minutes."""

_TOGETHER: Final = 128
"""Interactions forgotten by one note, so that files are rewritten once for all of them."""

_REJECTED: Final = 8
"""Rejected answers of one interaction that are looked for; a request tries fewer backends."""

_RETRY: Final = 60.0
"""Seconds until what could not be removed is tried again, unless something new is to go."""

_log = logging.getLogger(__name__)


class Forgetting:
    """Forgets on demand and by age.

    ``notes`` is a folder of its own for what is under way, ``pause`` seconds
    between being asked and writing the embedded store's files anew.
    """

    def __init__(
        self,
        *,
        notes: Path,
        outbox: ForgetfulOutbox,
        deliveries: Deliveries,
        knowledge: ForgetfulKnowledge,
        queue: ForgetfulQueue,
        shelf: Unlearns,
        evidence: Recounts,
        dataset: ForgetfulDataset,
        cache: ForgetfulCache,
        telemetry: ForgetfulTelemetry,
        metrics: Metrics,
        pause: float = PAUSE,
    ) -> None:
        self._notes = Notes(notes)
        self._outbox = outbox
        self._deliveries = deliveries
        self._knowledge = knowledge
        self._queue = queue
        self._shelf = shelf
        self._evidence = evidence
        self._dataset = dataset
        self._cache = cache
        self._telemetry = telemetry
        self._metrics = metrics
        self._pause = pause
        self._turn = asyncio.Lock()
        self._purging = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._failing = False
        self._deletions: Counter[Collection] = Counter()

    async def forget(self, interaction_id: str, caller: Caller) -> Forgotten:
        """Forget one interaction; the answer counts what was removed, by place.

        Raises ``NotFound`` for an id that is unknown, forgotten before, or
        another caller's, and ``StoreUnavailable`` where a place is away: then
        it is noted, refused from now on, and removed as soon as it can be.
        """
        async with self._turn:
            note = await self._note_of(interaction_id, caller)
            try:
                removed = await self._remove(note)
            except (HybridError, OSError) as error:
                raise StoreUnavailable(
                    "It is noted that this interaction is to be forgotten; what is left of it is "
                    f"removed as soon as it can be. At present: {error}",
                    retry_after=_RETRY,
                ) from error
            finally:
                self._wanted.set()
        id_ = str(uuid.UUID(interaction_id))
        return Forgotten(id_, {str(place): count for place, count in removed.items()})

    async def expire(self, before: float, limit: int = MOST_EXPIRED) -> int:
        """Forget interactions from before that time (epoch seconds), at most ``limit``; how many.

        Those without a time count from when they were stored. Raises
        ``StoreUnavailable``; what was begun is noted and finished later.
        """
        expired = 0
        store = await self._knowledge.opened()
        for where in (
            Filter(at_least={"timestamp": 1.0}, below={"timestamp": before}),
            Filter(below={"timestamp": 1.0, "created": before}),
        ):
            while expired < limit:
                # In between, somebody who asks for one to be forgotten gets a turn.
                async with self._turn:
                    page = await store.scroll(
                        _HISTORY, where, limit=min(_TOGETHER, limit - expired)
                    )
                    if not page.points:
                        break
                    entries = tuple(Entry(id=p.id, caller=_caller(p)) for p in page.points)
                    note = Note(cause="age", entries=entries)
                    await self._put(note)
                    removed = await self._remove(note)
                    expired += len(entries)
                if not removed[_HISTORY]:
                    break  # nobody's: it cannot be deleted by its owner
        if expired:
            self._wanted.set()
            _log.info("Interactions were forgotten by age.", extra={"count": expired})
        return expired

    async def finish(self) -> int:
        """Do what earlier removals left undone; how many interactions that were.

        After it nothing that was deleted is in the embedded store's files.
        Raises ``StoreUnavailable`` where a place is still away.
        """
        finished = 0
        async with self._turn:
            for note in await in_thread(self._notes.all):
                await self._remove(note)
                finished += len(note.entries)
        await self._purge()
        return finished

    def wake(self) -> None:
        """Try again now: what was away may be back."""
        self._wanted.set()

    async def run(self) -> None:
        """Finish what is left from before, and whatever is left from now on; until cancelled.

        A removal is done when ``forget`` returns; what is left to do here is
        what failed, and the files of the embedded store.
        """
        while True:
            self._wanted.clear()
            try:
                await self.finish()
                self._failing = False
            except (HybridError, OSError) as error:
                self._metrics.failures.labels(room="learning", kind=type(error).__name__).inc()
                if not self._failing:
                    self._failing = True
                    _log.error("What was to be forgotten is not gone yet: %s", error)
            await self._next()
            await asyncio.sleep(self._pause)

    async def _next(self) -> None:
        """Wait for something to do, or where something is left for some time."""
        try:
            async with asyncio.timeout(_RETRY if self._failing else None):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _note_of(self, interaction_id: str, caller: Caller) -> Note:
        """A note for an interaction that is there and the caller's, on disk."""
        unknown = NotFound(
            f"There is no interaction '{interaction_id[:64]}' here: send the id that "
            "'x-hybrid-interaction-id' or POST /v1/interactions gave.",
            field="interaction_id",
        )
        try:
            id_ = str(uuid.UUID(interaction_id))
        except ValueError:
            raise unknown from None
        begun = await in_thread(partial(self._notes.find, id_))
        if begun is not None:
            note, entry = begun
            owner: str | None = entry.caller
        else:
            owner = await self._owner(id_)
            note = Note(cause="asked", entries=(Entry(id=id_, caller=owner or ""),))
        if owner is None or not (caller.is_operator or caller.id == owner):
            raise unknown
        if begun is None:
            await self._put(note)
        return note

    async def _owner(self, id_: str) -> str | None:
        known = await self._outbox.known(id_)
        if known is not None:
            return known.caller
        store = await self._knowledge.opened()
        points = await store.get(_HISTORY, [id_])
        return _caller(points[0]) if points else None

    async def _remove(self, note: Note) -> Counter[str]:
        """Every step of a note, from wherever it was left; then it is struck out."""
        removed: Counter[str] = Counter()
        if note.gathered:
            # It was begun before, and nobody knows how far it came.
            await self._want_purge(list(Collection))
        async with self._deliveries.paused():
            for entry in note.entries:
                removed["outbox"] += await self._outbox.forget(entry.id)
            store = await self._knowledge.opened()
            points = await store.get(_HISTORY, [entry.id for entry in note.entries])
            if not note.gathered:
                note = await self._gather(note, store, points)
                await self._put(note)
            for entry in note.entries:
                for child in entry.children:
                    removed["outbox"] += await self._outbox.forget(child)
            removed["cache"] += await self._evict(note, points)
            await self._want_purge([_HISTORY])
            removed[_HISTORY] += await self._delete(note)
        ids = note.ids
        for id_ in ids:
            removed["queue"] += await self._queue.remove(id_)
            unlearned = await self._shelf.unlearn(id_)
            removed["patterns"] += sum(unlearned.values())
            await self._want_purge([Collection(name) for name, n in unlearned.items() if n])
        removed["evidence"] += len(await self._evidence.refresh(note.context))
        removed["dataset"] += await self._dataset.without(*ids)
        removed["telemetry"] += await in_thread(partial(self._telemetry.erase, ids))
        await in_thread(partial(self._notes.strike, note))
        self._metrics.learning.forgotten.labels(cause=note.cause).inc(len(note.entries))
        return removed

    async def _gather(
        self, note: Note, store: KnowledgeStore, points: Sequence[StoredPoint]
    ) -> Note:
        """The note with what only the interactions themselves can say."""
        context = {str(id_) for point in points for id_ in _listed(point, "context_provided")}
        children: dict[str, set[str]] = {entry.id: set() for entry in note.entries}
        after: str | None = None
        where = Filter(any_of={"parent": tuple(children)})
        while True:
            page = await store.scroll(_HISTORY, where, after=after)
            for child in page.points:
                children[str(child.payload["parent"])].add(child.id)
                context.update(str(id_) for id_ in _listed(child, "context_provided"))
            after = page.next
            if after is None:
                break
        if note.cause == "asked":
            for entry in note.entries:
                children[entry.id].update(await self._undelivered(entry.id))
        return note.model_copy(
            update={
                "gathered": True,
                "context": tuple(sorted(context)),
                "entries": tuple(
                    entry.model_copy(update={"children": tuple(sorted(children[entry.id]))})
                    for entry in note.entries
                ),
            }
        )

    async def _undelivered(self, id_: str) -> list[str]:
        """Rejected answers of an interaction that only the outbox knows."""
        names = [str(uuid.uuid5(uuid.UUID(id_), f"rejected:{n}")) for n in range(_REJECTED)]
        return [name for name in names if await self._outbox.known(name) is not None]

    async def _evict(self, note: Note, points: Sequence[StoredPoint]) -> int:
        evicted = 0
        for entry in note.entries:
            evicted += await self._cache.invalidate(interaction_id=entry.id)
        if note.cause == "asked":
            # The cache forgets which interaction an answer was of before it forgets the answer.
            for point in points:
                question = str(point.payload.get("query", ""))
                evicted += await self._cache.invalidate(question=question, caller=_caller(point))
        return evicted

    async def _delete(self, note: Note) -> int:
        owned: dict[str, list[str]] = {}
        for entry in note.entries:
            owned.setdefault(entry.caller, []).extend(entry.ids)
        deleted = 0
        for caller, ids in owned.items():
            deleted += await self._knowledge.delete(_HISTORY, ids, caller)
        return deleted

    async def _want_purge(self, collections: Sequence[Collection]) -> None:
        if collections:
            self._deletions.update(collections)
            await in_thread(partial(self._notes.want_purge, collections))

    async def _purge(self) -> None:
        """Drop what was deleted from the files of a store that keeps it."""
        async with self._purging:
            for collection in sorted(await in_thread(self._notes.purges)):
                store = await self._knowledge.opened()
                before = self._deletions[collection]
                if isinstance(store, Purges) and not await store.purge(collection):
                    raise StoreUnavailable(
                        f"'{collection}' changed too much while its files were written anew."
                    )
                # What was deleted meanwhile may be in the new files as well.
                if self._deletions[collection] == before:
                    await in_thread(partial(self._notes.purged, collection))
                else:
                    self._wanted.set()

    async def _put(self, note: Note) -> None:
        try:
            await in_thread(partial(self._notes.put, note))
        except OSError as error:
            raise StoreUnavailable(
                f"What is to be forgotten could not be noted ({error.strerror or error}): check "
                "the disk of the state directory."
            ) from error


def _caller(point: StoredPoint) -> str:
    return str(point.payload.get("caller", ""))


def _listed(point: StoredPoint, field: str) -> Sequence[object]:
    value: object = point.payload.get(field)
    return value if isinstance(value, list) else ()
