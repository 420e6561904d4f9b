"""What each telemetry event adds to the figures, as named amounts at a time.

A ``Tally`` takes the lines of one transaction. An interaction counts once, and
its last outcome and score count, however often they are told: for that the
last ones are looked up by a digest of its id. Names are made of enums and of
declared models, so their number is bounded. Where amounts are kept is in
``store``, what they mean together in ``savings`` and ``assembly``.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Collection as Group
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from hybrid_coordinator.conversation import CacheStatus, Tier
from hybrid_coordinator.reporting.figures import SCORE_BINS
from hybrid_coordinator.reporting.histogram import bin_of
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.events import (
    EVENT,
    ContextSearch,
    Event,
    FineTuningUpdate,
    InteractionRecorded,
    OutcomeRecorded,
    PatternExtraction,
    ValueScoreComputed,
)

ROUTES: Final = ("local", "remote", "cached", "failed")
OUTCOMES: Final = ("success", "partial", "failure", "unknown")
COLLECTIONS: Final = tuple(collection.value for collection in Collection)
ANY_CONTEXT: Final = "context"
"""Stands for "some stored knowledge was in the prompt", beside the collections."""

MAX_MODELS: Final = 256
"""Remote models whose context is told apart; further ones are ``OTHER_MODEL``."""
OTHER_MODEL: Final = "other"
LOCAL_MODELS: Final = ""

CONTEXT_QUERIES: Final = "context_queries:"
CONTEXT_TOKENS: Final = "context_tokens:"
"""Prefixes; the rest of the name is ``LOCAL_MODELS``, or backend and model of a remote one."""

_HIT: Final = (CacheStatus.EXACT, CacheStatus.SEMANTIC)
_LATEST: Final = 1e11
"""Epoch seconds; a time beyond is a defect of whoever wrote it."""
_LARGEST: Final = 1e12
"""Tokens, dollars or milliseconds of one event; more is a defect too."""


@dataclass(slots=True)
class Told:
    """What was counted of one interaction. Times are epoch seconds, ``score`` is a bin.

    ``context``: bit 0 for any stored knowledge in its prompt, the others for
    the collections it came from.
    """

    t: int
    recorded: bool = False
    context: int = 0
    outcome: str | None = None
    outcome_t: int = 0
    score: int | None = None
    high: bool = False
    score_t: int = 0


@dataclass(slots=True)
class Tally:
    """Counts lines. ``find`` looks up what was counted of an interaction before.

    ``models``: the remote models that have names already. ``now``: epoch
    seconds; an event of later counts as of now, since a clock that was set back
    must not put it into the future.
    """

    find: Callable[[int], Told | None]
    models: Group[str]
    now: float
    amounts: defaultdict[tuple[int, str], float] = field(default_factory=lambda: defaultdict(float))
    """By second and name."""
    told: dict[int, Told] = field(default_factory=dict)
    events: int = 0
    skipped: int = 0
    oldest: float = math.inf
    newest: float = 0.0
    dataset_size: int | None = None
    new_models: set[str] = field(default_factory=set)
    """Remote models that got a name by this tally."""

    def add(self, line: bytes, after: float | None = None) -> None:
        """Count one line; one that is no event is skipped, one up to ``after`` was counted."""
        try:
            event = EVENT.validate_json(line)
        except ValidationError:
            self.skipped += 1
            return
        if not _is_sound(event):
            self.skipped += 1
            return
        if after is not None and event.timestamp <= after:
            return
        time = min(event.timestamp, self.now)
        self.events += 1
        self.oldest, self.newest = min(self.oldest, time), max(self.newest, time)
        self._count(event, int(time))

    def _count(self, event: Event, t: int) -> None:
        if isinstance(event, InteractionRecorded):
            self._interaction(event, t)
        elif isinstance(event, ContextSearch):
            self._add(t, "searches", 1)
            self._add(t, "search_hits", int(event.results_count > 0))
            self._add(t, f"search_ms:{bin_of(event.latency_ms)}", 1)
        elif isinstance(event, OutcomeRecorded):
            self._outcome(event, t)
        elif isinstance(event, ValueScoreComputed):
            self._score(event, t)
        elif isinstance(event, PatternExtraction):
            self._add(t, "patterns", event.patterns_found)
        elif isinstance(event, FineTuningUpdate):
            self.dataset_size = event.dataset_size

    def _interaction(self, event: InteractionRecorded, t: int) -> None:
        told = self._told(event.interaction_id, t)
        if told.recorded:
            return
        told.recorded = True
        route = _route(event)
        self._add(t, f"queries:{route}", 1)
        self._add(t, f"tokens_in:{route}", event.input_tokens)
        self._add(t, f"tokens_out:{route}", event.output_tokens)
        self._add(t, f"cost_usd:{route}", event.cost_usd)
        if route == "cached":
            self._add(t, "cache_saved_usd", event.cost_saved_usd)
        elif route != "failed" and event.context_ids:
            model = LOCAL_MODELS if route == "local" else self._model(event)
            self._add(t, f"{CONTEXT_QUERIES}{model}", 1)
            self._add(t, f"{CONTEXT_TOKENS}{model}", event.input_tokens)
            self._count_outcome(told, -1)
            told.context = _context_bits(event)
            self._count_outcome(told, +1)

    def _outcome(self, event: OutcomeRecorded, t: int) -> None:
        told = self._told(event.interaction_id, t)
        if told.outcome == event.outcome:
            return
        self._count_outcome(told, -1)
        told.outcome, told.outcome_t = event.outcome, t
        self._count_outcome(told, +1)

    def _count_outcome(self, told: Told, sign: int) -> None:
        if told.outcome is None:
            return
        self._add(told.outcome_t, f"outcomes:{told.outcome}", sign)
        if told.outcome == "unknown":
            return
        for bit, name in enumerate((ANY_CONTEXT, *COLLECTIONS)):
            if told.context & 1 << bit:
                self._add(told.outcome_t, f"used_told:{name}", sign)
                if told.outcome == "success":
                    self._add(told.outcome_t, f"used_success:{name}", sign)

    def _score(self, event: ValueScoreComputed, t: int) -> None:
        told = self._told(event.interaction_id, t)
        self._count_score(told, -1)
        told.score = min(SCORE_BINS - 1, int(event.score * SCORE_BINS))
        told.high, told.score_t = event.high_value, t
        self._count_score(told, +1)

    def _count_score(self, told: Told, sign: int) -> None:
        if told.score is not None:
            self._add(told.score_t, f"scores:{told.score}", sign)
            self._add(told.score_t, "high_value", sign * int(told.high))

    def _told(self, interaction_id: str | None, t: int) -> Told:
        if interaction_id is None:
            return Told(t)
        key = key_of(interaction_id)
        if key not in self.told:
            self.told[key] = self.find(key) or Told(t)
        return self.told[key]

    def _model(self, event: InteractionRecorded) -> str:
        name = model_key(event.backend or "", event.model or "")
        if name in self.models or name in self.new_models:
            return name
        if len(self.models) + len(self.new_models) >= MAX_MODELS:
            return OTHER_MODEL
        self.new_models.add(name)
        return name

    def _add(self, t: int, name: str, amount: float) -> None:
        if amount:
            self.amounts[t, name] += amount


def key_of(interaction_id: str) -> int:
    """What an interaction is known by here: 63 bits that do not give its id away."""
    digest = hashlib.blake2b(interaction_id.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def model_key(backend: str, model: str) -> str:
    """The name of a remote model among the amounts."""
    return f"{backend}/{model}"


def _route(event: InteractionRecorded) -> str:
    if event.status >= 400:
        return "failed"
    if event.cache in _HIT:
        return "cached"
    if event.route is None:
        return "failed"
    return "local" if event.route is Tier.LOCAL else "remote"


def _context_bits(event: InteractionRecorded) -> int:
    bits = 1
    for number, name in enumerate(COLLECTIONS, start=1):
        if event.context_collections.get(name, 0) > 0:
            bits |= 1 << number
    return bits


def _is_sound(event: Event) -> bool:
    """Whether its numbers can be added up: a reader of JSON takes ``Infinity`` and 400 digits."""
    numbers: list[float] = []
    if isinstance(event, InteractionRecorded):
        numbers += [event.cost_usd, event.cost_saved_usd, event.input_tokens, event.output_tokens]
    elif isinstance(event, ContextSearch):
        numbers.append(event.latency_ms)
    elif isinstance(event, PatternExtraction):
        numbers.append(event.patterns_found)
    elif isinstance(event, FineTuningUpdate):
        numbers.append(event.dataset_size)
    # No comparison holds for what is no number.
    return 0 <= event.timestamp < _LATEST and all(number < _LARGEST for number in numbers)
