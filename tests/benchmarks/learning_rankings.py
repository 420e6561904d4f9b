"""A store with the items of a replayed stream in it: what is taught, measured and retired there.

The real store, search, evidence and retirement; only who is right is known
beforehand. What is compared with what is in ``learning_retrieval``.
"""

from __future__ import annotations

import random
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.knowledge import NewItem, retrieval
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.knowledge.retrieval import Hit
from hybrid_coordinator.knowledge.store import Filter, Vector
from hybrid_coordinator.learning.evidence import Evidence
from hybrid_coordinator.learning.patterns import PatternShelf
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import Collection, EmbedderSettings, RetrievalSettings, Settings
from hybrid_coordinator.stores import Stores, opened_stores
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.telemetry.events import Event
from tests.benchmarks.learning_replay import Case, Stream

_ITEMS = Collection.BEST_PRACTICES
_HISTORY = Collection.INTERACTION_HISTORY
_LIMIT = 10
_SEED = 11
_CALLER = "replay"
_NOW = 1_800_000_000.0
"""Epoch seconds of the whole replay."""
_BATCH = 256
_RESAMPLES = 2_000

Floats = npt.NDArray[np.float64]
_NO_RECORD: dict[str, object] = {
    "access_count": 0,
    "last_accessed": 0.0,
    "success_rate": None,
    "outcome_count": 0,
    "seed": [],
    "status": "trusted",
    "endorsement_count": 0,
    "last_validated": 0.0,
}


@dataclass(frozen=True, slots=True)
class Ranks:
    """One number a measured question: the right item's rank (0: not found), and the case's."""

    rank: npt.NDArray[np.int64]
    case: npt.NDArray[np.int64]
    shown: Counter[str]
    """How many of the questions found each item, by its id."""

    @property
    def reciprocal(self) -> Floats:
        """1/rank, 0 where it was not found; the mean is MRR."""
        return np.where(self.rank > 0, 1.0 / np.maximum(self.rank, 1), 0.0)

    @property
    def first(self) -> float:
        """Share of questions with the right item first."""
        return float(np.mean(self.rank == 1))

    @property
    def ndcg(self) -> float:
        """Mean of 1/log₂(1 + rank): nDCG of a single right item."""
        gain = 1.0 / np.log2(1.0 + np.maximum(self.rank, 1))
        return float(np.mean(np.where(self.rank > 0, gain, 0.0)))


@dataclass(frozen=True, slots=True)
class Retired:
    """The ids of retired items, and how many are a case's wrong item, or its right one."""

    ids: frozenset[str]
    wrong: int
    right: int

    def shown(self, ranks: Ranks) -> int:
        """How often they were found."""
        return sum(ranks.shown[id_] for id_ in self.ids)


class _Unheard:
    """Takes telemetry that nobody reads."""

    def record(self, event: Event) -> None:
        """Drop it."""


