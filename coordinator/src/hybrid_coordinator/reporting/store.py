"""The rolling store: figures by minute, hour and day in one SQLite file of the state directory.

``catch_up`` counts what telemetry has that was not counted yet; amounts and
the place in the files change in one transaction, so neither a crash nor a
second process counts anything twice. How much is kept is bounded by number of
buckets, not by the clock, so a clock that jumps deletes nothing. All methods
block: call them in a thread. What an event adds is in ``counting``.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.reporting.counting import Tally, Told
from hybrid_coordinator.reporting.figures import DAY, HOUR
from hybrid_coordinator.reporting.reading import Position, read_lines

FILE_NAME: Final = "reporting.sqlite"
MINUTE: Final = 60

BATCH: Final = 500
"""Lines of one transaction."""

_KEPT_MINUTES: Final = 26 * 60
_KEPT_HOURS: Final = 32 * 24
_KEPT_ANSWERS: Final = 200_000
"""Interactions whose outcome may still change what was counted."""
_KEPT_LEVELS: Final = 32 * 24
_PRUNE_EVERY: Final = 5_000
"""Events between two times that old buckets are removed."""
_BUSY_SECONDS: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE bucket (
    width INTEGER NOT NULL, name TEXT NOT NULL, t INTEGER NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (width, name, t)
) WITHOUT ROWID;
CREATE TABLE answer (
    id INTEGER PRIMARY KEY, t INTEGER NOT NULL, recorded INTEGER NOT NULL,
    context INTEGER NOT NULL, outcome TEXT, outcome_t INTEGER NOT NULL,
    score INTEGER, high INTEGER NOT NULL, score_t INTEGER NOT NULL
);
CREATE INDEX answer_when ON answer (t);
CREATE TABLE level (
    t INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (t, name)
) WITHOUT ROWID;
CREATE TABLE model (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    inode INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    known BLOB NOT NULL, after REAL,
    newest REAL NOT NULL, since REAL, counted_to REAL,
    events INTEGER NOT NULL, skipped INTEGER NOT NULL, pruned INTEGER NOT NULL,
    dataset_size INTEGER
);
INSERT INTO state VALUES (1, 0, 0, 0, x'', NULL, 0, NULL, NULL, 0, 0, 0, NULL);
"""
_VERSION: Final = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreState:
    """What was counted so far. Times are epoch seconds; ``since`` None: nothing yet."""

    since: float | None
    counted_to: float | None
    events: int
    skipped: int
    dataset_size: int | None


