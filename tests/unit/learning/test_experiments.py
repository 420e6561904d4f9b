"""Experiments: who gets which variant, what is reported, and when one is decided."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.conversation import Caller, ChatRequest, Dialect
from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.knowledge.collections import InteractionHistory, Provenance, Record
from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.edge_filter import edge_installed
from hybrid_coordinator.knowledge.qdrant import QdrantStore
from hybrid_coordinator.knowledge.store import Filter, KnowledgeStore, Page, Point, SparseVector
from hybrid_coordinator.learning.credible import posterior
from hybrid_coordinator.learning.experiments import (
    Assignment,
    Decision,
    Experiments,
)
from hybrid_coordinator.learning_settings import ExperimentSettings
from hybrid_coordinator.settings import Collection
from hybrid_coordinator.telemetry.metrics import Metrics

SIZE = 4
EDGE = pytest.param(
    "edge", marks=pytest.mark.skipif(not edge_installed(), reason="no extra 'embedded'")
)


def experiment(**settings: Any) -> ExperimentSettings:
    return ExperimentSettings.model_validate(
        {"variants": {"off": {"augmentation": False}, "on": {}}, "unit": "caller", **settings}
    )


def asked_by(caller: str, *turns: str) -> ChatRequest:
    messages = [{"role": "user", "content": turn} for turn in turns or ("What is a flake?",)]
    return ChatRequest(Dialect.OPENAI, {"messages": messages}, Caller(caller, caller), "id")


def labels(experiments: Experiments, callers: range = range(400)) -> dict[int, str | None]:
    given = {n: experiments.assign(asked_by(f"caller {n}")) for n in callers}
    return {n: None if one is None else one.label for n, one in given.items()}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def store() -> AsyncIterator[KnowledgeStore]:
    made = QdrantStore.local(None, SIZE, "test-embedder")
    await made.init()
    yield made
    await made.aclose()


@pytest.fixture(params=["local", EDGE])
async def any_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[KnowledgeStore]:
    made: KnowledgeStore
    if request.param == "edge":
        made = EdgeStore(tmp_path / "store", SIZE, "test-embedder")
    else:
        made = QdrantStore.local(tmp_path / "store", SIZE, "test-embedder")
    await made.init()
    yield made
    await made.aclose()


async def fill(store: KnowledgeStore, label: str, counts: Mapping[str, int], **fields: Any) -> None:
    """Put so many interactions of each outcome into the history."""
    dense = np.zeros(SIZE, dtype=np.float32)
    dense[0] = 1.0
    points = [
        Point(
            str(uuid.uuid5(uuid.NAMESPACE_OID, f"{label} {outcome} {number} {fields}")),
            dense,
            SparseVector((1,), (1.0,)),
            Record(
                InteractionHistory.model_validate(
                    {"query": "q", "experiment": label, "outcome": outcome, **fields}
                ),
                Provenance(caller="me"),
            ).payload(),
        )
        for outcome, count in counts.items()
        for number in range(count)
    ]
    await store.upsert(Collection.INTERACTION_HISTORY, points)


# Assignment


@given(caller=st.text(max_size=20))
def test_the_same_caller_always_gets_the_same_variant(caller: str) -> None:
    one, other = (Experiments({"x": experiment()}, Metrics()) for _ in range(2))
    first, second = one.assign(asked_by(caller)), other.assign(asked_by(caller, "And now?"))
    assert first is not None
    assert first == second


def test_without_experiments_or_with_disabled_ones_nobody_gets_a_variant(metrics: Metrics) -> None:
    assert Experiments({}, metrics).assign(asked_by("me")) is None
    assert Experiments({"x": experiment(enable=False)}, metrics).assign(asked_by("me")) is None


def test_an_assignment_carries_its_variants_settings_and_is_counted(metrics: Metrics) -> None:
    assignment = Experiments({"x": experiment()}, metrics).assign(asked_by("me"))
    assert assignment is not None
    assert assignment.label == f"x/{assignment.variant}"
    assert assignment.settings == experiment().variants[assignment.variant]
    counted = metrics.registry.get_sample_value(
        "hybrid_experiment_requests_total", {"experiment": "x", "variant": assignment.variant}
    )
    assert counted == 1


def test_a_conversation_keeps_its_variant_over_its_turns(metrics: Metrics) -> None:
    experiments = Experiments({"x": experiment(unit="conversation")}, metrics)
    seen = set()
    for number in range(40):
        turns = [f"Question {number}", "And then?", "And why?"]
        given = {experiments.assign(asked_by("me", *turns[:length])) for length in (1, 2, 3)}
        assert len(given) == 1
        seen |= {assignment.variant for assignment in given if assignment is not None}
    assert seen == {"off", "on"}


def test_a_request_is_in_one_experiment_the_first_by_name_whose_share_it_falls_in(
    metrics: Metrics,
) -> None:
    both = labels(Experiments({"b": experiment(), "a": experiment(share=0.5)}, metrics))
    alone = labels(Experiments({"a": experiment(share=0.5)}, metrics))
    assert {n for n, label in both.items() if label and label.startswith("a/")} == {
        n for n, label in alone.items() if label
    }
    rest = {label for n, label in both.items() if alone[n] is None}
    assert rest == {"b/off", "b/on"}
    assert 150 < sum(label is None for label in alone.values()) < 250


def test_variants_of_one_experiment_do_not_touch_another(metrics: Metrics) -> None:
    changed = experiment(share=0.5, variants={"p": {}, "q": {"weight": 9.0}, "r": {}})
    before = labels(Experiments({"a": experiment(share=0.5), "b": experiment()}, metrics))
    after = labels(Experiments({"a": changed, "b": experiment()}, metrics))
    of_b = {n: label for n, label in before.items() if label and label.startswith("b/")}
    assert of_b == {n: label for n, label in after.items() if label and label.startswith("b/")}
    assert len(of_b) > 100


# Reports


async def test_a_report_counts_outcomes_by_variant_and_leaves_turned_down_answers_out(
    any_store: KnowledgeStore, metrics: Metrics
) -> None:
    await fill(
        any_store,
        "x/on",
        {"success": 30, "partial": 4, "failure": 10, "unknown": 6},
        tokens_used=100,
        cost_usd=0.5,
    )
    await fill(any_store, "x/off", {"success": 20, "failure": 20}, tokens_used=50)
    await fill(any_store, "x/on", {"failure": 9}, parent="another", rejection="loop")
    await fill(any_store, "y/on", {"success": 7})
    await fill(any_store, "x=on", {"success": 70})
    await fill(any_store, "", {"success": 5})
    [report] = await Experiments({"x": experiment()}, metrics).report(any_store)
    off, on = report.variants
    assert (on.variant, on.interactions) == ("on", 50)
    assert (on.successes, on.partials, on.failures, on.outcomes) == (30, 4, 10, 44)
    assert (on.tokens_mean, on.cost_usd) == (100, 0.5)
    assert (off.interactions, off.successes, off.failures) == (40, 20, 20)
    assert (off.tokens_mean, off.cost_usd) == (50, 0)
    rate = posterior(30, 4, 10)
    assert (on.mean, (on.low, on.high)) == (rate.mean, rate.interval())
    assert on.best + off.best == pytest.approx(1)
    assert on.best > 0.9
    assert report.decision is Decision.RUNNING
    assert "'off' has 40 known outcomes" in report.why


async def test_a_report_without_interactions_says_that_nothing_is_known(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    [report] = await Experiments({"x": experiment()}, metrics).report(store)
    for one in report.variants:
        assert (one.interactions, one.mean, one.tokens_mean, one.cost_usd) == (0, 0.5, None, None)
        assert (one.low, one.high) == pytest.approx((0.025, 0.975))
        assert one.best == pytest.approx(0.5)


async def test_reports_come_by_name_and_tell_of_disabled_experiments(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    await fill(store, "b/on", {"success": 90})
    await fill(store, "b/off", {"failure": 90})
    declared = {"b": experiment(enable=False), "a": experiment()}
    reports = await Experiments(declared, metrics).report(store)
    assert [report.name for report in reports] == ["a", "b"]
    assert (reports[1].decision, reports[1].winner) == (Decision.OFF, None)
    assert reports[1].why == "It is switched off."
    assert reports[1].variants[1].successes == 90


async def test_the_work_of_a_report_does_not_grow_with_the_history(metrics: Metrics) -> None:
    class Watched(QdrantStore):
        asked: list[str]

        async def count(self, collection: Collection, where: Filter | None = None) -> int:
            self.asked.append("count")
            return await super().count(collection, where)

        async def scroll(self, *given: Any, **named: Any) -> Page:
            page = await super().scroll(*given, **named)
            self.asked.append(f"page of {len(page.points)}")
            return page

    store = Watched.local(None, SIZE, "test-embedder")
    assert isinstance(store, Watched)
    store.asked = []
    await store.init()
    await fill(store, "x/on", {"success": 1_500}, tokens_used=3)
    [report] = await Experiments({"x": experiment()}, metrics).report(store)
    assert report.variants[1].successes == 1_500
    assert report.variants[1].tokens_mean == 3
    assert store.asked == ["count"] * 8 + ["page of 256"] * 4
    await store.aclose()


# Winners


DECIDED: dict[str, Mapping[str, int]] = {
    "on": {"success": 60, "failure": 10},
    "off": {"success": 15, "failure": 55},
}


async def fill_decided(store: KnowledgeStore, name: str) -> None:
    for which, counts in DECIDED.items():
        await fill(store, f"{name}/{which}", counts)


async def test_after_a_decision_everybody_gets_the_winner(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    await fill_decided(store, "x")
    experiments = Experiments({"x": experiment(use_winner=True, share=0.2)}, metrics)
    assert None in labels(experiments).values()
    [report] = await experiments.refresh(store)
    assert (report.decision, report.winner) == (Decision.DECIDED, "on")
    assert experiments.winners == {"x": "on"}
    assert set(labels(experiments).values()) == {"x=on"}


async def test_without_use_winner_a_decision_changes_nothing(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    await fill_decided(store, "x")
    experiments = Experiments({"x": experiment()}, metrics)
    before = labels(experiments)
    await experiments.refresh(store)
    [report] = await experiments.report(store)
    assert report.winner == "on"
    assert labels(experiments) == before


async def test_what_the_winner_does_later_is_not_weighed_against_old_numbers(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    await fill_decided(store, "x")
    experiments = Experiments({"x": experiment(use_winner=True)}, metrics)
    await experiments.refresh(store)
    assignment = experiments.assign(asked_by("me"))
    assert assignment is not None
    await fill(store, assignment.label, {"failure": 500})
    [report] = await experiments.refresh(store)
    assert report.winner == "on"


async def test_a_winner_goes_on_under_the_variants_of_running_experiments(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    await fill_decided(store, "done")
    settled = experiment(
        use_winner=True, variants={"on": {"prompt": "Be brief.", "augmentation": True}, "off": {}}
    )
    going = experiment(share=0.5, variants={"with": {}, "without": {"augmentation": False}})
    experiments = Experiments({"done": settled, "going": going}, metrics)
    await experiments.refresh(store)
    given: dict[str, Assignment] = {}
    for number in range(100):
        assignment = experiments.assign(asked_by(f"caller {number}"))
        assert assignment is not None
        given[assignment.label] = assignment
    assert set(given) == {"done=on", "going/with", "going/without"}
    assert {a.settings.prompt for a in given.values()} == {"Be brief."}
    assert given["going/with"].settings.augmentation is True
    assert given["going/without"].settings.augmentation is False


async def test_a_store_that_is_away_leaves_the_winners_as_they_are(
    store: KnowledgeStore, metrics: Metrics
) -> None:
    class Away(QdrantStore):
        async def count(self, collection: Collection, where: Filter | None = None) -> int:
            raise StoreUnavailable("away")

    await fill_decided(store, "x")
    experiments = Experiments({"x": experiment(use_winner=True)}, metrics)
    await experiments.refresh(store)
    with pytest.raises(StoreUnavailable):
        await experiments.refresh(Away.local(None, SIZE, "test-embedder"))
    assert experiments.winners == {"x": "on"}
