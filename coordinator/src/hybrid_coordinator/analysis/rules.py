"""The rules: each compares one setting with its use, and says nothing below its minimum.

A rule is a function of the settings and a ``Use``. It reads no clock and no
file, so every sentence of a report can be tested with literal numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from hybrid_coordinator.analysis.report import Evidence, Finding, State, Value, propose
from hybrid_coordinator.analysis.use import DAY, BackendUse, Use
from hybrid_coordinator.conversation import CacheStatus, Tier
from hybrid_coordinator.settings import Settings

DECISIONS: Final = 50
LOOKUPS: Final = 200
SEARCHES: Final = 100
PROMPTS: Final = 100
ATTEMPTS: Final = 20
ALL_ATTEMPTS: Final = 200
ANSWERS: Final = 100
DAYS: Final = 3
_WEEK: Final = 7 * DAY

Rule = Callable[[Settings, Use], Iterator[Finding]]


def routing_threshold(settings: Settings, use: Use) -> Iterator[Finding]:
    """``routing.local_confidence_threshold`` should divide the questions."""
    topic, n = "routing.local_confidence_threshold", len(use.confidences)
    tiers = {backend.tier for backend in settings.backends.values()}
    if tiers != {Tier.LOCAL, Tier.REMOTE}:
        yield _said(topic, State.FINE, "there is one tier only, so it decides nothing", use, n, 0)
    elif n < DECISIONS:
        yield _no_data(topic, use, n, DECISIONS)
    else:
        present = settings.routing.local_confidence_threshold
        yield _threshold(topic, present, use.confidences, settings, use, DECISIONS)


def value_threshold(settings: Settings, use: Use) -> Iterator[Finding]:
    """``learning.high_value_threshold`` should divide the scores."""
    topic, n = "learning.high_value_threshold", len(use.scores)
    if n < DECISIONS:
        yield _no_data(topic, use, n, DECISIONS)
    else:
        present = settings.learning.high_value_threshold
        yield _threshold(topic, present, use.scores, settings, use, DECISIONS)


def semantic_cache(settings: Settings, use: Use) -> Iterator[Finding]:
    """A semantic tier that never serves costs a look-up each time."""
    topic, n = "cache.semantic", use.compared
    if not (settings.cache.enable and settings.cache.semantic.enable):
        yield _said(topic, State.FINE, "it is switched off", use, n, 0)
    elif n < LOOKUPS:
        yield _no_data(topic, use, n, LOOKUPS)
    elif hits := use.lookups.get(CacheStatus.SEMANTIC, 0):
        yield _said(topic, State.FINE, f"it served {hits} of {n} questions", use, n, LOOKUPS)
    else:
        found = f"it served none of {n} questions it compared"
        path = ("cache", "semantic", "enable")
        yield _change(topic, found, settings, path, False, use, n, LOOKUPS)


def cache_size(settings: Settings, use: Use) -> Iterator[Finding]:
    """A cache that is full drops answers before their time."""
    topic, entries = "cache.max_entries", use.live.cache_entries
    most = settings.cache.max_entries
    if not settings.cache.enable:
        yield _said(topic, State.FINE, "the cache is switched off", use, 0, 0)
    elif entries is None:
        yield _no_data(topic, use, 0, 1)
    elif entries < 0.95 * most:
        yield _said(topic, State.FINE, f"{entries} of {most} entries are used", use, entries, 1)
    else:
        found = f"the cache is full ({entries} of {most}), so answers leave before their time"
        path = ("cache", "max_entries")
        yield _change(topic, found, settings, path, 2 * most, use, entries, 1)


def collections(settings: Settings, use: Use) -> Iterator[Finding]:
    """A collection that has items and never gives one is searched for nothing."""
    limits = {name.value: limit for name, limit in settings.retrieval.limits.items()}
    for name, limit in limits.items():
        topic, points = f"retrieval.limits.{name}", use.live.points.get(name)
        if not settings.retrieval.enable or limit == 0:
            continue
        if use.searches < SEARCHES or points is None:
            yield _no_data(topic, use, use.searches, SEARCHES)
        elif hits := use.retrieved.get(name, 0):
            found = f"it gave {hits} items in {use.searches} searches"
            yield _said(topic, State.FINE, found, use, use.searches, SEARCHES)
        elif points == 0:
            found = "it is empty: 'hybrid-coordinator ingest' or use will fill it"
            yield _said(topic, State.LOOK, found, use, use.searches, SEARCHES)
        else:
            found = f"none of its {points} items was found in {use.searches} searches"
            path = ("retrieval", "limits")
            without: Value = {**limits, name: 0}
            yield _change(topic, found, settings, path, without, use, use.searches, SEARCHES)


def token_budget(settings: Settings, use: Use) -> Iterator[Finding]:
    """A budget that is never filled, or always, is not the one that is needed."""
    topic, n = "retrieval.token_budget", len(use.context_tokens)
    budget, path = settings.retrieval.token_budget, ("retrieval", "token_budget")
    if budget == 0:
        yield _said(topic, State.FINE, "it is 0: nothing is put in", use, n, 0)
        return
    if n < PROMPTS:
        yield _no_data(topic, use, n, PROMPTS)
        return
    most = max(use.context_tokens)
    full = sum(tokens >= 0.9 * budget for tokens in use.context_tokens)
    if most <= budget / 2:
        found = f"the fullest of {n} prompts got {most} of {budget} tokens"
        fitting = math.ceil(most * 1.25 / 100) * 100
        yield _change(topic, found, settings, path, fitting, use, n, PROMPTS)
    elif full > n / 2:
        found = f"{full} of {n} prompts filled it, so knowledge was left out"
        larger = math.ceil(budget * 1.5 / 100) * 100
        yield _change(topic, found, settings, path, larger, use, n, PROMPTS)
    else:
        found = f"{full} of {n} prompts filled it"
        yield _said(topic, State.FINE, found, use, n, PROMPTS)


def backends(settings: Settings, use: Use) -> Iterator[Finding]:
    """A backend that nobody asks, that always fails, or that is nearly cut off."""
    total = sum(one.asked for one in use.backends.values())
    for name in settings.backends:
        topic, one = f"backends.{name}", use.backends.get(name, BackendUse())
        if one.asked == 0 and total >= ALL_ATTEMPTS:
            found = f"it was asked none of {total} times: remove it, or raise its priority"
            yield _said(topic, State.LOOK, found, use, total, ALL_ATTEMPTS)
        elif one.asked < ATTEMPTS:
            yield _no_data(topic, use, one.asked, ATTEMPTS)
        elif one.failed >= 0.95 * one.asked:
            found = f"{one.failed} of {one.asked} tries failed: see 'hybrid-coordinator health'"
            yield _said(topic, State.LOOK, found, use, one.asked, ATTEMPTS)
        else:
            found = f"{one.failed} of {one.asked} tries failed"
            yield _said(topic, State.FINE, found, use, one.asked, ATTEMPTS)


def first_token(settings: Settings, use: Use) -> Iterator[Finding]:
    """A time limit close to what answers take cuts some of them off."""
    for name, backend in settings.backends.items():
        seconds = use.backends.get(name, BackendUse()).first_token_s
        topic, n = f"backends.{name}.first_token_timeout", len(seconds)
        if n < ANSWERS:
            yield _no_data(topic, use, n, ANSWERS)
            continue
        p99, limit = _quantile(seconds, 0.99), backend.first_token_timeout
        found = f"99 of 100 first tokens came within {p99:.1f} s of the {limit:g} s allowed"
        if p99 < 0.8 * limit:
            yield _said(topic, State.FINE, found, use, n, ANSWERS)
        else:
            path = ("backends", name, "first_token_timeout")
            longer = float(math.ceil(2 * p99))
            yield _change(topic, found, settings, path, longer, use, n, ANSWERS)


def daily_budget(settings: Settings, use: Use) -> Iterator[Finding]:
    """A budget that is spent early sends the rest of a day's questions to the local tier."""
    topic, budget = "routing.daily_budget_usd", settings.routing.daily_budget_usd
    n = len(use.spent)
    if budget is None or budget == 0:
        found = "there is none" if budget is None else "it is 0: nothing is to be paid for"
        yield _said(topic, State.FINE, found, use, n, 0)
    elif n < DAYS:
        yield _no_data(topic, use, n, DAYS)
    else:
        reached = sum(spent >= budget for spent in use.spent.values())
        found = f"it was spent on {reached} of {n} days"
        if reached <= n / 2:
            yield _said(topic, State.FINE, found, use, n, DAYS)
        else:
            path = ("routing", "daily_budget_usd")
            more = math.ceil(budget * 150) / 100
            yield _change(topic, found, settings, path, more, use, n, DAYS)


