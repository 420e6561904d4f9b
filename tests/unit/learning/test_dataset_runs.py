"""How training data is divided, counted and announced, and what a run may not do."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_coordinator.conversation import LOOPBACK_CALLER, Caller
from hybrid_coordinator.errors import Conflict, StoreUnavailable, Unprocessable
from hybrid_coordinator.knowledge.store import Page, Point
from hybrid_coordinator.learning.dataset_files import Manifest
from hybrid_coordinator.learning.records import DatasetFormat, DatasetRequest
from hybrid_coordinator.telemetry.events import FineTuningUpdate
from tests.unit.learning.dataset_place import (
    ALL_TRAIN,
    EMBEDDER,
    HISTORY,
    NAMES,
    Place,
    Stored,
    asked,
    direction,
    interaction,
    stored,
    written,
)

ANNA = Caller(id="anna", name="Anna")


def paraphrases(clusters: int, each: int) -> list[Point]:
    """Clusters whose members are chained: each near the next, not all near each other."""
    return [
        interaction(
            cluster * each + member + 1,
            f"cluster {cluster} wording {member}",
            vector=direction(1000 + cluster, 0.5 * member / each),
        )
        for cluster in range(clusters)
        for member in range(each)
    ]


@pytest.mark.parametrize("exact_up_to", [50_000, 0])
async def test_paraphrases_are_never_on_both_sides_of_the_split(
    exact_up_to: int, tmp_path: Path
) -> None:
    """By comparing all, and by the store's own search."""
    place = Place(await stored(paraphrases(60, 4)), tmp_path, exact_up_to=exact_up_to)
    await place.writer.write(DatasetRequest(validation_share=0.3), LOOPBACK_CALLER)
    sides = [
        {text.split(" wording")[0] for text in asked(place.rows(name))}
        for name in ("dataset.jsonl", "dataset.validation.jsonl")
    ]
    assert len(sides[0]) + len(sides[1]) == 60
    assert not sides[0] & sides[1]
    assert 8 <= len(sides[1]) <= 30


async def test_a_cluster_stays_on_its_side_while_it_grows(tmp_path: Path) -> None:
    points = paraphrases(40, 3)
    wanted = DatasetRequest(validation_share=0.5)
    first = await written(tmp_path / "a", *points, wanted=wanted)
    more = [
        interaction(5_000 - n, f"newer {n}", vector=p.dense, timestamp=90_000.0 + n)
        for n, p in enumerate(points[::3])
    ]
    second = await written(tmp_path / "b", *points, *more, wanted=wanted)
    before = set(asked(first.rows("dataset.validation.jsonl")))
    after = set(asked(second.rows("dataset.validation.jsonl")))
    assert before
    assert before == {text for text in after if text.startswith("cluster")}


async def test_a_set_too_small_for_the_share_is_all_for_training(tmp_path: Path) -> None:
    """The first example is found where people look for it."""
    for count in range(1, 10):
        points = [interaction(n) for n in range(1, count + 1)]
        place = await written(tmp_path / str(count), *points, wanted=DatasetRequest())
        assert len(place.rows("dataset.jsonl")) == count
        assert place.rows("dataset.validation.jsonl") == []


@pytest.mark.parametrize(("share", "validation"), [(0.0, 0), (1.0, 5)])
async def test_all_or_nothing_may_be_put_aside(
    share: float, validation: int, tmp_path: Path
) -> None:
    points = [interaction(n) for n in range(1, 6)]
    place = await written(tmp_path, *points, wanted=DatasetRequest(validation_share=share))
    assert len(place.rows("dataset.validation.jsonl")) == validation


