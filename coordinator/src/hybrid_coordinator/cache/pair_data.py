"""Judged question pairs, to train the guard on and to measure it with; not used in serving.

A file has one JSON object a line: ``a`` and ``b``, two questions, and ``same``, whether people
judged them to ask the same. The files themselves are not part of the package.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

TEST_SHARE = 0.2
FILE_NAME = "duplicate-questions.jsonl.gz"


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two questions and whether they ask the same.

    ``place`` in 0…1 is the same for all pairs that share a question, directly or through others.
    """

    a: str
    b: str
    same: bool
    place: float

    @property
    def held_out(self) -> bool:
        """Whether the pair is for tests only. No question is both held out and trained on."""
        return self.place < TEST_SHARE

    def fold(self, folds: int) -> int:
        """One of ``folds`` parts, by connected questions as well."""
        return int(self.place * 1_000_000) % folds


def load(path: Path) -> list[JudgedPair]:
    """The pairs of a gzipped file, in its order."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    connected: dict[str, str] = {}
    for row in rows:
        one, other = sorted((_root(connected, row["a"]), _root(connected, row["b"])))
        connected[other] = one  # the first in the alphabet stands for all
    return [
        JudgedPair(row["a"], row["b"], row["same"], _place(_root(connected, row["a"])))
        for row in rows
    ]


def _root(connected: dict[str, str], question: str) -> str:
    while (above := connected.setdefault(question, question)) != question:
        connected[question] = connected[above]
        question = above
    return question


def _place(question: str) -> float:
    digest = hashlib.sha256(question.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
