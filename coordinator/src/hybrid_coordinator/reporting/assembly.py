"""Figures of one span, put together from the store's amounts and from what is so right now.

``Live`` is what the running service says of itself; ``nothing_runs`` stands for
it where none does. The store may be away too: then there is no data and the
sentence that says why. Blocking, since the store is; nothing here asks a part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.reporting import figures as f
from hybrid_coordinator.reporting.counting import COLLECTIONS, OUTCOMES
from hybrid_coordinator.reporting.histogram import percentile
from hybrid_coordinator.reporting.savings import (
    Amounts,
    Pricing,
    money,
    no_savings,
    saved_usd_of,
    savings,
    whole,
)
from hybrid_coordinator.reporting.store import MINUTE, ReportingStore

_WIDTHS: Final[Mapping[f.Range, int]] = MappingProxyType(
    {
        f.Range.HOUR: MINUTE,
        f.Range.DAY: MINUTE,
        f.Range.WEEK: f.HOUR,
        f.Range.MONTH: f.HOUR,
    }
)
"""The buckets that each span is added up from."""
_POINTS: Final = "points:"
_LATENCY: Final = "search_ms:"


@dataclass(frozen=True, slots=True)
class Live:
    """What is so at this moment. None where a part cannot be asked.

    ``points``: the stored items of each collection; ``usable``: the collections
    whose vectors fit the embedder.
    """

    service: f.ServiceFigures
    points: Mapping[str, int | None] = field(default_factory=dict)
    usable: frozenset[str] = frozenset()
    patterns: f.PatternFigures = field(default_factory=f.PatternFigures)

    def levels(self) -> dict[str, int]:
        """What growth is told from later."""
        return {
            f"{_POINTS}{name}": count for name, count in self.points.items() if count is not None
        }


def nothing_runs(why: str) -> Live:
    """The state where no coordinator answers."""
    down = f.PartFigures(state="down", detail=why)
    return Live(f.ServiceFigures(state="down", parts={"coordinator": down}))


def dashboard_data(
    store: ReportingStore,
    span: f.Range,
    live: Live,
    pricing: Pricing,
    now: float,
    *,
    trouble: str = "",
) -> f.DashboardData:
    """The figures of the last ``span`` until ``now`` (epoch seconds), by whole buckets.

    ``trouble``: why what is recorded may be incomplete.
    """
    try:
        return _counted(store, span, live, pricing, now, trouble)
    except StoreUnavailable as error:
        return no_data(span, live, pricing, now, error.message)


def window(span: f.Range, now: float) -> tuple[int, int]:
    """Begin and end of a span in epoch seconds: whole points, the present one included."""
    end = (math.floor(now) // span.bucket_seconds + 1) * span.bucket_seconds
    return end - span.seconds, end


def _counted(
    store: ReportingStore,
    span: f.Range,
    live: Live,
    pricing: Pricing,
    now: float,
    trouble: str,
) -> f.DashboardData:
    start, end = window(span, now)
    width, step = _WIDTHS[span], span.bucket_seconds
    amounts = store.sums(width, start, end)
    state = store.state()
    points = store.series(width, start, end, step)
    return f.DashboardData(
        generated_at=now,
        range_s=span.seconds,
        bucket_s=step,
        source=f.Source(
            since=state.since,
            counted_to=state.counted_to,
            events=state.events,
            skipped_lines=state.skipped,
            trouble=trouble,
        ),
        service=live.service,
        collections=_collections(store, live, amounts, now),
        learning=_learning(store, live, amounts, now, state.dataset_size),
        context=_context(amounts),
        savings=savings(amounts, pricing),
        series=[_point(t, points.get(t, {}), pricing) for t in range(start, end, step)],
    )


def no_data(
    span: f.Range, live: Live, pricing: Pricing, now: float, trouble: str
) -> f.DashboardData:
    """What is so now, and no data of what was; ``trouble`` says why."""
    return f.DashboardData(
        generated_at=now,
        range_s=span.seconds,
        bucket_s=span.bucket_seconds,
        source=f.Source(trouble=trouble),
        service=live.service,
        collections=[_collection(name, live, {}, {}, {}) for name in COLLECTIONS],
        learning=f.LearningFigures(patterns=live.patterns),
        context=f.ContextFigures(success_by_collection=dict.fromkeys(COLLECTIONS)),
        savings=no_savings(pricing),
        series=[],
    )


def _collections(
    store: ReportingStore, live: Live, amounts: Amounts, now: float
) -> list[f.CollectionFigures]:
    day = store.levels(now - f.DAY, tolerance=3 * f.HOUR)
    week = store.levels(now - 7 * f.DAY, tolerance=12 * f.HOUR)
    return [_collection(name, live, amounts, day, week) for name in COLLECTIONS]


def _collection(
    name: str, live: Live, amounts: Amounts, day: Mapping[str, int], week: Mapping[str, int]
) -> f.CollectionFigures:
    points = live.points.get(name)

    def growth(before: Mapping[str, int]) -> int | None:
        then = before.get(f"{_POINTS}{name}")
        return None if points is None or then is None else points - then

    return f.CollectionFigures(
        name=name,
        points=points,
        vectors=points if name in live.usable else None,
        success_rate=_success(amounts, name),
        growth_24h=growth(day),
        growth_7d=growth(week),
    )


def _learning(
    store: ReportingStore, live: Live, amounts: Amounts, now: float, dataset_size: int | None
) -> f.LearningFigures:
    scores = [whole(amounts, f"scores:{number}") for number in range(f.SCORE_BINS)]
    scored = sum(scores)
    extracted = {
        span: round(store.amount("patterns", _WIDTHS[span], *window(span, now)))
        for span in (f.Range.DAY, f.Range.WEEK, f.Range.MONTH)
    }
    return f.LearningFigures(
        interactions=sum(whole(amounts, n) for n in amounts if n.startswith("queries:")),
        outcomes={kind: whole(amounts, f"outcomes:{kind}") for kind in OUTCOMES},
        scored=scored,
        high_value_share=_ratio(amounts.get("high_value", 0.0), scored),
        patterns_extracted=f.ExtractedFigures(
            d1=extracted[f.Range.DAY], d7=extracted[f.Range.WEEK], d30=extracted[f.Range.MONTH]
        ),
        patterns=live.patterns,
        dataset_size=dataset_size,
        score_histogram=scores,
    )


def _context(amounts: Amounts) -> f.ContextFigures:
    searches = whole(amounts, "searches")
    counts = {
        int(name.removeprefix(_LATENCY)): value
        for name, value in amounts.items()
        if name.startswith(_LATENCY)
    }

    def latency(share: float) -> float | None:
        found = percentile(counts, share)
        return None if found is None else float(f"{found:.3g}")

    return f.ContextFigures(
        searches=searches,
        latency_ms=f.Percentiles(p50=latency(0.5), p95=latency(0.95), p99=latency(0.99)),
        hit_rate=_ratio(amounts.get("search_hits", 0.0), searches),
        success_by_collection={name: _success(amounts, name) for name in COLLECTIONS},
    )


def _point(t: int, amounts: Amounts, pricing: Pricing) -> f.SeriesPoint:
    def routes(what: str, *names: str) -> float:
        return sum(amounts.get(f"{what}:{name}", 0.0) for name in names)

    return f.SeriesPoint(
        t=t,
        queries=round(routes("queries", "local", "remote", "cached")),
        local=whole(amounts, "queries:local"),
        remote=whole(amounts, "queries:remote"),
        cached=whole(amounts, "queries:cached"),
        errors=whole(amounts, "queries:failed"),
        cost_usd=money(routes("cost_usd", "local", "remote", "failed")),
        cost_saved_usd=saved_usd_of(amounts, pricing),
        tokens_in=round(routes("tokens_in", "local", "remote")),
        tokens_out=round(routes("tokens_out", "local", "remote")),
    )


def _success(amounts: Amounts, name: str) -> float | None:
    return _ratio(amounts.get(f"used_success:{name}", 0.0), amounts.get(f"used_told:{name}", 0.0))


def _ratio(part: float, of: float) -> float | None:
    return round(part / of, 4) if of > 0 else None