async def test_the_manifest_says_what_was_let_in_and_hashes_every_file(tmp_path: Path) -> None:
    place = Place(await stored([interaction(n) for n in range(1, 21)]), tmp_path)
    report = await place.writer.write(DatasetRequest(min_score=0.5), LOOPBACK_CALLER)
    manifest = Manifest.model_validate_json(Path(report.manifest_path).read_bytes())
    assert manifest.filter.model_dump() == {
        "caller": None,
        "outcome": "success",
        "min_score": 0.5,
        "near_duplicate": 0.97,
        "same_cluster": 0.8,
        "validation_share": 0.1,
    }
    assert (manifest.embedder, manifest.considered) == (EMBEDDER, 20)
    assert manifest.counts == {"openai": 20, "sharegpt": 20, "preference": 0}
    for name, entry in manifest.files.items():
        content = (tmp_path / name).read_bytes()
        assert entry.sha256 == hashlib.sha256(content).hexdigest() == report.files[name]["sha256"]
        assert (entry.examples, entry.bytes) == (content.count(b"\n"), len(content))


async def test_equal_input_gives_equal_bytes_whatever_order_it_came_in(tmp_path: Path) -> None:
    points = [*paraphrases(20, 3), interaction(900, "cluster 1 wording 0", outcome="failure")]
    await written(tmp_path / "a", *points, wanted=DatasetRequest())
    await written(tmp_path / "b", *reversed(points), wanted=DatasetRequest())
    for name in (*NAMES, "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


async def test_new_examples_are_those_that_the_set_before_had_not(tmp_path: Path) -> None:
    knowledge = await stored([interaction(1), interaction(2)])
    place = Place(knowledge, tmp_path)
    await place.writer.write(DatasetRequest(), LOOPBACK_CALLER)
    await knowledge.store.upsert(
        HISTORY,
        [interaction(3), interaction(2, answer="another answer")],
    )
    # Another format of the same conversations adds nothing by itself.
    wanted = DatasetRequest(formats=(DatasetFormat.SHAREGPT,))
    report = await place.writer.write(wanted, LOOPBACK_CALLER)
    assert (report.dataset_size, report.new_examples) == (3, 2)
    assert report.path == str(tmp_path / "dataset.sharegpt.jsonl")
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == [
        "dataset.sharegpt.jsonl",
        "dataset.sharegpt.validation.jsonl",
        "manifest.json",
    ]
    again = await place.writer.write(DatasetRequest(), LOOPBACK_CALLER)
    assert again.new_examples == 0


async def test_the_event_and_the_gauge_say_how_large_the_set_is(tmp_path: Path) -> None:
    """Lesson 6: the event that readers look for is written."""
    place = await written(tmp_path, *(interaction(n) for n in range(1, 8)))
    assert place.telemetry.events == [
        FineTuningUpdate(
            timestamp=1_700_000_000.0,
            dataset_size=7,
            new_examples=7,
            formats={"openai": 7, "sharegpt": 7, "preference": 0},
        )
    ]
    assert place.gauge("openai") == 7
    started = Place(await stored([]), tmp_path)
    await started.writer.start()
    assert started.gauge("openai") == 7, "after a restart too"


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (DatasetRequest(min_score=1.2), "min_score"),
        (DatasetRequest(validation_share=-0.1), "validation_share"),
        (DatasetRequest(validation_share=float("nan")), "validation_share"),
        (DatasetRequest(formats=()), "formats"),
    ],
)
async def test_an_impossible_wish_is_refused_by_its_field(
    wanted: DatasetRequest, field: str, tmp_path: Path
) -> None:
    place = Place(await stored([]), tmp_path)
    with pytest.raises(Unprocessable) as refused:
        await place.writer.write(wanted, LOOPBACK_CALLER)
    assert refused.value.field == field


class Slow(Stored):
    """A store whose first page comes when it is allowed to."""

    def __init__(self, inner: Stored) -> None:
        super().__init__(inner.store)
        self.asked = asyncio.Event()
        self.allowed = asyncio.Event()

    async def opened(self) -> Any:
        self.asked.set()
        await self.allowed.wait()
        return self.store


