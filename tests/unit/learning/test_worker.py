"""When the queue is worked on: idle and not, with a model and without, by one at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.errors import Conflict, StoreUnavailable
from hybrid_coordinator.inference import Fleet, build_backend
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.learning.records import ExtractionReport
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import BackendKind, BackendSettings, ModelSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.fakes import Answer, FakeOpenAI, running
from tests.unit.learning.extraction_bench import Extraction, scripted_fleet
from tests.unit.learning.history import HISTORY
from tests.unit.learning.sink_bench import Faulty

QUESTIONS = (
    "How do I undo the last commit?",
    "How do I bake a sourdough bread?",
    "Where are the logs of a systemd unit?",
    "How do I tune a violin?",
)
ANSWER = "Do this first. Then do that."
GOOD = Answer(text=json.dumps({"kind": "skill", "subject": 1, "steps": [2, 3]}))
TRIVIA = Answer(text=json.dumps({"kind": "trivia", "subject": 1, "steps": [2]}))
PROSE = Answer(text="I think so.")
AT_ONCE: dict[str, Any] = {"extraction": {"idle": 0.01}}


@asynccontextmanager
async def standing(
    folder: Path,
    embedder: FastembedEmbedder,
    around: Any = lambda store: store,
    default: Answer = GOOD,
    **settings: Any,
) -> AsyncIterator[tuple[FakeOpenAI, Extraction]]:
    model = FakeOpenAI(models=("scripted",), default=default)
    async with (
        asyncio.timeout(60),
        scripted_fleet(model) as fleet,
        Extraction.open(
            folder, embedder, fleet, LearningSettings.model_validate(settings), around
        ) as bench,
    ):
        yield model, bench


@asynccontextmanager
async def at_work(bench: Extraction) -> AsyncIterator[asyncio.Task[None]]:
    """The service's own worker, running."""
    task = asyncio.create_task(bench.worker.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def settled(bench: Extraction, interaction_id: str, state: str) -> None:
    """Until an interaction says so."""
    while await bench.state_of(interaction_id) != state:
        await asyncio.sleep(0.01)


# The timer's job.


async def test_a_run_works_through_and_says_what_it_did(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder) as (model, bench):
        for question in QUESTIONS:
            await bench.worth_it(question, f"{question} {ANSWER}")
        await bench.worth_it(QUESTIONS[0], f"{QUESTIONS[0]} {ANSWER}")
        # One is prose once, one is prose always, one is trivia, and one is the first again.
        model.enqueue(GOOD, PROSE, PROSE, TRIVIA, GOOD, GOOD, PROSE, PROSE)
        report = await bench.worker.drain()
        assert report == ExtractionReport(
            processed=8, stored=2, merged=1, nothing=1, failed=3, dead=1
        )
        name = "hybrid_extraction_queue_entries"
        states = ("waiting", "claimed", "dead")
        gauges = [bench.metrics.registry.get_sample_value(name, {"state": s}) for s in states]
        assert gauges == [0, 0, 1]
        assert await bench.worker.drain() == ExtractionReport()


async def test_a_run_may_be_limited(tmp_path: Path, embedder: FastembedEmbedder) -> None:
    async with standing(tmp_path, embedder) as (_, bench):
        for question in QUESTIONS:
            await bench.worth_it(question, ANSWER)
        report = await bench.worker.drain(3)
        assert (report.processed, report.waiting) == (3, 1)
        assert report.reason == "The limit of 3 is reached."
        report = await bench.worker.drain(3)
        assert (report.processed, report.waiting, report.reason) == (1, 0, "")


async def test_a_run_does_not_wait_for_idleness(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder) as (_, bench):
        await bench.worth_it(QUESTIONS[0], ANSWER)
        with bench.activity.request():
            assert (await bench.worker.drain()).stored == 1


async def test_two_runs_at_once_are_one_too_many(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder) as (model, bench):
        await bench.worth_it(QUESTIONS[0], ANSWER)
        held = asyncio.Event()
        model.enqueue(Answer(text=GOOD.text, hold=held))
        first = asyncio.create_task(bench.worker.drain())
        await model.until(lambda: model.running == 1)
        with pytest.raises(Conflict, match="already"):
            await bench.worker.drain()
        held.set()
        assert (await first).stored == 1
        assert (await bench.worker.drain()).processed == 0


async def test_a_run_that_is_broken_off_leaves_its_entry_waiting(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder) as (model, bench):
        entry = await bench.worth_it(QUESTIONS[0], ANSWER)
        model.enqueue(Answer(hold=asyncio.Event()))
        run = asyncio.create_task(bench.worker.drain())
        await model.until(lambda: model.running == 1)
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        assert await bench.queue.waiting(9) == [entry]
        assert (await bench.worker.drain()).stored == 1


async def test_a_run_puts_in_again_what_the_queue_lost(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    """Redis may be emptied: the interaction itself says that it waits."""
    async with standing(tmp_path, embedder) as (_, bench):
        lost = await bench.worth_it(QUESTIONS[0], ANSWER)
        done = await bench.worth_it(QUESTIONS[1], ANSWER, extraction="done")
        await bench.queue.remove(lost.interaction_id)
        await bench.queue.remove(done.interaction_id)
        report = await bench.worker.drain()
        assert (report.processed, report.stored) == (1, 1)
        assert await bench.state_of(lost.interaction_id) == "done"


async def test_what_is_to_be_learned_anew_after_a_forget_is(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder) as (_, bench):
        first = await bench.worth_it(QUESTIONS[0], ANSWER)
        second = await bench.worth_it(QUESTIONS[0], ANSWER)
        assert (await bench.worker.drain()).merged == 1
        await bench.room.knowledge.delete(HISTORY, [first.interaction_id], "anna")
        await bench.queue.remove(first.interaction_id)
        await bench.shelf.unlearn(first.interaction_id)
        assert await bench.stored() == []
        assert (await bench.worker.drain()).stored == 1
        ((_, _, payload),) = await bench.stored()
        assert payload["source_interactions"] == [second.interaction_id]


async def test_a_run_where_extraction_is_off_says_so_and_keeps_the_queue(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder, pattern_extraction_enabled=False) as (model, bench):
        await bench.worth_it(QUESTIONS[0], ANSWER)
        report = await bench.worker.drain()
        assert (report.processed, report.waiting) == (0, 1)
        assert "pattern_extraction_enabled" in report.reason
        await bench.worker.run()
        assert model.started == 0


async def test_a_run_over_a_store_that_is_away_fails_and_loses_nothing(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    stores: list[Faulty] = []

    def around(store: Any) -> Any:
        stores.append(Faulty(store))
        return stores[-1]

    async with standing(tmp_path, embedder, around) as (_, bench):
        entry = await bench.worth_it(QUESTIONS[0], ANSWER)
        # The look for lost entries succeeds, reading the interaction does not.
        stores[0].calls, stores[0].fails_at = 0, 2
        with pytest.raises(StoreUnavailable):
            await bench.worker.drain()
        assert await bench.queue.waiting(9) == [entry]
        assert (await bench.worker.drain()).stored == 1


# While the service is idle.


async def test_the_service_extracts_while_it_is_idle(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder, **AT_ONCE) as (_, bench), at_work(bench):
        first = await bench.worth_it(QUESTIONS[0], ANSWER)
        await settled(bench, first.interaction_id, "done")
        # It wakes for what comes later.
        second = await bench.worth_it(QUESTIONS[1], ANSWER)
        await settled(bench, second.interaction_id, "done")
        assert bench.naps == []


async def test_a_request_that_comes_in_ends_the_extraction_and_it_is_no_try(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder, **AT_ONCE) as (model, bench):
        entry = await bench.worth_it(QUESTIONS[0], ANSWER)
        model.enqueue(Answer(hold=asyncio.Event()))
        async with at_work(bench):
            await model.until(lambda: model.running == 1)
            with bench.activity.request():
                # The model is free for the request at once.
                await model.until(lambda: model.cancelled == 1)
                while not await bench.queue.waiting(9):
                    await asyncio.sleep(0.01)
                assert await bench.queue.waiting(9) == [entry]
                assert model.started == 1
            await settled(bench, entry.interaction_id, "done")
        assert model.started == 2
        assert bench.counted("rejected") == 0


async def test_nothing_is_extracted_while_requests_are_under_way(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder, **AT_ONCE) as (model, bench):
        with bench.activity.request():
            async with at_work(bench):
                entry = await bench.worth_it(QUESTIONS[0], ANSWER)
                for _ in range(20):
                    await asyncio.sleep(0.005)
                assert model.started == 0
                assert await bench.queue.waiting(9) == [entry]


async def test_the_service_waits_for_a_model_to_be_ready(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    """Lesson 9. And without a busy loop: it is told."""
    model = FakeOpenAI(models=("other",), default=GOOD)
    async with asyncio.timeout(60), running(model) as url:
        settings = BackendSettings(
            kind=BackendKind.OPENAI,
            tier="local",
            base_url=url,
            models=(ModelSettings(name="scripted"),),
            probe_interval=0.3,
        )
        fleet = Fleet([build_backend("local", settings, None, Path())], Metrics())
        await fleet.start()
        learning = LearningSettings.model_validate(AT_ONCE)
        async with (
            Extraction.open(tmp_path, embedder, fleet, learning) as bench,
            at_work(bench),
        ):
            entry = await bench.worth_it(QUESTIONS[0], ANSWER)
            assert not fleet.statuses()[0].ready
            model.models.append("scripted")
            await settled(bench, entry.interaction_id, "done")
            assert bench.naps == []
        await fleet.aclose()


async def test_ending_the_service_leaves_the_entry_waiting(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder, **AT_ONCE) as (model, bench):
        entry = await bench.worth_it(QUESTIONS[0], ANSWER)
        model.enqueue(Answer(hold=asyncio.Event()))
        async with at_work(bench):
            await model.until(lambda: model.running == 1)
        assert await bench.queue.waiting(9) == [entry]


async def test_the_timers_run_and_the_service_do_not_work_at_once(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    async with standing(tmp_path, embedder, **AT_ONCE) as (model, bench):
        for question in QUESTIONS:
            await bench.worth_it(question, f"{question} {ANSWER}")
        async with at_work(bench):
            await bench.worker.drain()
            while (await bench.queue.depth()).waiting:
                await asyncio.sleep(0.01)
        assert model.most_running == 1
        assert len(await bench.stored()) == len(QUESTIONS)


async def test_a_store_that_is_away_is_counted_and_tried_again_with_longer_pauses(
    tmp_path: Path, embedder: FastembedEmbedder
) -> None:
    class Away(Faulty):
        left = 0

        def __getattr__(self, name: str) -> Any:
            if name == "scroll" and self.left:
                self.left -= 1
                self.calls, self.fails_at = 0, 1
            return super().__getattr__(name)

    stores: list[Away] = []

    def around(store: Any) -> Any:
        stores.append(Away(store))
        return stores[-1]

    async with standing(tmp_path, embedder, around, **AT_ONCE) as (_, bench):
        entry = await bench.worth_it(QUESTIONS[0], ANSWER)
        stores[0].left = 3
        async with at_work(bench):
            await settled(bench, entry.interaction_id, "done")
        assert bench.naps == [1.0, 2.0, 4.0]
        labels = {"room": "learning", "kind": "store_unavailable"}
        assert bench.metrics.registry.get_sample_value("hybrid_failures_total", labels) == 3
