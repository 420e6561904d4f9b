"""The outbox's file: how it is opened, checked and brought to the present form.

One process has the file at a time, which SQLite's own lock sees to: two that
deliver from it could not keep the order. What is in the tables is read and
written in ``outbox_rows`` only.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from hybrid_coordinator.durable_files import sync_folder
from hybrid_coordinator.errors import StoreUnavailable

_BUSY_SECONDS: Final = 5.0
"""How long to wait for another process that has the file: one that is just ending."""
_LARGEST_LOG: Final = 64 * 1024 * 1024
"""Bytes that the write-ahead log keeps on disk once it was read back."""

_FIRST: Final = """
CREATE TABLE record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    interaction_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('interaction', 'outcome')),
    body BLOB NOT NULL,
    accepted REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX record_of ON record (interaction_id, seq);
CREATE INDEX record_waiting ON record (seq) WHERE delivered = 0;
CREATE INDEX record_delivered ON record (seq) WHERE delivered = 1;

CREATE TABLE dead (
    seq INTEGER PRIMARY KEY,
    interaction_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    accepted REAL NOT NULL,
    attempts INTEGER NOT NULL,
    died REAL NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX dead_of ON dead (interaction_id);

CREATE TABLE known (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    caller TEXT NOT NULL,
    timestamp REAL NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX known_when ON known (timestamp);

CREATE TABLE forgotten (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    since REAL NOT NULL
);

CREATE TABLE totals (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot TEXT NOT NULL,
    records INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    dead_bytes INTEGER NOT NULL,
    known INTEGER NOT NULL,
    forgotten INTEGER NOT NULL
);
INSERT INTO totals VALUES (1, '', 0, 0, 0, 0, 0, 0, 0);

CREATE TRIGGER record_in AFTER INSERT ON record BEGIN
    UPDATE totals SET records = records + 1, bytes = bytes + length(new.body);
END;
CREATE TRIGGER record_out AFTER DELETE ON record WHEN old.delivered = 0 BEGIN
    UPDATE totals SET records = records - 1, bytes = bytes - length(old.body);
END;
CREATE TRIGGER delivered_out AFTER DELETE ON record WHEN old.delivered = 1 BEGIN
    UPDATE totals SET delivered = delivered - 1;
END;
CREATE TRIGGER record_delivered_in AFTER UPDATE OF delivered ON record
WHEN old.delivered <> new.delivered BEGIN
    UPDATE totals SET
        records = records - new.delivered + old.delivered,
        bytes = bytes - (new.delivered - old.delivered) * length(new.body),
        delivered = delivered + new.delivered - old.delivered;
END;
CREATE TRIGGER dead_in AFTER INSERT ON dead BEGIN
    UPDATE totals SET dead = dead + 1, dead_bytes = dead_bytes + length(new.body);
END;
CREATE TRIGGER dead_out AFTER DELETE ON dead BEGIN
    UPDATE totals SET dead = dead - 1, dead_bytes = dead_bytes - length(old.body);
END;
CREATE TRIGGER known_in AFTER INSERT ON known BEGIN
    UPDATE totals SET known = known + 1;
END;
CREATE TRIGGER known_out AFTER DELETE ON known BEGIN
    UPDATE totals SET known = known - 1;
END;
CREATE TRIGGER forgotten_in AFTER INSERT ON forgotten BEGIN
    UPDATE totals SET forgotten = forgotten + 1;
END;
CREATE TRIGGER forgotten_out AFTER DELETE ON forgotten BEGIN
    UPDATE totals SET forgotten = forgotten - 1;
END;
"""

MIGRATIONS: Final = (_FIRST,)
"""From version n to n + 1 is script n. Scripts that were released are never changed."""


def opened(path: Path) -> sqlite3.Connection:
    """The file, open, whole, of the present version and nobody else's.

    The caller's thread may be another one than that which uses it later.

    Raises:
        StoreUnavailable: in use, damaged, written by a newer version, or not to be opened;
            the sentence names the file.
    """
    db: sqlite3.Connection | None = None
    try:
        _create(path)
        db = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        # Before WAL: the lock is then this process's for as long as the file is open.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # What was delivered or forgotten is not to be read in unused parts of the file.
        db.execute("PRAGMA secure_delete = ON")
        db.execute(f"PRAGMA journal_size_limit = {_LARGEST_LOG}")
        _check(db, path)
        _migrate(db, path)
        # The file's name has to outlast a power cut as its content does.
        sync_folder(path.parent)
    except (sqlite3.Error, OSError) as error:
        if db is not None:
            db.close()
        raise unavailable(path, error) from error
    except StoreUnavailable:
        if db is not None:
            db.close()
        raise
    return db


def free_bytes(folder: Path) -> int:
    """Room left on a folder's disk for us; blocking, some microseconds."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def no_room(path: Path) -> StoreUnavailable:
    """What a client is told where the disk is full."""
    return StoreUnavailable(
        f"there is no room on the disk of the outbox ({path}): nothing of this was kept; "
        "make room and send it again",
        retry_after=5.0,
    )


def unavailable(path: Path, error: BaseException) -> StoreUnavailable:
    """What a client is told where the file cannot be used."""
    reason = str(error) or type(error).__name__
    if "full" in reason or "No space left" in reason:
        return no_room(path)
    if "locked" in reason or "busy" in reason:
        return StoreUnavailable(
            f"the outbox ({path}) is in use by another process: end the other coordinator "
            "or give this one a state_directory of its own",
            retry_after=5.0,
        )
    if "malformed" in reason or "not a database" in reason:
        return _damaged(path, reason)
    return StoreUnavailable(
        f"the outbox ({path}) cannot be used: {reason}; nothing of this was kept", retry_after=5.0
    )


def _create(path: Path) -> None:
    """Make the file with rights for its owner only; SQLite gives its log the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _check(db: sqlite3.Connection, path: Path) -> None:
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise _damaged(path, found)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            f"the outbox ({path}) was written by a newer version of hybrid-coordinator "
            f"(its format is {version}, this version knows {len(MIGRATIONS)}): "
            "install that version again"
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def _damaged(path: Path, reason: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the outbox ({path}) is damaged ({reason}): put back a copy of it, or move it away "
        "to start with an empty one; what it held and Qdrant has not is then lost"
    )
