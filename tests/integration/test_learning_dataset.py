"""The training files are what others' readers take: Hugging Face's ``datasets``, OpenAI's types."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import TypeAdapter

from hybrid_coordinator.conversation import LOOPBACK_CALLER, Caller
from hybrid_coordinator.knowledge.edge import EdgeStore
from hybrid_coordinator.knowledge.store import Point, Vector
from hybrid_coordinator.learning.dataset_formats import read_dataset
from hybrid_coordinator.learning.records import DatasetFormat, DatasetRequest
from tests.unit.knowledge.conftest import needs_edge
from tests.unit.learning.dataset_place import (
    EMBEDDER,
    HISTORY,
    Place,
    Stored,
    direction,
    interaction,
    stored,
)

TEXTS = ("plain", "two\nlines", 'quotes " and \\', "ünï ¶ 漢字 🙂", "a\u2028b\x85c", "x" * 30_000)
HISTORY_BEFORE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
]


def interactions() -> list[Point]:
    """Thirty examples, ten of them after earlier messages, and ten preference pairs."""
    made = []
    for number in range(1, 31):
        text = TEXTS[number % len(TEXTS)]
        history = HISTORY_BEFORE if number % 3 == 0 else ""
        made.append(interaction(number, f"{number}: {text}", f"{text} {number}", history=history))
        if number % 3 == 1:
            made.append(
                interaction(
                    1000 + number,
                    f"{number}: {text}",
                    f"wrong {number}",
                    parent=str(uuid.UUID(int=number)),
                    outcome="failure",
                    value_score=0.1,
                )
            )
    return made


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    made = Place(await stored(interactions()), tmp_path / "fine-tuning")
    await made.writer.write(DatasetRequest(validation_share=0.3), LOOPBACK_CALLER)
    return made


def loaded(folder: Path, train: str, validation: str, tmp_path: Path) -> Any:
    """Both files by the real package, offline."""
    datasets = pytest.importorskip("datasets", reason="the package 'datasets' is not installed")
    files = {"train": str(folder / train), "validation": str(folder / validation)}
    return datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def test_datasets_loads_the_openai_files(place: Place, tmp_path: Path) -> None:
    got = loaded(place.folder, "dataset.jsonl", "dataset.validation.jsonl", tmp_path)
    assert got["train"].column_names == got["validation"].column_names == ["messages"]
    assert got["train"].num_rows + got["validation"].num_rows == 30
    assert 0 < got["validation"].num_rows < 20
    for split, name in (("train", "dataset.jsonl"), ("validation", "dataset.validation.jsonl")):
        rows = [row["messages"] for row in got[split]]
        assert rows == [row["messages"] for row in place.rows(name)]
    whole = {m["content"] for row in got["train"] for m in row["messages"]}
    assert any("\u2028" in text for text in whole)


def test_datasets_loads_the_sharegpt_files(place: Place, tmp_path: Path) -> None:
    got = loaded(
        place.folder, "dataset.sharegpt.jsonl", "dataset.sharegpt.validation.jsonl", tmp_path
    )
    assert got["train"].column_names == ["conversations"]
    assert got["train"].num_rows + got["validation"].num_rows == 30
    turns = {turn["from"] for row in got["train"] for turn in row["conversations"]}
    assert turns == {"system", "human", "gpt"}


def test_datasets_loads_the_preference_files(place: Place, tmp_path: Path) -> None:
    got = loaded(place.folder, "preferences.jsonl", "preferences.validation.jsonl", tmp_path)
    columns = ["input", "preferred_output", "non_preferred_output"]
    assert got["train"].column_names == columns
    assert got["train"].num_rows + got["validation"].num_rows == 10
    row = got["train"][0]
    assert row["preferred_output"][0]["content"] != row["non_preferred_output"][0]["content"]


def test_openais_own_types_take_every_message(place: Place) -> None:
    types = pytest.importorskip("openai.types.chat", reason="the client 'openai' is not installed")
    message: TypeAdapter[Any] = TypeAdapter(types.ChatCompletionMessageParam)
    assert len(get_args(types.ChatCompletionMessageParam)) > 3
    for name in ("dataset.jsonl", "dataset.validation.jsonl"):
        for row in place.rows(name):
            for one in row["messages"]:
                message.validate_python(one)
    for row in place.rows("preferences.jsonl"):
        for one in (
            *row["input"]["messages"],
            *row["preferred_output"],
            *row["non_preferred_output"],
        ):
            message.validate_python(one)
    with pytest.raises(ValueError, match="role"):
        message.validate_python({"role": "human", "content": "x"})


def test_rows_have_the_documented_fields_and_no_other(place: Place) -> None:
    """OpenAI's guide: ``messages``; for preferences ``input`` and two ``…_output``."""
    assert {tuple(row) for row in place.rows()} == {("messages",)}
    assert all(row["messages"][-1]["role"] == "assistant" for row in place.rows())
    for row in place.rows("preferences.jsonl"):
        assert list(row) == ["input", "preferred_output", "non_preferred_output"]
        assert row["input"]["messages"][-1]["role"] == "user"
        assert [len(row[key]) for key in list(row)[1:]] == [1, 1]


