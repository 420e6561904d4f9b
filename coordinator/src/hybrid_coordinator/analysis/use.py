"""How the settings were used: counts from typed events, and what is so at this moment.

Every list is bounded: of numbers whose quantiles are asked, the newest are
kept. No text of a question is read.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hybrid_coordinator.conversation import CacheStatus
from hybrid_coordinator.telemetry import events as e

KEPT: Final = 50_000
"""Numbers of one kind that are kept, the newest."""
NAMES: Final = 256
"""Backends and collections that are told apart; events may name some that exist no more."""
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class BackendUse:
    """One backend. ``first_token_s`` is of answers that came, in seconds."""

    asked: int = 0
    failed: int = 0
    first_token_s: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """What is so at this moment; None is not known.

    ``lost`` is events lost since the service started, ``event_files`` the files
    of events there are, ``points`` the items of each collection that answers.
    """

    cache_entries: int | None = None
    points: Mapping[str, int] = field(default_factory=dict)
    outbox_records: int | None = None
    outbox_bytes: int | None = None
    queue_waiting: int | None = None
    lost: int = 0
    event_files: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """Counts over the events from ``since`` to ``until`` (epoch seconds; None for no event).

    ``lookups``: cache look-ups by status; ``compared``: those of the semantic
    tier, ``served`` by it included. ``confidences`` of routing decisions and
    value ``scores`` are in 0…1. ``retrieved``: items found by collection in
    ``searches``, of which ``empty`` found nothing. ``context_tokens`` of prompts
    that got any. ``spent``: US dollars by UTC day, which are days since 1970.
    """

    events: int = 0
    since: float | None = None
    until: float | None = None
    interactions: int = 0
    lookups: Mapping[CacheStatus, int] = field(default_factory=dict)
    compared: int = 0
    confidences: Sequence[float] = ()
    scores: Sequence[float] = ()
    backends: Mapping[str, BackendUse] = field(default_factory=dict)
    searches: int = 0
    empty: int = 0
    retrieved: Mapping[str, int] = field(default_factory=dict)
    context_tokens: Sequence[int] = ()
    spent: Mapping[int, float] = field(default_factory=dict)
    extracted: int = 0
    live: Live = Live()


def count(found: Iterable[e.Event], live: Live) -> Use:
    """Count events, which come oldest first."""
    counter = _Counter()
    for event in found:
        counter.take(event)
    return counter.use(live)


class _Counter:
    def __init__(self) -> None:
        self._n: Counter[str] = Counter()
        self._since: float | None = None
        self._until: float | None = None
        self._lookups: Counter[CacheStatus] = Counter()
        self._confidences: deque[float] = deque(maxlen=KEPT)
        self._scores: deque[float] = deque(maxlen=KEPT)
        self._context: deque[int] = deque(maxlen=KEPT)
        self._asked: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._first: dict[str, deque[float]] = {}
        self._retrieved: Counter[str] = Counter()
        self._spent: dict[int, float] = {}

    def take(self, event: e.Event) -> None:
        self._n["events"] += 1
        # A clock may have been set back in between.
        at = event.timestamp
        self._since = at if self._since is None else min(self._since, at)
        self._until = at if self._until is None else max(self._until, at)
        match event:
            case e.CacheLookup():
                self._lookups[event.status] += 1
                semantic = event.status is CacheStatus.SEMANTIC
                self._n["compared"] += semantic or event.similarity is not None
            case e.RoutingDecision() if event.confidence is not None:
                self._confidences.append(event.confidence)
            case e.ValueScoreComputed():
                self._scores.append(event.score)
            case e.PatternExtraction() if event.result != "rejected":
                self._n["extracted"] += 1
            case e.ContextSearch():
                self._search(event)
            case e.Inference():
                self._inference(event)
            case e.InteractionRecorded():
                self._n["interactions"] += 1
                if event.context_tokens:
                    self._context.append(event.context_tokens)
            case _:
                pass  # Nothing that a setting is compared with.

    def _search(self, event: e.ContextSearch) -> None:
        self._n["searches"] += 1
        self._n["empty"] += event.results_count == 0
        for name, number in event.collections.items():
            if name in self._retrieved or len(self._retrieved) < NAMES:
                self._retrieved[name] += number

    def _inference(self, event: e.Inference) -> None:
        day = int(event.timestamp // DAY)
        self._spent[day] = self._spent.get(day, 0.0) + event.cost_usd
        name = event.backend
        if name not in self._asked and len(self._asked) >= NAMES:
            return
        self._asked[name] += 1
        self._failed[name] += event.outcome != "ok"
        if event.outcome == "ok" and event.first_token_ms is not None:
            kept = self._first.setdefault(name, deque(maxlen=KEPT))
            kept.append(event.first_token_ms / 1_000)

    def use(self, live: Live) -> Use:
        return Use(
            events=self._n["events"],
            since=self._since,
            until=self._until,
            interactions=self._n["interactions"],
            lookups=dict(self._lookups),
            compared=self._n["compared"],
            confidences=tuple(self._confidences),
            scores=tuple(self._scores),
            backends={
                name: BackendUse(asked, self._failed[name], tuple(self._first.get(name, ())))
                for name, asked in self._asked.items()
            },
            searches=self._n["searches"],
            empty=self._n["empty"],
            retrieved=dict(self._retrieved),
            context_tokens=tuple(self._context),
            spent=dict(self._spent),
            extracted=self._n["extracted"],
            live=live,
        )
