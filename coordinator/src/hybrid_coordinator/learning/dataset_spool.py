"""Where the interactions of one run wait, on disk, while training examples are chosen.

A temporary SQLite database beside the set that is being written, and a file
of vectors: memory stays the same whatever the number of interactions. What
comes in is scrubbed already. Here is decided which interaction becomes an
example, which is a duplicate, and which two make a preference pair. Not here:
reading the store, and writing files.
"""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from hybrid_coordinator.knowledge.store import Vector
from hybrid_coordinator.learning.dataset_clusters import Numbers, Rows, apart
from hybrid_coordinator.learning.dataset_formats import Message

_SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16384;
CREATE TABLE question (
    number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, oldest REAL NOT NULL,
    oldest_id TEXT NOT NULL, cluster INTEGER, validation INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE item (
    id TEXT PRIMARY KEY, caller TEXT NOT NULL, success INTEGER NOT NULL, reason TEXT NOT NULL,
    score REAL NOT NULL, parent TEXT NOT NULL, question INTEGER NOT NULL, history BLOB NOT NULL,
    answer BLOB NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX item_asked ON item (question, history, caller, success, score);
CREATE INDEX item_answer ON item (answer, history) WHERE reason = '';
CREATE TABLE pair (preferred TEXT NOT NULL, rejected TEXT NOT NULL);
CREATE TABLE known (example TEXT PRIMARY KEY) WITHOUT ROWID;
"""

_EQUAL: Final = """
UPDATE item SET reason = 'duplicate' WHERE id IN (
    SELECT id FROM (
        SELECT id, ROW_NUMBER() OVER (
            PARTITION BY question, history, answer ORDER BY score DESC, id
        ) AS place FROM item WHERE reason = ''
    ) WHERE place > 1
)
"""

# An answer that somebody took for a success is not the worse one of a pair.
_PAIRS: Final = """
INSERT INTO pair (preferred, rejected)
SELECT preferred, MIN(rejected) FROM (
    SELECT COALESCE(
        (SELECT p.id FROM item p WHERE p.id = f.parent AND p.success AND p.caller = f.caller
            AND p.answer != f.answer),
        (SELECT s.id FROM item s WHERE s.question = f.question AND s.history = f.history
            AND s.caller = f.caller AND s.success AND s.answer != f.answer
            ORDER BY s.score DESC, s.id LIMIT 1)
    ) AS preferred, f.id AS rejected, f.answer AS worse
    FROM item f WHERE NOT f.success AND NOT EXISTS (
        SELECT 1 FROM item s WHERE s.question = f.question AND s.history = f.history
            AND s.caller = f.caller AND s.success AND s.answer = f.answer
    )
) WHERE preferred IS NOT NULL GROUP BY preferred, worse
"""

_EQUAL_PAIRS: Final = """
DELETE FROM pair WHERE rowid IN (
    SELECT place_of FROM (
        SELECT pair.rowid AS place_of, ROW_NUMBER() OVER (
            PARTITION BY p.question, p.history, p.answer, r.answer ORDER BY p.id, r.id
        ) AS place
        FROM pair JOIN item p ON p.id = preferred JOIN item r ON r.id = rejected
    ) WHERE place > 1
)
"""

_SPLIT: Final = """
UPDATE question SET validation = 1 WHERE cluster IN (
    SELECT cluster FROM (
        SELECT cluster, oldest_id, ROW_NUMBER() OVER (
            PARTITION BY cluster ORDER BY oldest, oldest_id
        ) AS place FROM question
    ) WHERE place = 1 AND fraction(oldest_id) < ?
)
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An interaction that may become an example; its texts are scrubbed.

    ``reason`` is why it is no example by itself ("" where it is one); it may
    still be half of a preference pair.
    """

    id: str
    caller: str
    timestamp: float
    score: float
    success: bool
    reason: str
    parent: str
    asked: tuple[Message, ...]
    answer: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class ChosenChat:
    """A conversation to write. ``ids`` are the interactions whose text is in it."""

    asked: tuple[Message, ...]
    answer: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChosenPair:
    """A preference pair to write."""

    asked: tuple[Message, ...]
    preferred: str
    rejected: str
    ids: tuple[str, ...]


class Spool:
    """One run's candidates in ``folder``, which is the caller's to remove.

    ``size`` is the vectors'. Blocking; used by one thread at a time.
    """

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True)
        self._vectors = (folder / "vectors.f32").open("w+b")
        self._path = folder / "vectors.f32"
        self._size = size
        # One step after the other, though each in whatever thread is free.
        self._db = sqlite3.connect(
            folder / "candidates.sqlite", check_same_thread=False, isolation_level=None
        )
        self._db.executescript(_SCHEMA)
        self._db.create_function("fraction", 1, _fraction, deterministic=True)
        self._questions = 0

    def close(self) -> None:
        """Let go of the files."""
        self._db.close()
        self._vectors.close()

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Take a page of candidates."""
        self._db.execute("BEGIN")
        for one in candidates:
            number = self._question(one)
            body = [[m.role, m.content] for m in one.asked], one.answer
            self._db.execute(
                "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    one.id,
                    one.caller,
                    one.success,
                    one.reason,
                    one.score,
                    one.parent,
                    number,
                    _digest(*(part for m in one.asked[:-1] for part in (m.role, m.content))),
                    _digest(even(one.answer)),
                    orjson.dumps(body),
                ),
            )
        self._db.execute("COMMIT")

    def questions_of(self, ids: Sequence[str]) -> list[int]:
        """The rows of the questions that these interactions asked, where they are candidates."""
        marks = ", ".join("?" * len(ids))
        rows = self._db.execute(f"SELECT question FROM item WHERE id IN ({marks})", list(ids))  # noqa: S608 - question marks only
        return [row for (row,) in rows]

    def vectors(self) -> Rows:
        """The questions' vectors, mapped from the file; shape (questions, size)."""
        self._vectors.flush()
        if not self._questions:
            return np.empty((0, self._size), dtype=np.float32)
        shape = (self._questions, self._size)
        return np.memmap(self._path, dtype=np.float32, mode="r", shape=shape)

    def drop_duplicates(self, near: float) -> None:
        """Keep one of equal examples, and of those with equal answers and questions that near.

        The highest score stays; of equal scores the least id.
        """
        self._db.execute(_EQUAL)
        vectors = self.vectors()
        groups = self._db.execute(
            "SELECT history, answer FROM item WHERE reason = '' GROUP BY history, answer "
            "HAVING COUNT(*) > 1"
        ).fetchall()
        for history, answer in groups:
            rows = self._db.execute(
                "SELECT question, id FROM item WHERE reason = '' AND history = ? AND answer = ? "
                "ORDER BY score DESC, id",
                (history, answer),
            ).fetchall()
            stay = set(apart(vectors, [question for question, _ in rows], near))
            self._db.executemany(
                "UPDATE item SET reason = 'near_duplicate' WHERE id = ?",
                [(id_,) for question, id_ in rows if question not in stay],
            )

    def pair_up(self) -> None:
        """Find the preference pairs: each failure with the best other answer to the same."""
        self._db.execute(_PAIRS)
        self._db.execute(_EQUAL_PAIRS)

    def split(self, roots: Numbers, validation_share: float) -> None:
        """Put whole clusters aside for validation; ``roots`` has each question's cluster.

        The hash of a cluster's oldest member decides. So the side a cluster is
        on stays as it is while it grows, and what a model was trained on does
        not become what it is tested with. While there are fewer clusters than
        one of which would be the share, all of them are trained with.
        """
        self._db.execute("BEGIN")
        self._db.executemany(
            "UPDATE question SET cluster = ? WHERE number = ?",
            ((int(root), number) for number, root in enumerate(roots)),
        )
        (clusters,) = self._db.execute(
            "SELECT COUNT(DISTINCT cluster) FROM question JOIN item ON question = number "
            "WHERE reason = ''"
        ).fetchone()
        if clusters * validation_share >= 1:
            self._db.execute(_SPLIT, (validation_share,))
        self._db.execute("COMMIT")

    def chats(self, validation: bool) -> Iterator[ChosenChat]:
        """The chosen conversations of one side, by id."""
        rows = self._db.execute(
            "SELECT item.id, body FROM item JOIN question ON question = number "
            "WHERE reason = '' AND validation = ? ORDER BY item.id",
            (validation,),
        )
        for id_, body in rows:
            asked, answer = _read(body)
            yield ChosenChat(asked, answer, (id_,))

    def pairs(self, validation: bool) -> Iterator[ChosenPair]:
        """The preference pairs of one side, by the ids of their halves."""
        rows = self._db.execute(
            "SELECT p.id, p.body, r.id, r.body FROM pair JOIN item p ON p.id = preferred "
            "JOIN item r ON r.id = rejected JOIN question ON p.question = number "
            "WHERE validation = ? ORDER BY p.id, r.id",
            (validation,),
        )
        for preferred, better, rejected, worse in rows:
            asked, answer = _read(better)
            yield ChosenPair(asked, answer, _read(worse)[1], (preferred, rejected))

    def left_out(self) -> Counter[str]:
        """How many candidates are in no example, by reason."""
        rows = self._db.execute(
            "SELECT reason, COUNT(*) FROM item WHERE reason != '' AND id NOT IN "
            "(SELECT preferred FROM pair UNION SELECT rejected FROM pair) GROUP BY reason"
        )
        return Counter(dict(rows.fetchall()))

    def remember(self, examples: Iterator[str]) -> None:
        """Note the digests of the examples that the set before this one had."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO known VALUES (?)", ((e,) for e in examples))
        self._db.execute("COMMIT")

    def is_known(self, example: str) -> bool:
        """Whether the set before this one had an example of that digest."""
        row = self._db.execute("SELECT 1 FROM known WHERE example = ?", (example,)).fetchone()
        return row is not None

    def _question(self, one: Candidate) -> int:
        digest = _digest(even(one.asked[-1].content).casefold())
        row = self._db.execute(
            "SELECT number, oldest, oldest_id FROM question WHERE digest = ?", (digest,)
        ).fetchone()
        if row is None:
            number, self._questions = self._questions, self._questions + 1
            self._vectors.write(np.asarray(one.vector, dtype=np.float32).tobytes())
            self._db.execute(
                "INSERT INTO question (number, digest, oldest, oldest_id) VALUES (?, ?, ?, ?)",
                (number, digest, one.timestamp, one.id),
            )
            return number
        if (one.timestamp, one.id) < (row[1], row[2]):
            self._db.execute(
                "UPDATE question SET oldest = ?, oldest_id = ? WHERE number = ?",
                (one.timestamp, one.id, row[0]),
            )
        return int(row[0])


def even(text: str) -> str:
    """A text with its white space and its Unicode forms evened out (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _digest(*parts: str) -> bytes:
    whole = "\0".join(parts)
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _fraction(id_: str) -> float:
    """A number in 0…1 that is an id's own."""
    digest = hashlib.blake2b(id_.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _read(body: bytes) -> tuple[tuple[Message, ...], str]:
    asked, answer = orjson.loads(body)
    return tuple(Message(role=role, content=content) for role, content in asked), answer