def many(count: int, size: int, callers: int) -> list[Point]:
    """Groups of four paraphrases, and of every hundredth an exact repetition."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(count // 4 + 1, size)).astype(np.float32)
    noise = random.normal(size=(count, size)).astype(np.float32)

    def vector(number: int) -> Vector:
        turned = centres[number // 4] + 0.25 * noise[number]
        made: Vector = (turned / np.linalg.norm(turned)).astype(np.float32)
        return made

    return [
        interaction(
            number + 1,
            f"group {number // 4} wording {number % 4}",
            "the same" if number % 100 == 1 else f"answer {number}",
            caller=f"caller-{number % callers}",
            vector=vector(number),
        )
        for number in range(count)
    ]


@needs_edge
async def test_twenty_thousand_interactions_of_the_embedded_store(
    tmp_path: Path, record_property: Any
) -> None:
    store = EdgeStore(tmp_path / "knowledge", 64, EMBEDDER)
    await store.init()
    points = many(20_000, 64, callers=4)
    for start in range(0, len(points), 512):
        await store.upsert(HISTORY, points[start : start + 512])
    place = Place(Stored(store), tmp_path / "fine-tuning")
    began = time.perf_counter()
    report = await place.writer.write(DatasetRequest(validation_share=0.1), LOOPBACK_CALLER)
    record_property("seconds", time.perf_counter() - began)
    assert report.dataset_size == 20_000
    groups = [
        {row["messages"][0]["content"].split(" wording")[0] for row in place.rows(name)}
        for name in ("dataset.jsonl", "dataset.validation.jsonl")
    ]
    assert not groups[0] & groups[1], "paraphrases are on one side"
    assert 350 < len(groups[1]) < 650
    kept = list(read_dataset(place.folder / "dataset.jsonl", DatasetFormat.OPENAI))
    assert len(kept) == report.files["dataset.jsonl"]["examples"]
    own = await place.writer.write(DatasetRequest(), Caller(id="caller-3", name=""))
    assert own.dataset_size == 5_000
    assert await place.writer.without(str(uuid.UUID(int=4))) == 4, "both sets, both formats"
    again = await place.writer.write(DatasetRequest(), Caller(id="caller-3", name=""))
    assert again.new_examples == 1, "only the one that had been removed"
    await store.aclose()


async def test_a_set_in_which_no_pair_was_found_loads_as_an_empty_one(tmp_path: Path) -> None:
    made = Place(await stored([interaction(1, vector=direction(1))]), tmp_path / "fine-tuning")
    await made.writer.write(DatasetRequest(validation_share=0.0), LOOPBACK_CALLER)
    assert (made.folder / "preferences.jsonl").read_bytes() == b""
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert manifest["counts"] == {"openai": 1, "preference": 0, "sharegpt": 1}
    datasets = pytest.importorskip("datasets", reason="the package 'datasets' is not installed")
    files = {"train": str(made.folder / "dataset.jsonl")}
    got = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert got["train"].num_rows == 1
