"""Small sets of training files, each with one word as every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from hybrid_coordinator.learning.dataset_files import (
    DatasetFilter,
    DatasetFolder,
    Manifest,
    SetWriter,
)
from hybrid_coordinator.learning.dataset_formats import Message, chat_line

NAMES = ("dataset.jsonl", "dataset.validation.jsonl")
FILTER = DatasetFilter(
    caller=None, min_score=0.7, near_duplicate=0.97, same_cluster=0.8, validation_share=0.1
)


def lines(word: str, count: int) -> Iterator[tuple[bytes, str, tuple[str, ...]]]:
    for number in range(count):
        yield chat_line([Message(role="user", content=f"{number}")], word), "", (f"id-{number}",)


def write_set(folder: Path, word: str, count: int = 3) -> None:
    """A whole set in which every answer is ``word``."""
    place = DatasetFolder(folder)
    place.recover()
    made = place.begin()
    for name in NAMES:
        made.write(name, lines(word, count))
    finish(made)
    place.adopt(made)


def finish(made: SetWriter) -> None:
    made.finish(
        Manifest(
            created=1.0,
            changed=1.0,
            embedder="e",
            filter=FILTER,
            considered=3,
            left_out={},
            counts={"openai": 6},
            files=made.files,
        )
    )


def words_in(folder: Path) -> set[str]:
    """What the answers of a set are, after checking that each file is as its manifest says."""
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    found = set()
    for name, entry in manifest.files.items():
        content = (folder / name).read_bytes()
        assert len(content) == entry.bytes
        found |= {json.loads(line)["messages"][-1]["content"] for line in content.splitlines()}
    return found
