"""Which stored items belong to a question.

Every collection is searched by meaning (dense vector) and by words (BM25),
all at the same time and within one time limit; a collection that fails or is
late is left out and named. What comes back is judged by the embedder's
calibrated thresholds, freed of near-duplicates and put in one order. Not
here: how much of it fits a prompt (``packing``), or the router's use of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import ValidationError

from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.knowledge.calibration import Calibration
from hybrid_coordinator.knowledge.collections import (
    SHARED,
    Item,
    PatternStatus,
    Provenance,
    Record,
    content_hash,
    read_record,
)
from hybrid_coordinator.knowledge.items import UsedItem
from hybrid_coordinator.knowledge.store import (
    RRF_K,
    Filter,
    FilterValue,
    FoundPoint,
    KnowledgeStore,
    SparseVector,
    Vector,
)
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics

NEAR_DUPLICATE: Final = 0.97
"""Cosine from which two items say the same; the better one stays."""

_PRIOR_WEIGHT: Final = 0.4
"""How much an item's record counts: 1.2 for one that always helped, 0.8 for one that never did.

An outcome is shared by all items of a prompt, by the model and by the
question, so it says only a part about each item. At this weight ten helpful
uses make up for about 0.1 of cosine, and never for being about something else.
"""

_PRIOR_OUTCOMES: Final = 4.0
"""Outcomes that an item's record must outweigh: a Beta(2, 2) prior, so that few move little."""

_QUARANTINE: Final = 1 / (1 + _PRIOR_WEIGHT / 2)
"""What a candidate is worth against a trusted item of the same similarity (lesson 23).

Small enough that no record lifts a candidate over a trusted item that has none.
"""

_CANDIDATES: Final = 2
"""Items in one prompt that have not earned trust (lesson 23)."""

_SPARE: Final = 3
"""Candidates beyond a collection's limit, because near-duplicates fall away."""

_BEST_FUSED: Final = 2 / (RRF_K + 1)


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that belongs to the question.

    ``score`` is its cosine, ``fused`` the reciprocal rank score within its
    collection, ``relevance`` (0 to 1.2) what hits are ordered by, ``text``
    what a prompt shows, ``tokens`` its length by the embedder's tokenizer (0:
    not counted).
    """

    id: str
    collection: Collection
    score: float
    fused: float
    relevance: float
    item: Item
    provenance: Provenance
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What a search found, best first.

    ``skipped`` names collections that were left out, and why. ``best_score``
    is the highest cosine of anything seen, also where nothing was good enough
    (``None``: nothing seen). ``latency`` in seconds.
    """

    hits: tuple[Hit, ...] = ()
    skipped: Mapping[Collection, str] | None = None
    best_score: float | None = None
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class _Candidate:
    collection: Collection
    point: FoundPoint
    record: Record
    relevance: float
    text_hash: str

    def hit(self) -> Hit:
        return Hit(
            id=self.point.id,
            collection=self.collection,
            score=self.point.cosine,
            fused=self.point.fused,
            relevance=self.relevance,
            item=self.record.item,
            provenance=self.record.provenance,
            text=self.record.item.text_for_prompt(),
            tokens=self.record.provenance.tokens,
        )