class ReportingStore:
    """The file in ``state_directory``, and the telemetry it counts."""

    def __init__(self, state_directory: Path, *, kept_days: int) -> None:
        self._path = state_directory / FILE_NAME
        self._telemetry = state_directory / "telemetry"
        self._widths: Mapping[int, int] = {
            MINUTE: _KEPT_MINUTES,
            HOUR: _KEPT_HOURS,
            DAY: kept_days,
        }

    def catch_up(self, now: float, limit: int = BATCH) -> bool:
        """Count the next lines; whether there are more.

        Raises:
            StoreUnavailable: the file or the telemetry cannot be used; nothing was counted.
        """
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                more = self._catch_up(db, now, limit)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        return more

    def note_levels(self, now: float, levels: Mapping[str, int]) -> None:
        """Keep how much there is of something, once an hour; the first of an hour stays."""
        t = int(now) // HOUR * HOUR
        with self._opened() as db:
            rows = [(t, name, value) for name, value in levels.items()]
            db.executemany("INSERT OR IGNORE INTO level VALUES (?, ?, ?)", rows)
            oldest = db.execute(
                "SELECT t FROM (SELECT DISTINCT t FROM level) ORDER BY t DESC LIMIT 1 OFFSET ?",
                (_KEPT_LEVELS - 1,),
            ).fetchone()
            if oldest is not None:
                db.execute("DELETE FROM level WHERE t < ?", oldest)

    def levels(self, at: float, tolerance: float) -> dict[str, int]:
        """How much there was at a time, or at most ``tolerance`` seconds before it."""
        with self._opened() as db:
            rows = db.execute(
                "SELECT name, value, max(t) FROM level WHERE t <= ? AND t >= ? GROUP BY name",
                (at, at - tolerance),
            ).fetchall()
        return {name: value for name, value, _ in rows}

    def sums(self, width: int, start: int, end: int) -> dict[str, float]:
        """The amounts of the buckets from ``start`` up to and without ``end``, by name."""
        with self._opened() as db:
            rows = db.execute(
                "SELECT name, sum(value) FROM bucket WHERE width = ? AND t >= ? AND t < ? "
                "GROUP BY name",
                (width, start, end),
            ).fetchall()
        return dict(rows)

    def amount(self, name: str, width: int, start: int, end: int) -> float:
        """One amount of the buckets from ``start`` up to and without ``end``."""
        with self._opened() as db:
            (found,) = db.execute(
                "SELECT total(value) FROM bucket WHERE width = ? AND name = ? AND t >= ? AND t < ?",
                (width, name, start, end),
            ).fetchone()
        return float(found)

    def series(self, width: int, start: int, end: int, step: int) -> dict[int, dict[str, float]]:
        """The same for each ``step`` seconds, by its begin; ``start`` is a multiple of ``step``."""
        found: dict[int, dict[str, float]] = {}
        with self._opened() as db:
            rows = db.execute(
                "SELECT t / ? * ?, name, sum(value) FROM bucket "
                "WHERE width = ? AND t >= ? AND t < ? GROUP BY 1, 2",
                (step, step, width, start, end),
            )
            for t, name, value in rows:
                found.setdefault(t, {})[name] = value
        return found

    def state(self) -> StoreState:
        """How much was counted."""
        with self._opened() as db:
            row = db.execute(
                "SELECT since, counted_to, events, skipped, dataset_size FROM state"
            ).fetchone()
        return StoreState(*row)

    def _catch_up(self, db: sqlite3.Connection, now: float, limit: int) -> bool:
        *place, newest, events, pruned = db.execute(
            "SELECT inode, offset, length, known, after, newest, events, pruned FROM state"
        ).fetchone()
        position = Position(*place)
        read = read_lines(self._telemetry, position, limit, newest)
        if not read.lines:
            return False
        models = {name for (name,) in db.execute("SELECT name FROM model")}
        tally = Tally(find=lambda key: _told(db, key), models=models, now=now)
        for line in read.lines:
            tally.add(line, read.after)
        self._add(db, tally.amounts, now)
        db.executemany("INSERT INTO model VALUES (?)", [(name,) for name in tally.new_models])
        db.executemany(
            "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_row(key, told) for key, told in tally.told.items()],
        )
        events += tally.events
        if events - pruned >= _PRUNE_EVERY:
            self._prune(db)
            pruned = events
        db.execute(
            "UPDATE state SET inode = ?, offset = ?, length = ?, known = ?, after = ?, "
            "newest = max(newest, ?), since = nullif(min(coalesce(since, ?), ?), ?), "
            "counted_to = ?, events = ?, skipped = skipped + ?, pruned = ?, "
            "dataset_size = coalesce(?, dataset_size)",
            (
                read.position.inode,
                read.position.offset,
                read.position.length,
                read.position.known,
                read.position.after,
                tally.newest,
                math.inf,
                tally.oldest,
                math.inf,
                now,
                events,
                tally.skipped,
                pruned,
                tally.dataset_size,
            ),
        )
        return read.more

    def _add(
        self, db: sqlite3.Connection, amounts: Mapping[tuple[int, str], float], now: float
    ) -> None:
        for width, kept in self._widths.items():
            # What would be removed soon is not written at all.
            oldest = now - width * kept
            summed: defaultdict[tuple[int, str], float] = defaultdict(float)
            for (t, name), amount in amounts.items():
                if t >= oldest:
                    summed[t // width * width, name] += amount
            # What is taken back of a bucket that is gone must leave nothing below zero.
            db.executemany(
                "INSERT INTO bucket VALUES (?1, ?3, ?2, max(?4, 0.0)) "
                "ON CONFLICT DO UPDATE SET value = max(value + ?4, 0.0)",
                [(width, t, name, amount) for (t, name), amount in summed.items()],
            )

    def _prune(self, db: sqlite3.Connection) -> None:
        for width, kept in self._widths.items():
            db.execute(
                "DELETE FROM bucket WHERE width = ?1 AND t < (SELECT t FROM (SELECT DISTINCT t "
                "FROM bucket WHERE width = ?1) ORDER BY t DESC LIMIT 1 OFFSET ?2)",
                (width, kept - 1),
            )
        db.execute(
            "DELETE FROM answer WHERE t < (SELECT t FROM answer ORDER BY t DESC LIMIT 1 OFFSET ?)",
            (_KEPT_ANSWERS - 1,),
        )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The file, of the present version; a damaged one is set aside, since it can be redone."""
        try:
            db = self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise self._unavailable(error) from error
            self._set_aside()
            db = self._open_anew()
        except OSError as error:
            raise self._unavailable(error) from error
        damaged = False
        try:
            yield db
        except (sqlite3.Error, OSError) as error:
            damaged = isinstance(error, sqlite3.DatabaseError) and _is_damage(error)
            raise self._unavailable(error) from error
        finally:
            db.close()
            if damaged:
                self._set_aside()

    def _open_anew(self) -> sqlite3.Connection:
        try:
            return self._open()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _open(self) -> sqlite3.Connection:
        # For its owner only; SQLite gives its log the same rights.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise StoreUnavailable(
                    f"{self._path} was written by a newer version of hybrid-coordinator: install "
                    "that version again, or move the file away and let it be counted anew"
                )
            # Refused at once while another process has it open; then a later time will do.
            with suppress(sqlite3.OperationalError):
                db.execute("PRAGMA journal_mode = WAL")
            if version < _VERSION:
                self._create(db)
            db.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            db.close()
            raise
        return db

    def _create(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _set_aside(self) -> None:
        log.warning("%s is damaged: it is set aside, and figures are counted anew", self._path)
        try:
            for suffix in ("-wal", "-shm"):
                self._path.with_name(f"{FILE_NAME}{suffix}").unlink(missing_ok=True)
            self._path.replace(self._path.with_name(f"{FILE_NAME}.damaged"))
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        path = getattr(error, "filename", None) or self._path
        return StoreUnavailable(f"figures cannot be counted: {path}: {reason}")


def _told(db: sqlite3.Connection, key: int) -> Told | None:
    row: Sequence[int | str | None] | None = db.execute(
        "SELECT t, recorded, context, outcome, outcome_t, score, high, score_t FROM answer "
        "WHERE id = ?",
        (key,),
    ).fetchone()
    if row is None:
        return None
    t, recorded, context, outcome, outcome_t, score, high, score_t = row
    return Told(t, bool(recorded), context, outcome, outcome_t, score, bool(high), score_t)  # type: ignore[arg-type]


def _row(key: int, told: Told) -> tuple[int | str | None, ...]:
    return (
        key,
        told.t,
        int(told.recorded),
        told.context,
        told.outcome,
        told.outcome_t,
        told.score,
        int(told.high),
        told.score_t,
    )


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return "malformed" in str(error) or "not a database" in str(error)
