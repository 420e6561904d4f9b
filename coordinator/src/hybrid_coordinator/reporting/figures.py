"""What the dashboard shows, as one document: ``DashboardData``.

The shapes only; where the numbers come from is ``store``, ``savings`` and
``assembly``. The endpoint, the page, the four files and the commands all show
these models, so they cannot differ. What nobody knows is None and is shown as
"no data"; a 0 was counted. Times are epoch seconds, money is US dollars, rates
and shares are 0…1, target figures are percent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hybrid_coordinator.errors import InvalidRequest

HOUR = 3600
DAY = 24 * HOUR

SCORE_BINS = 10
"""Bins of the value-score histogram, of a width of 0.1 each; a score of 1 is in the last."""


class Range(StrEnum):
    """The spans that can be asked for."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @classmethod
    def of(cls, seconds: int) -> Range:
        """The span of so many seconds; ``InvalidRequest`` for one that is not kept."""
        for span in cls:
            if span.seconds == seconds:
                return span
        raise InvalidRequest(f"Ask for one of {', '.join(cls)}.", field="range")

    @property
    def seconds(self) -> int:
        """How long the span is."""
        return {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}[self.value]

    @property
    def bucket_seconds(self) -> int:
        """The width of one point of the series: 60 points, 96, 168, 120."""
        return {"1h": 60, "24h": 900, "7d": HOUR, "30d": 6 * HOUR}[self.value]


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartFigures(_Figures):
    """One dependency: ``ready``, ``degraded``, ``down`` or ``off``, and the sentence for it."""

    state: str
    detail: str = ""


class QueueFigures(_Figures):
    """The extraction queue's entries; None where the queue cannot be asked."""

    waiting: int | None = None
    dead: int | None = None


class ServiceFigures(_Figures):
    """How the service is now.

    ``ready``: every part is ready or off. ``degraded``: answers, but a part is
    not well. ``down``: no question can be answered, or nothing answers at all.
    """

    state: Literal["ready", "degraded", "down"]
    parts: dict[str, PartFigures] = {}
    active_interactions: int | None = None
    """Requests being answered at this moment."""
    extraction_queue: QueueFigures = QueueFigures()
    outbox_depth: int | None = None
    """What is accepted and not yet in the knowledge store."""


class CollectionFigures(_Figures):
    """One collection now. ``success_rate`` is over the range, of outcomes that were told.

    ``vectors``: embeddings stored, one a point; None where they are another
    embedder's. The growths compare with the count a day or a week ago; None
    where none was taken then.
    """

    name: str
    points: int | None = None
    vectors: int | None = None
    success_rate: float | None = None
    growth_24h: int | None = None
    growth_7d: int | None = None


class ExtractedFigures(_Figures):
    """Patterns found in the last 1, 7 and 30 days, whatever the range."""

    d1: int | None = None
    d7: int | None = None
    d30: int | None = None


class PatternFigures(_Figures):
    """Stored patterns by their state now; None where the store cannot be asked."""

    candidate: int | None = None
    trusted: int | None = None
    retired: int | None = None


class LearningFigures(_Figures):
    """What was learnt over the range. ``high_value_share`` is of the scored interactions."""

    interactions: int | None = None
    outcomes: dict[str, int] | None = None
    """``success``, ``partial``, ``failure`` and ``unknown``, each with its count."""
    scored: int | None = None
    high_value_share: float | None = None
    patterns_extracted: ExtractedFigures = ExtractedFigures()
    patterns: PatternFigures = PatternFigures()
    dataset_size: int | None = None
    """Examples in the training data when it was last written."""
    score_histogram: list[int] | None = None
    """``SCORE_BINS`` counts, from scores of 0.0–0.1 to 0.9–1.0."""


class Percentiles(_Figures):
    """Of a latency, in milliseconds; None where nothing was measured."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class ContextFigures(_Figures):
    """Retrieval over the range. A search that found nothing good enough is no hit."""

    searches: int | None = None
    latency_ms: Percentiles = Percentiles()
    hit_rate: float | None = None
    success_by_collection: dict[str, float | None] = {}
    """Share of successes among the told outcomes of answers that used the collection."""


class RouteFigures(_Figures):
    """The answered queries of one route: how many, and their tokens."""

    queries: int
    tokens_in: int
    tokens_out: int
    cost_usd: float


class Target(_Figures):
    """What was promised and what is: ``actual`` and ``met`` are None where there is no data.

    ``text`` is the target as words; ``target`` its lower bound in ``unit``.
    """

    name: Literal["local_share", "fewer_tokens", "context_success", "cost_reduction"]
    title: str
    unit: Literal["%"] = "%"
    target: float
    text: str
    actual: float | None = None
    met: bool | None = None


class Saved(_Figures):
    """What one kind of saving comes to; ``usd`` is None where there is no price for it."""

    tokens: int | None = None
    usd: float | None = None


class SavingsFigures(_Figures):
    """Savings over the range; every rule is in ``formula``, and in ``savings``.

    ``total_queries`` are the answered ones: ``local_routing`` + ``remote_routing``
    + ``cached``. A failed request saves nothing and is counted in ``errors``.
    """

    total_queries: int | None = None
    local_routing: int | None = None
    remote_routing: int | None = None
    cached: int | None = None
    errors: int | None = None
    avg_tokens_local: float | None = None
    avg_tokens_remote: float | None = None
    """Tokens a query, prompt and answer together."""
    routes: dict[str, RouteFigures] = {}
    """By ``local``, ``remote`` and ``cached``."""
    tokens_saved: int | None = None
    cost_usd: float | None = None
    """What was paid."""
    cost_saved_usd: float | None = None
    by_cache: Saved = Saved()
    by_local_models: Saved = Saved()
    by_context: Saved = Saved()
    baseline_tokens_per_query: int
    formula: list[str]
    """How the figures are computed, with the prices that were used; a sentence each."""
    targets: list[Target]


class SeriesPoint(_Figures):
    """One bucket of the range; ``t`` is its begin. A bucket without events has zeros."""

    t: int
    queries: int = 0
    local: int = 0
    remote: int = 0
    cached: int = 0
    errors: int = 0
    cost_usd: float = 0.0
    cost_saved_usd: float | None = 0.0
    """None where something was saved that has no price."""
    tokens_in: int = 0
    tokens_out: int = 0
    """Tokens that models worked on; those of cached answers are not among them."""


class Source(_Figures):
    """What the figures are made of, so that nobody takes a gap for a zero.

    ``since``: the oldest event that was counted. ``skipped_lines``: lines of
    telemetry that were no event. ``trouble`` says why there are no figures.
    """

    since: float | None = None
    counted_to: float | None = None
    events: int | None = None
    skipped_lines: int | None = None
    trouble: str = ""


class DashboardData(_Figures):
    """Everything the dashboard shows, at ``generated_at``, over the last ``range_s`` seconds."""

    version: Literal[1] = 1
    generated_at: float
    range_s: int
    bucket_s: int
    source: Source
    service: ServiceFigures
    collections: list[CollectionFigures]
    learning: LearningFigures
    context: ContextFigures
    savings: SavingsFigures
    series: list[SeriesPoint]