class Retriever:
    """Searches collections of one store with thresholds of one embedder."""

    def __init__(
        self,
        store: KnowledgeStore,
        calibration: Calibration,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._store = store
        self._calibration = calibration
        self._metrics = metrics
        self._clock = clock

    async def search(
        self,
        dense: Vector,
        sparse: SparseVector,
        caller: str,
        limits: Mapping[Collection, int],
        *,
        timeout: float,
        filters: Mapping[str, tuple[FilterValue, ...]] | None = None,
        abstain: bool = True,
    ) -> Retrieved:
        """Search the collections that have a limit above 0.

        The caller sees its own items and the shared ones. ``timeout`` in
        seconds for all of it. With ``abstain``, for prompts, nothing is
        returned unless the best item clears the bar, and no more than two
        items that are not trusted yet; floors hold either way.
        """
        started = self._clock()
        wanted = [collection for collection, limit in limits.items() if limit > 0]
        tasks = {
            asyncio.create_task(
                self._store.query(
                    collection,
                    dense,
                    sparse,
                    limits[collection] + _SPARE,
                    _visible(caller, filters or {}),
                )
            ): collection
            for collection in wanted
        }
        skipped: dict[Collection, str] = {}
        candidates: list[_Candidate] = []
        best: float | None = None
        if tasks:
            done, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
                self._skip(skipped, tasks[task], "timeout", f"no answer within {timeout:g} s")
            for task in done:
                collection = tasks[task]
                try:
                    found = task.result()
                except HybridError as error:
                    self._skip(skipped, collection, error.code, error.message)
                    continue
                if found:
                    best = max(best or -1.0, *(point.cosine for point in found))
                candidates += self._judge(collection, found, limits[collection])
        if abstain and not any(
            candidate.point.cosine >= self._calibration.bar(candidate.collection)
            for candidate in candidates
        ):
            candidates = []
        chosen = _choose(
            candidates,
            await self._vectors(candidates),
            limits,
            untrusted=_CANDIDATES if abstain else len(candidates),
        )
        return Retrieved(
            hits=tuple(candidate.hit() for candidate in chosen),
            skipped=skipped,
            best_score=best,
            latency=self._clock() - started,
        )

    async def _vectors(self, candidates: Sequence[_Candidate]) -> dict[str, Vector]:
        """The candidates' dense vectors, asked for where the search did not bring them."""
        vectors = {c.point.id: c.point.dense for c in candidates if c.point.dense is not None}
        missing: dict[Collection, list[str]] = {}
        if len(candidates) > 1:
            for candidate in candidates:
                if candidate.point.id not in vectors:
                    missing.setdefault(candidate.collection, []).append(candidate.point.id)
        answers = await asyncio.gather(
            *(self._store.vectors(collection, ids) for collection, ids in missing.items()),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, HybridError):
                self._metrics.failures.labels("knowledge", answer.code).inc()
            elif isinstance(answer, BaseException):
                raise answer
            else:
                vectors.update(answer)
        return vectors

    def _judge(
        self, collection: Collection, found: Sequence[FoundPoint], limit: int
    ) -> list[_Candidate]:
        """The points at or above the floor, as hits, best first."""
        floor = self._calibration.floor(collection)
        kept = []
        for point in found:
            if point.cosine < floor:
                continue
            try:
                record = read_record(collection, point.payload)
            except ValidationError:
                self._metrics.failures.labels("knowledge", "unreadable_item").inc()
                continue
            item, provenance = record.item, record.provenance
            margin = self._calibration.margin(collection, point.cosine)
            kept.append(
                _Candidate(
                    collection,
                    point,
                    record,
                    relevance=_standing(item) * (margin + point.fused / _BEST_FUSED) / 2,
                    text_hash=provenance.content_hash or content_hash(item.text_for_prompt()),
                )
            )
        kept.sort(key=_order)
        return kept[: limit + _SPARE]

    def _skip(
        self, skipped: dict[Collection, str], collection: Collection, kind: str, why: str
    ) -> None:
        skipped[collection] = why
        self._metrics.steps_skipped.labels("retrieval", kind).inc()


def _visible(caller: str, filters: Mapping[str, tuple[FilterValue, ...]]) -> Filter:
    owners = (SHARED,) if caller == SHARED else (SHARED, caller)
    # What was stored before items had a status has none, and that is not retired.
    retired = {"status": (PatternStatus.RETIRED.value,)}
    return Filter(any_of={**filters, "caller": owners}, none_of=retired)


def _standing(item: Item) -> float:
    """The factor by which an item's record and status change its relevance.

    1 + w·(p − ½), where p is the expected share of successes after the item's
    evidence, with a prior of ``_PRIOR_OUTCOMES`` even outcomes.
    """
    if not isinstance(item, UsedItem):
        return 1 + _PRIOR_WEIGHT * (item.proven() - 0.5)
    helped, harmed = item.evidence()
    expected = (helped + _PRIOR_OUTCOMES / 2) / (helped + harmed + _PRIOR_OUTCOMES)
    record = 1 + _PRIOR_WEIGHT * (expected - 0.5)
    return record * _QUARANTINE if _is_candidate(item) else record


def _is_candidate(item: Item) -> bool:
    return isinstance(item, UsedItem) and item.status is PatternStatus.CANDIDATE


def _choose(
    candidates: Sequence[_Candidate],
    vectors: Mapping[str, Vector],
    limits: Mapping[Collection, int],
    untrusted: int,
) -> list[_Candidate]:
    """Best first, each collection within its limit, none that says what a better one says.

    ``untrusted``: how many of them may be candidates for trust.
    """
    ranked = sorted(candidates, key=_order)
    known = [c.point.id for c in ranked if c.point.id in vectors]
    rows = {id_: row for row, id_ in enumerate(known)}
    matrix = np.stack([vectors[id_] for id_ in known]) if known else np.empty((0, 0))
    said = np.zeros(len(known), dtype=bool)
    hashes: set[str] = set()
    places = dict(limits)
    chosen: list[_Candidate] = []
    for candidate in ranked:
        row = rows.get(candidate.point.id)
        quarantined = _is_candidate(candidate.record.item)
        if (
            places[candidate.collection] == 0
            or (quarantined and untrusted == 0)
            or candidate.text_hash in hashes
            or (row is not None and said[row])
        ):
            continue
        places[candidate.collection] -= 1
        untrusted -= quarantined
        hashes.add(candidate.text_hash)
        if row is not None:
            # Not "@": BLAS would wake its threads for a few thousand multiplications.
            said |= np.einsum("ij,j->i", matrix, matrix[row]) >= NEAR_DUPLICATE
        chosen.append(candidate)
    return chosen


def _order(candidate: _Candidate) -> tuple[float, str]:
    return (-candidate.relevance, candidate.point.id)
