"""One run over the interactions: from the store, by way of a spool, to the lines of files.

A ``DatasetRun`` pages through ``interaction-history``, judges and scrubs each
interaction, finds which questions belong together, and writes the files of a
set. Memory does not grow with the number of interactions. Who may run it, and
how a set becomes the current one, is in ``dataset`` and ``dataset_files``.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from pydantic import ValidationError

from hybrid_coordinator.knowledge.collections import read_record
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.knowledge.store import Filter, KnowledgeStore, SparseVector, StoredPoint
from hybrid_coordinator.learning.dataset_clusters import Numbers, components, components_by_search
from hybrid_coordinator.learning.dataset_files import FILES, DatasetFolder, SetWriter
from hybrid_coordinator.learning.dataset_formats import (
    Message,
    NotUsable,
    chat_line,
    messages_asked,
    preference_line,
    sharegpt_line,
)
from hybrid_coordinator.learning.dataset_spool import Candidate, Spool
from hybrid_coordinator.learning.records import DatasetFormat
from hybrid_coordinator.settings import Collection

NEAR_DUPLICATE: Final = 0.97
"""Cosine from which two questions with the same answer are one example."""

SAME_CLUSTER: Final = 0.8
"""Cosine from which two questions are on one side of the split.

Of 3,354 judged pairs of paraphrases 83 % are in one cluster by the bundled
embedder, and the largest of 17,157 questions has 83; at 0.85 it is 67 % and
53. (At 0.7, of 5,892 questions: 96 % and 61; at 0.9: 43 % and 9.)
"""

EXACT_UP_TO: Final = 50_000
"""Distinct questions that are all compared; of more the store is asked for neighbours."""

_FEW_NEIGHBOURS: Final = 32
_MOST_NEIGHBOURS: Final = 1024
_PAGE: Final = 128
_SPOOL: Final = "spool"
_HISTORY: Final = Collection.INTERACTION_HISTORY
_DECIDED: Final = ("success", "failure")

_T = TypeVar("_T")
_Lines = Iterator[tuple[bytes, str, tuple[str, ...]]]


class ScrubsValues(Protocol):
    """What is needed of ``Scrubber``."""

    def scrub_value(self, value: Any) -> Any:
        """A JSON value with secrets and personal data replaced."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is to write, checked. ``caller`` None: everybody's interactions."""

    formats: tuple[DatasetFormat, ...]
    min_score: float
    validation_share: float
    caller: str | None

    @property
    def chats(self) -> bool:
        """Whether there are conversations to write."""
        return self.counted is not DatasetFormat.PREFERENCE

    @property
    def counted(self) -> DatasetFormat:
        """The format whose examples are the data set's size: the first of conversations."""
        chats = [format for format in self.formats if format is not DatasetFormat.PREFERENCE]
        return chats[0] if chats else DatasetFormat.PREFERENCE

    @property
    def where(self) -> Filter | None:
        """The interactions to look at."""
        return None if self.caller is None else Filter(any_of={"caller": (self.caller,)})


@dataclass
class Counts:
    """What a run has seen and written; ``fresh`` are examples the set before had not."""

    considered: int = 0
    size: int = 0
    fresh: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