def extraction_queue(settings: Settings, use: Use) -> Iterator[Finding]:
    """A queue that is filled faster than it is worked off."""
    topic, waiting = "learning.extraction", use.live.queue_waiting
    threshold, extraction = settings.learning.high_value_threshold, settings.learning.extraction
    high = sum(score >= threshold for score in use.scores)
    if not settings.learning.pattern_extraction_enabled:
        yield _said(topic, State.FINE, "it is switched off", use, high, 0)
    elif waiting is None or len(use.scores) < DECISIONS:
        yield _no_data(topic, use, len(use.scores), DECISIONS)
    elif waiting < DECISIONS or use.extracted >= high:
        found = f"{waiting} wait, {use.extracted} were worked off"
        yield _said(topic, State.FINE, found, use, len(use.scores), DECISIONS)
    else:
        found = f"{waiting} wait: {high} came and {use.extracted} were worked off"
        path: tuple[str, ...] = ("learning", "extraction", "in_service")
        value: Value = True
        if extraction.in_service:
            path, value = ("learning", "extraction", "idle"), max(1.0, extraction.idle / 2)
        yield _change(topic, found, settings, path, value, use, len(use.scores), DECISIONS)


def outbox(settings: Settings, use: Use) -> Iterator[Finding]:
    """An outbox that is nearly full soon refuses what it should keep."""
    bounds = settings.learning.outbox
    held = {
        "max_records": (use.live.outbox_records, bounds.max_records),
        "max_bytes": (use.live.outbox_bytes, bounds.max_bytes),
    }
    for name, (present, most) in held.items():
        topic = f"learning.outbox.{name}"
        if present is None:
            yield _no_data(topic, use, 0, 1)
        elif present < most / 2:
            yield _said(topic, State.FINE, f"{present} of {most} wait", use, present, 0)
        else:
            path = ("learning", "outbox", name)
            found = f"{present} of {most} wait: see why the store does not take them"
            yield _change(topic, found, settings, path, 2 * most, use, present, 1)