async def test_a_second_run_is_refused_and_a_removal_waits_for_the_first(tmp_path: Path) -> None:
    knowledge = Slow(await stored([interaction(1), interaction(2)]))
    place = Place(knowledge, tmp_path)
    first = asyncio.create_task(place.writer.write(ALL_TRAIN, LOOPBACK_CALLER))
    await knowledge.asked.wait()
    with pytest.raises(Conflict):
        await place.writer.write(ALL_TRAIN, ANNA)
    removal = asyncio.create_task(place.writer.without(str(uuid.UUID(int=1))))
    knowledge.allowed.set()
    assert (await first).dataset_size == 2
    assert await removal == 2, "once as OpenAI's, once as ShareGPT's"
    assert asked(place.rows()) == ["question 2"]


async def test_a_run_that_is_cancelled_leaves_the_old_set_and_lets_the_next_run(
    tmp_path: Path,
) -> None:
    knowledge = Slow(await stored([interaction(1)]))
    place = Place(knowledge, tmp_path)
    knowledge.allowed.set()
    await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    knowledge.allowed.clear()
    knowledge.asked.clear()
    second = asyncio.create_task(place.writer.write(ALL_TRAIN, LOOPBACK_CALLER))
    await knowledge.asked.wait()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert asked(place.rows()) == ["question 1"]
    knowledge.allowed.set()
    assert (await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)).dataset_size == 1


class Gone(Stored):
    async def opened(self) -> Any:
        raise StoreUnavailable("The store is away.")


async def test_a_store_that_is_away_is_said_and_the_old_set_stays(tmp_path: Path) -> None:
    knowledge = await stored([interaction(1)])
    await Place(knowledge, tmp_path).writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    place = Place(Gone(knowledge.store), tmp_path)
    with pytest.raises(StoreUnavailable):
        await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert asked(place.rows()) == ["question 1"]


class Endless:
    """A store whose interactions are made as they are read: only what we keep takes memory."""

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size

    async def scroll(self, *_: Any, after: str | None = None, limit: int = 0, **__: Any) -> Page:
        start = int(after or 0)
        numbers = range(start, min(start + limit, self.count))
        random = np.random.default_rng(start)
        vectors = random.normal(size=(len(numbers), self.size)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        points = [
            interaction(n + 1, answer="a long answer " * 60, vector=v)
            for n, v in zip(numbers, vectors, strict=True)
        ]
        shown: list[Any] = [_Shown(p.id, p.payload, p.dense) for p in points]
        end = numbers.stop
        return Page(tuple(shown), None if end >= self.count else str(end))


class _Shown:
    def __init__(self, id_: str, payload: Any, dense: Any) -> None:
        self.id, self.payload, self.dense = id_, payload, dense


async def test_twenty_thousand_interactions_take_little_memory(tmp_path: Path) -> None:
    """Lesson 20: texts and vectors together are 40 MB here; a fraction of it is in memory."""
    place = Place(Stored(Endless(20_000, 256)), tmp_path)  # type: ignore[arg-type]
    wanted = DatasetRequest(formats=(DatasetFormat.OPENAI,))
    tracemalloc.start()
    try:
        report = await place.writer.write(wanted, LOOPBACK_CALLER)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.dataset_size == 20_000
    size = sum(f.stat().st_size for f in (tmp_path / "dataset.jsonl").parent.glob("*.jsonl"))
    assert size > 17_000_000
    assert peak < 16_000_000


async def test_separators_that_some_readers_take_for_line_ends_are_escaped(tmp_path: Path) -> None:
    text = "one\u2028two\u2029three\x85four\x0bfive\x1esix\r\nseven"
    place = await written(tmp_path, interaction(1, text, text))
    content = (tmp_path / "dataset.jsonl").read_text("utf-8")
    assert len(content.splitlines()) == 1
    assert json.loads(content)["messages"][1]["content"] == text
    assert len(place.rows("dataset.sharegpt.jsonl")) == 1


def test_vectors_turned_by_a_known_amount_have_the_cosine_they_say() -> None:
    for off, seed in itertools.product((0.0, 0.2, 0.75), range(5)):
        cosine = float(direction(seed) @ direction(seed, off))
        assert cosine == pytest.approx(1 / np.sqrt(1 + off**2), abs=1e-5)