class DatasetRun:
    """Writes the files of ``made`` from ``store``; up to ``exact_up_to`` questions are compared."""

    def __init__(
        self,
        wanted: Wanted,
        store: KnowledgeStore,
        scrubber: ScrubsValues,
        made: SetWriter,
        *,
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        self._wanted = wanted
        self._store = store
        self._scrubber = scrubber
        self._made = made
        self._exact_up_to = exact_up_to
        self._spool: Spool | None = None
        self.counts = Counts()

    async def write(self, before: DatasetFolder) -> None:
        """Write every file; ``before`` has the set that this one will replace."""
        try:
            await self._gather()
            if self._spool is not None:
                roots = await self._clusters(self._spool)
                await in_thread(lambda: self._choose(roots, before))
            await in_thread(self._write_files)
        finally:
            if self._spool is not None:
                self._spool.close()
        await in_thread(partial(shutil.rmtree, self._made.folder / _SPOOL, ignore_errors=True))

    async def _gather(self) -> None:
        after: str | None = None
        while True:
            page = await self._store.scroll(
                _HISTORY, self._wanted.where, after=after, limit=_PAGE, with_vectors=True
            )
            await in_thread(partial(self._take, page.points))
            after = page.next
            if after is None:
                return

    def _take(self, points: Sequence[StoredPoint]) -> None:
        candidates = self._candidates(points)
        if not candidates:
            return
        if self._spool is None:
            self._spool = Spool(self._made.folder / _SPOOL, candidates[0].vector.shape[0])
        self._spool.add(candidates)

    def _candidates(self, points: Sequence[StoredPoint]) -> list[Candidate]:
        """What of a page may become an example, or half of a pair."""
        left_out = self.counts.left_out
        found = []
        for point in points:
            self.counts.considered += 1
            try:
                record = read_record(_HISTORY, point.payload)
            except ValidationError:
                left_out["unreadable"] += 1
                continue
            item = record.item
            if not isinstance(item, InteractionHistory) or point.dense is None:
                left_out["unreadable"] += 1
                continue
            reason = _reason(item, self._wanted.min_score)
            try:
                asked = messages_asked(item)
            except NotUsable as error:
                left_out[reason or error.reason] += 1
                continue
            pairs = DatasetFormat.PREFERENCE in self._wanted.formats
            if reason and not (pairs and item.outcome in _DECIDED):
                left_out[reason] += 1
                continue
            *texts, answer = self._scrubber.scrub_value(
                [*(m.content for m in asked), item.response]
            )
            found.append(
                Candidate(
                    id=point.id,
                    caller=record.provenance.caller,
                    timestamp=item.timestamp,
                    score=item.value_score,
                    success=item.outcome == "success",
                    reason=reason,
                    parent=item.parent,
                    asked=tuple(
                        Message(role=message.role, content=text)
                        for message, text in zip(asked, texts, strict=True)
                    ),
                    answer=answer,
                    vector=point.dense,
                )
            )
        return found

    async def _clusters(self, spool: Spool) -> Numbers:
        vectors = await in_thread(spool.vectors)
        if len(vectors) <= self._exact_up_to:
            return await in_thread(lambda: components(vectors, SAME_CLUSTER))

        async def neighbours(row: int) -> list[int]:
            limit = _FEW_NEIGHBOURS
            while True:
                hits = await self._store.query(
                    _HISTORY, vectors[row], SparseVector(), limit, self._wanted.where
                )
                near = [hit.id for hit in hits if hit.cosine >= SAME_CLUSTER]
                if len(near) < limit or limit >= _MOST_NEIGHBOURS:
                    return await in_thread(partial(spool.questions_of, near))
                limit *= 4

        return await components_by_search(len(vectors), neighbours)

    def _choose(self, roots: Numbers, before: DatasetFolder) -> None:
        spool = self._spool
        assert spool is not None  # noqa: S101 — there are candidates
        if self._wanted.chats:
            spool.drop_duplicates(NEAR_DUPLICATE)
        if DatasetFormat.PREFERENCE in self._wanted.formats:
            spool.pair_up()
        spool.split(roots, self._wanted.validation_share)
        self.counts.left_out.update(spool.left_out())
        chats = (*FILES[DatasetFormat.OPENAI], *FILES[DatasetFormat.SHAREGPT])
        names = chats if self._wanted.chats else FILES[DatasetFormat.PREFERENCE]
        spool.remember(before.examples(names))

    def _write_files(self) -> None:
        for format in self._wanted.formats:
            for name, validation in zip(FILES[format], (False, True), strict=True):
                lines: _Lines = iter(())
                if self._spool is not None:
                    lines = _lines(self._spool, format, validation)
                    if format is self._wanted.counted:
                        lines = self._counted(lines, self._spool)
                self._made.write(name, lines)

    def _counted(self, lines: _Lines, spool: Spool) -> _Lines:
        for line, example, ids in lines:
            self.counts.size += 1
            self.counts.fresh += not spool.is_known(example)
            yield line, example, ids


def _reason(item: InteractionHistory, min_score: float) -> str:
    """Why an interaction is no example by itself; "" where it is one."""
    if item.parent:
        return "parent"
    if item.outcome != "success":
        return "outcome"
    return "score" if item.value_score < min_score else ""


def _lines(spool: Spool, format: DatasetFormat, validation: bool) -> _Lines:
    if format is DatasetFormat.PREFERENCE:
        for pair in spool.pairs(validation):
            line = preference_line(pair.asked, pair.preferred, pair.rejected)
            yield line, _example(line), pair.ids
        return
    for chat in spool.chats(validation):
        line = chat_line(chat.asked, chat.answer)
        # The same conversation is the same example in either format.
        example = _example(line)
        if format is DatasetFormat.SHAREGPT:
            line = sharegpt_line(chat.asked, chat.answer)
        yield line, example, chat.ids


def _example(line: bytes) -> str:
    return hashlib.blake2b(line, digest_size=16).hexdigest()


async def in_thread(call: Callable[[], _T]) -> _T:
    """Run a step in a thread. A run that is cancelled ends with its step, never beside it."""
    work: Awaitable[_T] = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([asyncio.ensure_future(work)])
        raise
