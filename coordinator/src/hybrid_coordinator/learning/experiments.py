"""Experiments: who gets which variant, and how the variants do.

Results are counted anew from interaction-history each time, so that there is
no counter to lose, and every coordinator of one store comes to the same
decision. What a variant changes is done where that is decided, in the
request's pipeline; the hashes are in ``assignment``, the statistics in
``credible``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Final

from pydantic import ValidationError

from hybrid_coordinator.conversation import ChatRequest
from hybrid_coordinator.knowledge.collections import InteractionHistory, read_record
from hybrid_coordinator.knowledge.store import Filter, FilterValue, KnowledgeStore
from hybrid_coordinator.learning.assignment import takes_part, unit_of, variant_of
from hybrid_coordinator.learning.credible import Beta, best_probabilities, different, posterior
from hybrid_coordinator.learning_settings import (
    ExperimentSettings,
    StopSettings,
    Unit,
    VariantSettings,
)
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics

_READ_PAGES: Final = 4
"""Pages of a variant's interactions that its means of tokens and cost are of."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The variant one request gets.

    ``settled``: the comparison is over and the variant is the winner, which
    everybody gets. ``settings`` include those of other experiments' winners
    where the variant leaves them open.
    """

    experiment: str
    variant: str
    settings: VariantSettings
    settled: bool = False

    @property
    def label(self) -> str:
        """``experiment/variant``, as interactions carry it.

        After the end it is ``experiment=winner``, so that what was compared
        stays countable and a decision is not weighed against one-sided numbers.
        """
        if self.settled:
            return f"{self.experiment}={self.variant}"
        return _label(self.experiment, self.variant)


class Decision(StrEnum):
    """Where an experiment stands."""

    RUNNING = "running"
    DECIDED = "decided"
    UNDECIDED = "undecided"
    """It came to its end without a best variant."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class VariantReport:
    """How one variant does.

    ``mean``, ``low`` and ``high``: the success rate's posterior mean and its
    95 % credible interval. ``best``: the probability that it is the best.
    ``tokens_mean`` and ``cost_usd``: tokens and US dollars of one interaction,
    on the average of the first thousand or so by id; ``None`` without any.
    """

    variant: str
    interactions: int
    successes: int
    partials: int
    failures: int
    mean: float
    low: float
    high: float
    best: float
    tokens_mean: float | None = None
    cost_usd: float | None = None

    @property
    def outcomes(self) -> int:
        """Interactions that are known to have turned out one way or the other."""
        return self.successes + self.partials + self.failures

    @property
    def rate(self) -> Beta:
        """The success rate's posterior."""
        return posterior(self.successes, self.partials, self.failures)


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """How an experiment stands; ``why`` is a sentence."""

    name: str
    decision: Decision
    winner: str | None
    why: str
    variants: Sequence[VariantReport] = ()


@dataclass(frozen=True, slots=True)
class _Counts:
    interactions: int
    successes: int
    partials: int
    failures: int
    tokens_mean: float | None
    cost_usd: float | None


class Experiments:
    """The declared experiments. ``assign`` is for the event loop's thread only."""

    def __init__(self, settings: Mapping[str, ExperimentSettings], metrics: Metrics) -> None:
        self._settings = dict(sorted(settings.items()))
        self._metrics = metrics
        self._winners: dict[str, str] = {}
        self._running: dict[str, dict[str, VariantSettings]] = {}
        self._everybody: Assignment | None = None
        self._arrange()

    @property
    def winners(self) -> Mapping[str, str]:
        """The variants that everybody gets, by experiment."""
        return dict(self._winners)

    def assign(self, request: ChatRequest) -> Assignment | None:
        """The variant the request gets; ``None`` where it takes part in nothing.

        A request is compared in one experiment at most, the first by name whose
        share it falls in. Who is in none gets the winners of those that are over.
        """
        units: dict[Unit, bytes] = {}
        for name, variants in self._running.items():
            experiment = self._settings[name]
            if (unit := units.get(experiment.unit)) is None:
                unit = units[experiment.unit] = unit_of(request, experiment.unit)
            if takes_part(name, unit, experiment.share):
                weights = {variant: changes.weight for variant, changes in variants.items()}
                variant = variant_of(name, unit, weights)
                self._metrics.learning.experiment_requests.labels(name, variant).inc()
                return Assignment(name, variant, variants[variant])
        return self._everybody

    async def report(self, store: KnowledgeStore) -> list[ExperimentReport]:
        """How every declared experiment stands, by name.

        Raises ``StoreUnavailable``. A variant takes four exact counts and a
        thousand payloads at most, however many interactions there are.
        """
        return [await self._examine(name, store) for name in self._settings]

    async def refresh(self, store: KnowledgeStore) -> list[ExperimentReport]:
        """Look which experiments with ``use_winner`` are decided; ``assign`` goes by that.

        Their reports. Raises ``StoreUnavailable``; what was known then stays.
        """
        reports = [
            await self._examine(name, store)
            for name, experiment in self._settings.items()
            if experiment.enable and experiment.use_winner
        ]
        self._winners = {r.name: r.winner for r in reports if r.winner is not None}
        self._arrange()
        return reports

    def _arrange(self) -> None:
        """Work out what ``assign`` hands out, so that it has only to look."""
        settled: VariantSettings | None = None
        self._everybody = None
        for name, winner in self._winners.items():
            chosen = self._settings[name].variants[winner]
            settled = chosen if settled is None else _over(settled, chosen)
        if settled is not None:
            name, winner = next(iter(self._winners.items()))
            self._everybody = Assignment(name, winner, settled, settled=True)
        self._running = {
            name: {
                variant: changes if settled is None else _over(changes, settled)
                for variant, changes in experiment.variants.items()
            }
            for name, experiment in self._settings.items()
            if experiment.enable and name not in self._winners
        }

    async def _examine(self, name: str, store: KnowledgeStore) -> ExperimentReport:
        experiment = self._settings[name]
        counts = {
            variant: await self._count(store, name, variant) for variant in experiment.variants
        }
        variants = await asyncio.to_thread(_compare, counts)
        if not experiment.enable:
            return ExperimentReport(name, Decision.OFF, None, "It is switched off.", variants)
        decision, winner, why = decide(variants, experiment.stop)
        return ExperimentReport(name, decision, winner, why, variants)

    async def _count(self, store: KnowledgeStore, experiment: str, variant: str) -> _Counts:
        # A turned-down local answer is part of the interaction that names it, not one more.
        only: dict[str, tuple[FilterValue, ...]] = {
            "experiment": (_label(experiment, variant),),
            "parent": ("",),
        }
        history = Collection.INTERACTION_HISTORY
        interactions = await store.count(history, Filter(any_of=only))
        successes, partials, failures = [
            await store.count(history, Filter(any_of={**only, "outcome": (outcome,)}))
            for outcome in ("success", "partial", "failure")
        ]
        tokens, cost = None, None
        if interactions:
            tokens, cost = await self._means(store, Filter(any_of=only))
        return _Counts(interactions, successes, partials, failures, tokens, cost)

    async def _means(
        self, store: KnowledgeStore, where: Filter
    ) -> tuple[float | None, float | None]:
        """Tokens and US dollars of an interaction, on the average of the first pages."""
        tokens: list[int] = []
        costs: list[float] = []
        after: str | None = None
        for _ in range(_READ_PAGES):
            page = await store.scroll(Collection.INTERACTION_HISTORY, where, after=after)
            for point in page.points:
                try:
                    item = read_record(Collection.INTERACTION_HISTORY, point.payload).item
                except ValidationError:
                    self._metrics.failures.labels("learning", "unreadable_item").inc()
                    continue
                if isinstance(item, InteractionHistory):
                    tokens.append(item.tokens_used)
                    costs.append(item.cost_usd)
            after = page.next
            if after is None:
                break
        return (fmean(tokens), fmean(costs)) if tokens else (None, None)


