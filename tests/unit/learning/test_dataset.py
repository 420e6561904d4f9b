"""Which interactions become training data, whose, and in which form."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.conversation import LOOPBACK_CALLER, Caller
from hybrid_coordinator.learning.dataset_files import Manifest
from hybrid_coordinator.learning.records import DatasetRequest
from tests.unit.learning.dataset_place import (
    ALL_TRAIN,
    NAMES,
    Place,
    asked,
    direction,
    interaction,
    stored,
    written,
)

ANNA = Caller(id="anna", name="Anna")


async def test_without_interactions_there_are_valid_empty_files(tmp_path: Path) -> None:
    place = Place(await stored([]), tmp_path)
    report = await place.writer.write(DatasetRequest(), LOOPBACK_CALLER)
    assert report.dataset_size == 0
    assert set(report.files) == set(NAMES)
    assert all((tmp_path / name).read_bytes() == b"" for name in NAMES)
    assert Manifest.model_validate_json((tmp_path / "manifest.json").read_bytes()).considered == 0


async def test_only_whole_successes_at_the_threshold_are_examples_and_the_rest_is_counted(
    tmp_path: Path,
) -> None:
    place = Place(
        await stored(
            [
                interaction(1, value_score=0.7),
                interaction(2, value_score=0.69),
                interaction(3, outcome="failure"),
                interaction(4, outcome="partial"),
                interaction(5, truncated=True),
                interaction(6, history_complete=False),
                interaction(7, answer=" \n"),
                interaction(8, parent=str(uuid.UUID(int=1)), outcome="unknown"),
                interaction(9, outcome="unknown"),
            ]
        ),
        tmp_path,
    )
    report = await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert place.rows() == [
        {
            "messages": [
                {"role": "user", "content": "question 1"},
                {"role": "assistant", "content": "answer 1"},
            ]
        }
    ]
    assert report.left_out == {
        "empty": 1,
        "history": 1,
        "outcome": 3,
        "parent": 1,
        "score": 1,
        "truncated": 1,
    }
    assert report.dataset_size == report.new_examples == 1


async def test_a_lower_threshold_lets_more_in(tmp_path: Path) -> None:
    points = [interaction(n, value_score=n / 10) for n in range(1, 10)]
    place = await written(
        tmp_path, *points, wanted=DatasetRequest(min_score=0.4, validation_share=0.0)
    )
    assert len(place.rows()) == 6


async def test_earlier_messages_and_the_system_prompt_come_first(tmp_path: Path) -> None:
    history = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello."},
    ]
    place = await written(tmp_path, interaction(1, "And then?", "Nothing.", history=history))
    assert place.rows()[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "Nothing."},
    ]
    assert [turn["from"] for turn in place.rows("dataset.sharegpt.jsonl")[0]["conversations"]] == [
        "system",
        "human",
        "gpt",
        "human",
        "gpt",
    ]


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([{"role": "tool", "content": "42", "tool_call_id": "a"}], "content"),
        ([{"role": "assistant", "content": "", "tool_calls": [{"id": "a"}]}], "content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "content"),
        ("[half", "history"),
        ("{}", "history"),
        ("[3]", "history"),
    ],
)
async def test_a_conversation_that_is_more_than_text_is_left_out(
    history: Any, reason: str, tmp_path: Path
) -> None:
    place = Place(await stored([interaction(1, history=history), interaction(2)]), tmp_path)
    report = await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert report.left_out == {reason: 1}
    assert asked(place.rows()) == ["question 2"]


async def test_texts_are_scrubbed_again_on_their_way_out(tmp_path: Path) -> None:
    history = [{"role": "system", "content": "The password is hunter2."}]
    await written(tmp_path, interaction(1, "Is it hunter2?", "Yes, hunter2.", history=history))
    assert not any(
        b"hunter2" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )
    assert "<secret>" in (tmp_path / "dataset.jsonl").read_text()


async def test_equal_questions_with_equal_answers_are_one_example_of_the_highest_score(
    tmp_path: Path,
) -> None:
    place = Place(
        await stored(
            [
                interaction(1, "How  do I\nquit vim?", "Type :q", value_score=0.75),
                interaction(2, "how do i quit VIM?", "Type  :q", value_score=0.95),
                interaction(3, "How do I quit vim?", "Type ZZ"),
                interaction(
                    4, "How do I quit vim?", "Type :q", history=[{"role": "system", "content": "x"}]
                ),
            ]
        ),
        tmp_path,
    )
    report = await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert asked(place.rows()) == [
        "how do i quit VIM?",
        "How do I quit vim?",
        "How do I quit vim?",
    ]
    assert report.left_out == {"duplicate": 1}


async def test_near_questions_with_the_same_answer_are_one_example(tmp_path: Path) -> None:
    place = Place(
        await stored(
            [
                interaction(1, "near a", "the same", vector=direction(1), value_score=0.8),
                interaction(2, "near b", "the same", vector=direction(1, 0.2), value_score=0.9),
                interaction(3, "near c", "another", vector=direction(1, 0.1)),
                interaction(4, "further", "the same", vector=direction(1, 0.6)),
            ]
        ),
        tmp_path,
    )
    report = await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert asked(place.rows()) == ["near b", "near c", "further"]
    assert report.left_out == {"near_duplicate": 1}


async def test_a_rejected_local_answer_and_the_accepted_one_are_a_preference_pair(
    tmp_path: Path,
) -> None:
    whole = str(uuid.UUID(int=1))
    history = [{"role": "system", "content": "Be right."}]
    place = Place(
        await stored(
            [
                # What was accepted need not be of high value: it is better than the other.
                interaction(1, "2+2?", "4", value_score=0.4, history=history),
                interaction(2, "2+2?", "5", parent=whole, outcome="failure", rejection="wrong"),
                interaction(3, "lonely", "x", parent=str(uuid.UUID(int=9)), outcome="failure"),
            ]
        ),
        tmp_path,
    )
    report = await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert place.rows("preferences.jsonl") == [
        {
            "input": {
                "messages": [
                    {"role": "system", "content": "Be right."},
                    {"role": "user", "content": "2+2?"},
                ]
            },
            "preferred_output": [{"role": "assistant", "content": "4"}],
            "non_preferred_output": [{"role": "assistant", "content": "5"}],
        }
    ]
    assert report.left_out == {"parent": 1}, "both halves of the pair are used"
    assert report.dataset_size == 0


async def test_a_failure_is_paired_with_the_best_success_of_the_same_caller_and_question(
    tmp_path: Path,
) -> None:
    place = await written(
        tmp_path,
        interaction(1, "Which port?", "80", outcome="failure", value_score=0.1),
        interaction(2, "which  PORT?", "8092", value_score=0.9),
        interaction(3, "Which port?", "8093", value_score=0.8),
        interaction(4, "Which port?", "80", outcome="failure"),
        interaction(5, "Which port?", "22", outcome="failure", caller="ben"),
        interaction(
            6, "Which port?", "23", outcome="failure", history='[{"role":"system","content":"x"}]'
        ),
        interaction(7, "Which port?", "8093", outcome="failure"),
    )
    pairs = [
        (row["preferred_output"][0]["content"], row["non_preferred_output"][0]["content"])
        for row in place.rows("preferences.jsonl")
    ]
    assert pairs == [("8092", "80")], "one a wrong answer, and none that also went well"


async def test_a_keyed_caller_gets_its_own_and_the_operator_everybodys(tmp_path: Path) -> None:
    place = Place(
        await stored([interaction(1, caller="anna"), interaction(2, caller="ben")]), tmp_path
    )
    report = await place.writer.write(ALL_TRAIN, ANNA)
    assert report.path == str(tmp_path / "anna" / "dataset.jsonl")
    assert asked(place.rows(caller="anna")) == ["question 1"]
    assert not (tmp_path / "dataset.jsonl").exists()
    await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert asked(place.rows()) == ["question 1", "question 2"]
    assert asked(place.rows(caller="anna")) == ["question 1"]


async def test_with_sharing_every_caller_writes_the_set_of_all(tmp_path: Path) -> None:
    knowledge = await stored([interaction(1, caller="anna"), interaction(2, caller="ben")])
    place = Place(knowledge, tmp_path, share=True)
    report = await place.writer.write(ALL_TRAIN, ANNA)
    assert report.path == str(tmp_path / "dataset.jsonl")
    assert len(place.rows()) == 2


async def test_a_callers_id_that_is_no_plain_name_cannot_lead_out_of_the_folder(
    tmp_path: Path,
) -> None:
    place = Place(await stored([interaction(1, caller="../up")]), tmp_path / "inside")
    report = await place.writer.write(ALL_TRAIN, Caller(id="../up", name="x"))
    assert Path(report.path).resolve().is_relative_to((tmp_path / "inside").resolve())
    assert report.dataset_size == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "inside"]