def telemetry(settings: Settings, use: Use) -> Iterator[Finding]:
    """Events that are lost, or that go so soon that nothing can be compared."""
    topic, lost = "telemetry.queue_size", use.live.lost
    if not settings.telemetry.enable:
        found = "telemetry is switched off: nothing can be compared"
        yield _said("telemetry.enable", State.LOOK, found, use, 0, 0)
        return
    if lost:
        found = f"{lost} events were lost since the service started"
        larger = 2 * settings.telemetry.queue_size
        path: tuple[str, ...] = ("telemetry", "queue_size")
        yield _change(topic, found, settings, path, larger, use, lost, 1)
    else:
        yield _said(topic, State.FINE, "no event was lost", use, use.events, 0)
    files, topic = settings.telemetry.max_files, "telemetry.max_files"
    if use.since is None or use.until is None or not use.events:
        yield _no_data(topic, use, 0, 1)
    elif use.live.event_files < files or use.until - use.since >= _WEEK:
        found = f"events of {(use.until - use.since) / DAY:.1f} days are kept"
        yield _said(topic, State.FINE, found, use, use.events, 1)
    else:
        days = (use.until - use.since) / DAY
        found = f"the {files} files hold {days:.1f} days, too few to learn from"
        path = ("telemetry", "max_files")
        yield _change(topic, found, settings, path, 2 * files, use, use.events, 1)


RULES: Final[tuple[Rule, ...]] = (
    routing_threshold,
    value_threshold,
    semantic_cache,
    cache_size,
    collections,
    token_budget,
    backends,
    first_token,
    daily_budget,
    extraction_queue,
    outbox,
    telemetry,
)


def findings(settings: Settings, use: Use) -> tuple[Finding, ...]:
    """What every rule says."""
    return tuple(found for rule in RULES for found in rule(settings, use))


def _threshold(
    topic: str,
    present: float,
    values: Sequence[float],
    settings: Settings,
    use: Use,
    needed: int,
) -> Finding:
    """A threshold between all and nothing: else one that the upper or lower quarter passes."""
    n, reached = len(values), sum(value >= present for value in values)
    found = f"{reached} of {n} reached {present:g}"
    if 0 < reached < n:
        return _said(topic, State.FINE, found, use, n, needed)
    if reached == 0:
        fitting = math.floor(sorted(values)[-math.ceil(n / 4)] * 100) / 100
    else:
        fitting = min(1.0, round(math.floor(_quantile(values, 0.25) * 100 + 1) / 100, 2))
    if not 0 < sum(value >= fitting for value in values) < n:
        found += ": they are so much alike that no threshold divides them"
        return _said(topic, State.LOOK, found, use, n, needed)
    path = tuple(topic.split("."))
    return _change(topic, found, settings, path, fitting, use, n, needed)


def _quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _evidence(use: Use, n: int, needed: int) -> Evidence:
    return Evidence(n=n, needed=needed, since=use.since, until=use.until)


def _said(topic: str, state: State, found: str, use: Use, n: int, needed: int) -> Finding:
    return Finding(topic=topic, state=state, found=found, evidence=_evidence(use, n, needed))


def _no_data(topic: str, use: Use, n: int, needed: int) -> Finding:
    found = f"no data: {n} observations, {needed} are needed"
    return _said(topic, State.NO_DATA, found, use, n, needed)


def _change(
    topic: str,
    found: str,
    settings: Settings,
    path: tuple[str, ...],
    value: Value,
    use: Use,
    n: int,
    needed: int,
) -> Finding:
    proposal = propose(settings, path, value)
    state = State.LOOK if proposal is None else State.CHANGE
    evidence = _evidence(use, n, needed)
    return Finding(topic=topic, state=state, found=found, evidence=evidence, proposal=proposal)