def decide(
    variants: Sequence[VariantReport], stop: StopSettings
) -> tuple[Decision, str | None, str]:
    """The stop rule: where the comparison stands, the winner, and why, as a sentence.

    It is decided once every variant has ``min_outcomes`` and one is better with
    ``probability``: the best of them with it, and also where account is taken
    that it and another may be equal (``credible.different``). Without the
    latter, looking again and again calls one of two equal variants the better
    sooner or later: simulated with a look after every second outcome and the
    default of 0.95, within 10,000 outcomes two times of three; with it, one to
    three times of a hundred (``tests.benchmarks.learning_stop_rule``).
    """
    known = sum(variant.outcomes for variant in variants)
    best = max(variants, key=lambda variant: (variant.best, variant.mean))
    fewest = min(variants, key=lambda variant: variant.outcomes)
    better = best.best * min(
        different(best.rate, other.rate) for other in variants if other is not best
    )
    standing = (
        f"'{best.variant}' is the best with probability {best.best:.3f}, and {better:.3f} where "
        f"account is taken that variants may be equal"
    )
    if fewest.outcomes < stop.min_outcomes:
        lacking = (
            f"'{fewest.variant}' has {fewest.outcomes} known outcomes, and every variant needs "
            f"{stop.min_outcomes}"
        )
        if known >= stop.max_outcomes:
            return Decision.UNDECIDED, None, f"It ended after {known} known outcomes: {lacking}."
        return Decision.RUNNING, None, f"{lacking}."
    if better >= stop.probability:
        return Decision.DECIDED, best.variant, f"{standing}, after {known} known outcomes."
    if known >= stop.max_outcomes:
        return (
            Decision.UNDECIDED,
            None,
            f"It ended after {known} known outcomes: {standing}; {stop.probability:g} was needed.",
        )
    return Decision.RUNNING, None, f"{standing}; {stop.probability:g} decides."


def _compare(counts: Mapping[str, _Counts]) -> list[VariantReport]:
    """The statistics of every variant, in the order they were declared in."""
    rates = [posterior(c.successes, c.partials, c.failures) for c in counts.values()]
    reports = []
    for (variant, c), rate, best in zip(
        counts.items(), rates, best_probabilities(rates), strict=True
    ):
        low, high = rate.interval()
        reports.append(
            VariantReport(
                variant=variant,
                interactions=c.interactions,
                successes=c.successes,
                partials=c.partials,
                failures=c.failures,
                mean=rate.mean,
                low=low,
                high=high,
                best=best,
                tokens_mean=c.tokens_mean,
                cost_usd=c.cost_usd,
            )
        )
    return reports


def _label(experiment: str, variant: str) -> str:
    return f"{experiment}/{variant}"


def _over(upper: VariantSettings, lower: VariantSettings) -> VariantSettings:
    """The upper's settings, and the lower's where the upper leaves one open."""
    unset = {
        field: getattr(lower, field)
        for field in type(upper).model_fields
        if getattr(upper, field) is None
    }
    return upper.model_copy(update=unset)