class Replay:
    """One stream in one store."""

    def __init__(self, stores: Stores, stream: Stream, vectors: Mapping[str, Vector]) -> None:
        self._knowledge = stores.knowledge
        self._stream = stream
        self._vectors = vectors
        self._random = random.Random(_SEED)
        self._shelf = PatternShelf(
            stores.knowledge, LearningSettings(), Metrics(), _Unheard(), now=lambda: _NOW
        )
        self._evidence = {
            False: Evidence(stores.knowledge, now=lambda: _NOW),
            True: Evidence(stores.knowledge, self._shelf.refresh, now=lambda: _NOW),
        }
        self._ids: dict[str, str] = {}

    async def fill(self) -> None:
        """Store every item of the stream, none of which has a record."""
        stored = [q for c in self._stream.cases for q in (c.right, c.wrong)]
        stored += self._stream.others
        for first in range(0, len(stored), _BATCH):
            part = stored[first : first + _BATCH]
            items = [NewItem({"title": q}, vector=self._vectors[q].tolist()) for q in part]
            ids = await self._knowledge.add(_ITEMS, items, _CALLER)
            self._ids |= dict(zip(part, ids, strict=True))

    async def forget(self) -> None:
        """Wipe every record and interaction."""
        await self._knowledge.amend(_ITEMS, list(self._ids.values()), dict(_NO_RECORD))
        store = await self._knowledge.opened()
        await store.delete(_HISTORY, Filter(any_of={"caller": (_CALLER,)}))
        self._random = random.Random(_SEED)

    async def teach(self, prompt: int, noise: float, *, retiring: bool = False) -> int:
        """Ask every teaching question once and count what became of it; how many were asked.

        ``prompt``: of how many of the items that were found an answer is made.
        An answer turns out well where the right item is in the prompt and the
        wrong one is not before it; by ``noise`` the opposite is said. With
        ``retiring`` items that harm more than they help are retired.
        """
        asked = [(case, q) for case in self._stream.cases for q in case.taught]
        self._random.shuffle(asked)
        history, used = [], set()
        for case, question in asked:
            shown = [hit.id for hit in (await self._search(question))[:prompt]]
            good = self._answers(case, shown) != (self._random.random() < noise)
            history.append(
                NewItem(
                    {
                        "query": question,
                        "context_provided": shown,
                        "context_first": shown[0] if shown else "",
                        "outcome": "success" if good else "failure",
                        "timestamp": _NOW,
                    },
                    id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
                    vector=self._vectors[question].tolist(),
                )
            )
            used |= set(shown)
        await self._knowledge.add(_HISTORY, history, _CALLER, announce=False)
        await self._evidence[retiring].refresh(sorted(used))
        return len(asked)

    async def measure(self) -> Ranks:
        """Ask every measured question; nothing is learnt from it."""
        ranks, cases = [], []
        shown: Counter[str] = Counter()
        for number, case in enumerate(self._stream.cases):
            for question in case.measured:
                found = [hit.id for hit in await self._search(question)]
                right = self._ids[case.right]
                ranks.append(found.index(right) + 1 if right in found else 0)
                cases.append(number)
                shown.update(found)
        return Ranks(np.array(ranks), np.array(cases), shown)

    async def retired(self) -> Retired:
        """Which items are retired by now."""
        store = await self._knowledge.opened()
        points = await store.get(_ITEMS, list(self._ids.values()))
        gone = {p.id for p in points if p.payload["status"] == PatternStatus.RETIRED}
        return Retired(
            frozenset(gone),
            wrong=sum(self._ids[case.wrong] in gone for case in self._stream.cases),
            right=sum(self._ids[case.right] in gone for case in self._stream.cases),
        )

    def _answers(self, case: Case, shown: Sequence[str]) -> bool:
        for id_ in shown:
            if id_ in (self._ids[case.right], self._ids[case.wrong]):
                return id_ == self._ids[case.right]
        return False

    async def _search(self, question: str) -> Sequence[Hit]:
        found = await self._knowledge.search(
            question, self._vectors[question], _CALLER, [_ITEMS], _LIMIT
        )
        if found.skipped:
            raise SystemExit(f"a search was skipped: {found.skipped}")
        return found.hits


def interval(before: Ranks, after: Ranks) -> tuple[float, float, float]:
    """The gain in MRR and its 95 % bootstrap interval; whole cases are drawn again."""
    gain = after.reciprocal - before.reciprocal
    cases = int(before.case.max()) + 1
    total = np.bincount(before.case, weights=gain, minlength=cases)
    count = np.bincount(before.case, minlength=cases)
    drawn = np.random.default_rng(_SEED).integers(0, cases, size=(_RESAMPLES, cases))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(gain.mean()), float(low), float(high)


@asynccontextmanager
async def replaying(stream: Stream, vectors: Mapping[str, Vector]) -> AsyncIterator[Replay]:
    """A store with the stream's items in it."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            state_directory=Path(folder),
            embedder=EmbedderSettings(memory=0),
            retrieval=RetrievalSettings(timeout=60.0),  # what is measured is not the time
        )
        async with opened_stores(settings, Metrics()) as stores:
            replay = Replay(stores, stream, vectors)
            await replay.fill()
            yield replay


@contextmanager
def weighted(weight: float) -> Iterator[None]:
    """Retrieval with another weight of an item's record; 0 is plain retrieval."""
    kept = retrieval._PRIOR_WEIGHT
    retrieval._PRIOR_WEIGHT = weight  # type: ignore[misc]
    try:
        yield
    finally:
        retrieval._PRIOR_WEIGHT = kept  # type: ignore[misc]
