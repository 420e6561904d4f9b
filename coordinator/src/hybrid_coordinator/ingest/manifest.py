"""What was ingested, so that the next run reads only what changed: one SQLite file.

For each file the hash of what was read and the ids that were stored. Ids are
written down *before* they are stored, so that whatever a killed run left in the
store is found and tidied up by the next.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hybrid_coordinator.settings import Collection

_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    target TEXT NOT NULL,
    collection TEXT NOT NULL,
    root TEXT NOT NULL,
    path TEXT NOT NULL,
    hash TEXT,
    ids TEXT NOT NULL,
    PRIMARY KEY (target, collection, root, path)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What the manifest knows of a file. ``hash`` is None where a run broke off in it."""

    hash: str | None
    ids: tuple[str, ...]


class Manifest:
    """The rows of one store (``target``), collection and root folder."""

    def __init__(self, file: Path, target: str, collection: Collection, root: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(_SCHEMA)
        self._scope = (target, collection.value, str(root))

    def files(self) -> dict[str, Known]:
        """Everything known, by path."""
        query = "SELECT path, hash, ids FROM file WHERE target = ? AND collection = ? AND root = ?"
        with closing(self._db.execute(query, self._scope)) as rows:
            return {path: Known(hash_, tuple(json.loads(ids))) for path, hash_, ids in rows}

    def begin(self, path: str, ids: Sequence[str]) -> None:
        """Note, before anything is sent, which ids may be in the store from now on."""
        self._put(path, None, ids)

    def done(self, path: str, hash_: str, ids: Sequence[str]) -> None:
        """Note that exactly these ids of the file are in the store."""
        self._put(path, hash_, ids)

    def forget(self, path: str) -> None:
        """Note that nothing of the file is in the store."""
        where = "target = ? AND collection = ? AND root = ? AND path = ?"
        self._db.execute(f"DELETE FROM file WHERE {where}", (*self._scope, path))  # noqa: S608

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _put(self, path: str, hash_: str | None, ids: Sequence[str]) -> None:
        row = (*self._scope, path, hash_, json.dumps(list(ids)))
        self._db.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)", row)
