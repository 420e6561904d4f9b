"""README's learning walk-through, executed as it stands against the embedded default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hybrid_coordinator.learning.dataset_formats import read_dataset
from tests.integration.documents import ROOT, run_blocks, shell_blocks
from tests.integration.served import Served


def walkthrough() -> str:
    """The shell block under README's heading."""
    section = (ROOT / "README.md").read_text().split("\n## It learns\n")[1].split("\n## ")[0]
    (block,) = shell_blocks(section)
    return block


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("walk")) as running:
        yield running


@pytest.fixture(scope="module")
def said(served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command of the block printed, by the command's first word or two."""
    printed = run_blocks(served, [walkthrough()], tmp_path_factory.mktemp("cwd"))
    parts = re.split(r"^@@ (.*)$", printed, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def part(said: dict[str, str], words: str) -> str:
    (found,) = [text for name, text in said.items() if words in name]
    return found


def documents(text: str) -> list[dict[str, Any]]:
    """The JSON documents of a text, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def test_the_answer_names_its_interaction(said: dict[str, str]) -> None:
    assert re.search(r"x-hybrid-interaction-id: [0-9a-f-]{36}", part(said, "Ask."))


def test_what_another_tool_answered_is_kept_under_its_id(said: dict[str, str]) -> None:
    assert re.search(r'"interaction_id":"[0-9a-f-]{36}"', part(said, "Or tell it"))


def test_the_outcome_is_noted(said: dict[str, str]) -> None:
    assert "success" in part(said, "Say how it turned out")


def test_the_job_stores_a_pattern(said: dict[str, str]) -> None:
    told = part(said, "What a timer does")
    assert re.search(r"[1-9]\d* patterns? stored", told), told


def test_the_pattern_is_found_and_gets_into_the_context_of_a_similar_question(
    said: dict[str, str],
) -> None:
    found, context = documents(part(said, "The pattern is found"))
    (hit,) = found["hits"]
    assert hit["payload"]["status"] == "candidate"
    assert hit["payload"]["source_interactions"]
    assert hit["id"] in context["context_ids"]
    assert "list-timers" in context["augmented_prompt"]


def test_the_training_data_has_the_example(said: dict[str, str], served: Served) -> None:
    example = json.loads(part(said, "The training data").strip().splitlines()[-1])
    assert [message["role"] for message in example["messages"]] == ["user", "assistant"]
    assert "list-timers" in example["messages"][1]["content"]
    assert len(list(read_dataset(served.state / "fine-tuning" / "dataset.jsonl"))) == 1
