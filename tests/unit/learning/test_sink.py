"""What a delivered interaction or outcome leaves in the store, once or however often."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from hybrid_coordinator.errors import Forbidden, StoreUnavailable, Unprocessable
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.store import Filter
from hybrid_coordinator.learning.delivery import Sink
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import Outcome, QueuedExtraction, Tracked
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import Collection, RetrievalSettings
from hybrid_coordinator.telemetry.events import OutcomeRecorded, ValueScoreComputed
from tests.unit.learning.history import HISTORY
from tests.unit.learning.sink_bench import ASKED, NOW, SKILL, Bench, bench_of, tracked

SKILLS = Collection.SKILLS_PATTERNS


@pytest.fixture
async def bench(embedder: FastembedEmbedder) -> AsyncIterator[Bench]:
    made = await bench_of(embedder, LearningSettings(high_value_threshold=0.6))
    await made.seeded()
    made.room.changed.clear()
    yield made
    await made.room.knowledge.aclose()


def test_it_is_a_sink_for_the_deliverer(bench: Bench) -> None:
    sink: Sink = bench.sink
    assert sink is bench.sink


async def test_an_interaction_becomes_a_point_under_its_own_id(bench: Bench) -> None:
    await bench.sink.store([tracked()])
    payload = await bench.room.payload(HISTORY, ASKED)
    assert (payload["caller"], payload["created"]) == ("anna", 500.0)
    assert await bench.item() == tracked().item
    skill = await bench.room.payload(SKILLS, SKILL)
    assert (skill["access_count"], skill["last_accessed"]) == (1, 500.0)
    assert bench.room.changed == [], "cached answers need not go"


async def test_lesson_24_storing_again_leaves_what_became_of_it(bench: Bench) -> None:
    await bench.sink.store([tracked()])
    await bench.settled(Outcome.SUCCESS, 1)
    before = await bench.room.payload(HISTORY, ASKED)
    assert before["extraction"] == "queued"
    await bench.sink.store([tracked()])
    assert await bench.room.payload(HISTORY, ASKED) == before
    assert (await bench.room.payload(SKILLS, SKILL))["access_count"] == 1


async def test_success_and_praise_are_noted_counted_scored_queued_and_announced_once(
    bench: Bench,
) -> None:
    await bench.sink.store([tracked()])
    for _ in range(3):
        await bench.settled(Outcome.SUCCESS, 1)
    item = await bench.item()
    assert (item.outcome, item.user_feedback, item.feedback_given) == ("success", 1, True)
    assert (item.outcome_source, item.scored, item.extraction) == ("client", NOW, "queued")
    parts = item.value_parts
    assert (parts["outcome_quality"], parts["user_feedback"]) == (1, 1)
    assert parts["reusability"] == 0
    assert parts["complexity"] == pytest.approx(0.1)
    assert 0 <= parts["novelty"] < 1
    assert item.value_score == pytest.approx(0.6 + 0.01 + 0.1 * parts["novelty"])
    assert (await bench.room.payload(SKILLS, SKILL))["helpful_count"] == 1
    (outcome,) = bench.of(OutcomeRecorded)
    assert (outcome.interaction_id, outcome.outcome, outcome.source) == (ASKED, "success", "client")
    (scored,) = bench.of(ValueScoreComputed)
    assert (scored.score, scored.novelty) == (item.value_score, parts["novelty"])
    labels = {"outcome": "success", "source": "client"}
    assert bench.value("hybrid_outcomes_total", **labels) == 1
    assert bench.value("hybrid_value_score_ratio_count") == 1


@pytest.mark.parametrize(
    ("threshold", "enabled", "outcome", "queued"),
    [
        (0.5, True, Outcome.SUCCESS, True),
        (0.3, True, Outcome.PARTIAL, True),
        (0.05, True, Outcome.FAILURE, False),
        (0.99, True, Outcome.SUCCESS, False),
        (0.5, False, Outcome.SUCCESS, False),
    ],
)
async def test_an_answer_that_helped_and_scored_high_goes_into_the_queue(
    embedder: FastembedEmbedder, threshold: float, enabled: bool, outcome: Outcome, queued: bool
) -> None:
    settings = LearningSettings(high_value_threshold=threshold, pattern_extraction_enabled=enabled)
    bench = await bench_of(embedder, settings)
    await bench.sink.store([tracked(context_provided=())])
    await bench.settled(outcome)
    item = await bench.item()
    assert (item.extraction == "queued") == queued
    entry = QueuedExtraction(ASKED, "anna", item.value_score, NOW)
    assert bench.queue.entries == ({ASKED: entry} if queued else {})
    (scored,) = bench.of(ValueScoreComputed)
    assert scored.high_value == (item.value_score >= threshold)


async def test_exactly_the_threshold_is_enough(bench: Bench) -> None:
    novel = tracked(context_provided=(), response="git reset")
    await bench.room.knowledge.delete(SKILLS, [SKILL], "anna")
    await bench.sink.store([novel])
    await bench.settled(Outcome.SUCCESS, 1)
    assert (await bench.item()).value_score == 0.7
    assert ASKED in bench.queue.entries


async def test_another_outcome_is_scored_anew_and_the_same_is_not(bench: Bench) -> None:
    await bench.sink.store([tracked()])
    await bench.settled(Outcome.FAILURE)
    await bench.settled(Outcome.FAILURE, 0)  # neutral counts as none does
    low = (await bench.item()).value_score
    await bench.settled(Outcome.SUCCESS, 0)
    await bench.settled(Outcome.SUCCESS, 1)
    assert (await bench.item()).value_score == pytest.approx(low + 0.4 + 0.1)
    assert [event.score for event in bench.of(ValueScoreComputed)] == pytest.approx(
        [low, low + 0.4, low + 0.5]
    )
    skill = await bench.room.payload(SKILLS, SKILL)
    assert (skill["helpful_count"], skill["harmful_count"]) == (1, 0)


@pytest.mark.parametrize("extraction", ["done", "nothing", "dead"])
async def test_what_was_extracted_once_is_not_queued_again(bench: Bench, extraction: str) -> None:
    await bench.sink.store([tracked()])
    await bench.settled(Outcome.SUCCESS, 0)
    await bench.room.knowledge.amend(HISTORY, [ASKED], {"extraction": extraction})
    bench.queue.entries.clear()
    await bench.settled(Outcome.SUCCESS, 1)
    assert (await bench.item()).extraction == extraction
    assert bench.queue.entries == {}


async def test_signs_that_decide_nothing_are_noted_and_not_announced(bench: Bench) -> None:
    await bench.sink.store([tracked()])
    await bench.sink.settle(ASKED, "anna", OutcomeState(signals={"retry": -0.25}))
    item = await bench.item()
    assert (item.outcome, item.signals, item.value_parts) == ("unknown", {"retry": -0.25}, {})
    assert bench.events == []
    await bench.sink.settle(ASKED, "anna", OutcomeState(signals={"retry": -0.25, "reask": -0.5}))
    item = await bench.item()
    assert (item.outcome, item.outcome_source) == ("failure", "reask")
    assert item.value_score == pytest.approx(0.1 + 0.01 + 0.1 * item.value_parts["novelty"])
    assert [event.source for event in bench.of(OutcomeRecorded)] == ["reask"]
    assert bench.called_wrong == [], "a sign is no verdict on a cached answer"


async def test_an_outcome_that_is_taken_back_leaves_no_score(bench: Bench) -> None:
    await bench.sink.store([tracked()])
    await bench.sink.settle(ASKED, "anna", OutcomeState(signals={"thumbs": -1.0}))
    assert (await bench.item()).value_parts
    await bench.sink.settle(ASKED, "anna", OutcomeState())
    item = await bench.item()
    assert (item.outcome, item.value_score, item.value_parts) == ("unknown", 0, {})
    assert (item.scored, item.feedback_given, item.outcome_source) == (0, False, "")
    assert [event.outcome for event in bench.of(OutcomeRecorded)] == ["failure", "unknown"]
    assert (await bench.room.payload(SKILLS, SKILL))["harmful_count"] == 0


@pytest.mark.parametrize(
    "state",
    [
        OutcomeState(outcome=Outcome.FAILURE),
        OutcomeState(user_feedback=-1),
        OutcomeState(signals={"agent": -1.0}),
        OutcomeState(signals={"thumbs": -1.0}),
    ],
)
async def test_an_answer_that_somebody_called_wrong_leaves_the_cache_once(
    bench: Bench, state: OutcomeState
) -> None:
    await bench.sink.store([tracked()])
    bench.wrong_fails = 1
    with pytest.raises(StoreUnavailable):
        await bench.sink.settle(ASKED, "anna", state)
    for _ in range(2):
        await bench.sink.settle(ASKED, "anna", state)
    assert bench.called_wrong == [ASKED]
    assert len(bench.of(OutcomeRecorded)) == 1


@pytest.mark.parametrize("caller", ["anna", "ben"])
async def test_an_interaction_that_is_gone_or_anothers_is_passed_over(
    bench: Bench, caller: str
) -> None:
    await bench.sink.store([tracked()])
    if caller == "anna":
        store = await bench.room.knowledge.opened()
        await store.delete(HISTORY, Filter(ids=(ASKED,)))
    await bench.sink.settle(ASKED, caller, OutcomeState(outcome=Outcome.SUCCESS))
    assert bench.events == []
    assert bench.queue.entries == {}


async def test_an_id_that_is_anothers_interaction_is_refused(bench: Bench) -> None:
    await bench.sink.store([tracked()])
    with pytest.raises(Forbidden):
        await bench.sink.store([Tracked(ASKED, "ben", tracked().item)])
    assert (await bench.room.payload(HISTORY, ASKED))["caller"] == "anna"


async def test_a_question_that_says_nothing_holds_up_no_queue(bench: Bench) -> None:
    with pytest.raises(Unprocessable):
        await bench.sink.store([tracked(query=" \n")])
    store = await bench.room.knowledge.opened()
    assert await store.count(HISTORY) == 0


async def test_a_rejected_local_answer_counts_nothing_for_the_items_of_its_prompt(
    bench: Bench,
) -> None:
    await bench.sink.store([tracked(parent=str(uuid.UUID(int=2)), rejection="refusal")])
    await bench.sink.settle(ASKED, "anna", OutcomeState(signals={"escalation": -1.0}))
    item = await bench.item()
    assert (item.outcome, item.context_provided) == ("failure", ())
    assert (await bench.room.payload(SKILLS, SKILL))["access_count"] == 0


async def test_a_source_that_turned_out_a_failure_helps_its_pattern_no_more(bench: Bench) -> None:
    await bench.sink.store([tracked(context_provided=())])
    await bench.settled(Outcome.SUCCESS, 1)
    learned = {"learned": True, "source_interactions": [ASKED], "helpful_count": 1}
    await bench.room.knowledge.amend(SKILLS, [SKILL], learned)
    await bench.room.knowledge.amend(HISTORY, [ASKED], {"extraction": "done"})
    await bench.settled(Outcome.FAILURE, 1)
    assert (await bench.room.payload(SKILLS, SKILL))["helpful_count"] == 0


async def test_history_that_gets_into_prompts_is_announced(embedder: FastembedEmbedder) -> None:
    bench = await bench_of(embedder, retrieval=RetrievalSettings(limits={HISTORY: 2}))
    await bench.sink.store([tracked(context_provided=())])
    assert bench.room.changed == [HISTORY]
    await bench.sink.store([tracked(context_provided=())])
    assert bench.room.changed == [HISTORY], "nothing changed"
    await bench.room.knowledge.aclose()


async def test_a_queue_that_is_away_is_put_into_later(bench: Bench) -> None:
    await bench.sink.store([tracked()])
    bench.queue.failing = True
    await bench.settled(Outcome.SUCCESS, 1)
    assert (await bench.item()).extraction == "queued", "so that it is found"
    assert not bench.queue.entries
    bench.queue.failing = False
    await bench.settled(Outcome.SUCCESS, 1)
    assert list(bench.queue.entries) == [ASKED]
    assert len(bench.of(ValueScoreComputed)) == 1
