"""The outbox's statements: each function is one piece of work in the writer's transaction.

Each looks before it writes, so that one that refuses has changed nothing. Times
are passed in, order is that of ``seq``: a clock that goes backwards changes no
order.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, Final

from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.errors import Conflict, NotFound, OutboxFull, Unprocessable
from hybrid_coordinator.learning.outbox_records import DeadRecord, Kind, Known, Record, Totals
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import (
    OutcomeReceipt,
    OutcomeSource,
    PostedOutcome,
)
from hybrid_coordinator.learning_settings import OutboxSettings, SignalsSettings

RETRY_AFTER: Final = 5.0
"""Seconds after which a refused record is worth another try: the deliverer's next few rounds."""
KNOWN_PER_RECORD: Final = 4
"""Known interactions, and forgotten ones, are kept up to so many times ``max_records``."""
CHUNK: Final = 1_000
"""Rows that one transaction prunes at most, so that nobody waits long for it."""

_RECORD: Final = "seq, interaction_id, caller, kind, body, accepted, attempts"
_SETTLED: Final = """
    NOT EXISTS (SELECT 1 FROM record WHERE interaction_id = known.id)
    AND NOT EXISTS (SELECT 1 FROM dead WHERE interaction_id = known.id)
"""


def totals(db: sqlite3.Connection) -> Totals:
    """What the file holds."""
    row = db.execute(
        "SELECT records, bytes, delivered, dead, dead_bytes, known, forgotten,"
        " (SELECT accepted FROM record WHERE delivered = 0 ORDER BY seq LIMIT 1),"
        " (SELECT seq FROM sqlite_sequence WHERE name = 'record') FROM totals"
    ).fetchone()
    return Totals(*row)


def add_interaction(
    db: sqlite3.Connection, known: Known, body: bytes, limits: OutboxSettings, now: float
) -> bool:
    """Keep an interaction; False where the same one is there.

    Raises:
        Conflict, NotFound (it was forgotten), OutboxFull, Unprocessable (larger than the outbox).
    """
    there = find(db, known.id)
    if there is not None:
        if there.digest and there.digest != known.digest:
            raise Conflict(
                "another interaction has this id: give each interaction an id of its own",
                field="id",
            )
        return False
    if was_forgotten(db, known.id):
        raise NotFound("this interaction was forgotten and stays so", field="id")
    _room(db, len(body), limits)
    _put(db, known.id, known.caller, "interaction", body, now)
    _know(db, known)
    return True


def add_outcome(
    db: sqlite3.Connection,
    interaction_id: str,
    caller: Caller,
    posted: PostedOutcome,
    signals: SignalsSettings,
    limits: OutboxSettings,
    now: float,
) -> OutcomeReceipt:
    """Keep a posted outcome where it says anything new.

    Raises:
        NotFound: no such interaction, or somebody else's.
        Conflict, Unprocessable, OutboxFull.
    """
    known = find(db, interaction_id)
    if known is None or (known.caller != caller.id and not caller.is_operator):
        raise NotFound(
            f"no interaction '{interaction_id}' is known: post to the id that was given out, "
            "with the key it was given to",
            field="interaction_id",
        )
    before = known.state
    after = before.posted(posted, signals)
    if after != before:
        _settle(db, known, after, limits, now)
    effective = after.effective()
    return OutcomeReceipt(
        interaction_id, effective.outcome, effective.user_feedback, changed=after != before
    )


def add_signal(
    db: sqlite3.Connection,
    interaction_id: str,
    source: OutcomeSource,
    weight: float,
    limits: OutboxSettings,
    now: float,
) -> bool:
    """Keep a sign; False where the interaction is unknown or the sign is there."""
    known = find(db, interaction_id)
    if known is None:
        return False
    before = known.state
    after = before.observed(source, weight)
    if after == before:
        return False
    _settle(db, known, after, limits, now)
    return True


def find(db: sqlite3.Connection, interaction_id: str) -> Known | None:
    """What is known of an interaction."""
    row = db.execute(
        "SELECT id, caller, timestamp, digest, state FROM known WHERE id = ?", (interaction_id,)
    ).fetchone()
    if row is None:
        return None
    id_, caller, timestamp, digest, state = row
    return Known.told(id_, caller, timestamp, digest, OutcomeState.model_validate_json(state))


def adopt(db: sqlite3.Connection, known: Known, limits: OutboxSettings) -> None:
    """Know an interaction that Qdrant has; one that is known or forgotten stays as it is."""
    if not was_forgotten(db, known.id):
        _know(db, known)
        _trim(db, limits)


def waiting(db: sqlite3.Connection, limit: int, without: Collection[str]) -> list[Record]:
    """Waiting records, oldest first, but those of some interactions."""
    rows = db.execute(
        f"SELECT {_RECORD} FROM record"  # noqa: S608 - a constant
        " WHERE delivered = 0 AND interaction_id NOT IN (SELECT value FROM json_each(?))"
        " ORDER BY seq LIMIT ?",
        (json.dumps(list(without)), limit),
    )
    return [Record(*row) for row in rows]


def waiting_of(db: sqlite3.Connection, interaction_id: str) -> list[Record]:
    """Waiting records of one interaction, oldest first."""
    rows = db.execute(
        f"SELECT {_RECORD} FROM record"  # noqa: S608 - a constant
        " WHERE interaction_id = ? AND delivered = 0 ORDER BY seq",
        (interaction_id,),
    )
    return [Record(*row) for row in rows]


def newest_waiting(db: sqlite3.Connection, limit: int, caller: str | None) -> list[Record]:
    """Waiting interactions, the last accepted first; of one caller, or with None of all."""
    rows = db.execute(
        f"SELECT {_RECORD} FROM record"  # noqa: S608 - a constant
        " WHERE delivered = 0 AND kind = 'interaction' AND (?1 IS NULL OR caller = ?1)"
        " ORDER BY seq DESC LIMIT ?2",
        (caller, limit),
    )
    return [Record(*row) for row in rows]


def resume(db: sqlite3.Connection, boot: str) -> list[tuple[int, int]]:
    """Delivered records that are kept still, with their sizes.

    After another start of the machine they wait again instead: what Qdrant's
    files had not yet on the disk may be gone.
    """
    if db.execute("SELECT boot FROM totals").fetchone()[0] != boot:
        db.execute("UPDATE record SET delivered = 0 WHERE delivered = 1")
        db.execute("UPDATE totals SET boot = ?", (boot,))
    return db.execute(
        "SELECT seq, length(body) FROM record WHERE delivered = 1 ORDER BY seq"
    ).fetchall()


def mark_delivered(db: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Let records wait no longer, and keep them."""
    db.executemany("UPDATE record SET delivered = 1 WHERE seq = ?", [(seq,) for seq in seqs])


def remove(db: sqlite3.Connection, seqs: Sequence[int], limits: OutboxSettings) -> None:
    """Drop records, and what is known beyond the bound."""
    db.executemany("DELETE FROM record WHERE seq = ?", [(seq,) for seq in seqs])
    _trim(db, limits)


def add_attempt(db: sqlite3.Connection, seq: int) -> int:
    """Count a try that failed by what the record is; how many there were."""
    row = db.execute(
        "UPDATE record SET attempts = attempts + 1 WHERE seq = ? RETURNING attempts", (seq,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def bury(db: sqlite3.Connection, seq: int, why: str, now: float) -> bool:
    """Set a record aside; False where it is not waiting any more."""
    db.execute(
        f"INSERT INTO dead ({_RECORD}, died, why)"  # noqa: S608 - a constant
        f" SELECT {_RECORD}, ?, ? FROM record WHERE seq = ?",
        (now, why, seq),
    )
    return db.execute("DELETE FROM record WHERE seq = ?", (seq,)).rowcount > 0


def buried(db: sqlite3.Connection, limit: int) -> list[DeadRecord]:
    """Records set aside, oldest first."""
    rows = db.execute(
        f"SELECT {_RECORD}, died, why FROM dead ORDER BY seq LIMIT ?",  # noqa: S608
        (limit,),
    )
    return [DeadRecord(Record(*row[:-2]), row[-2], row[-1]) for row in rows]


def revive(db: sqlite3.Connection, now: float) -> int:
    """Let what was set aside wait again; how many interactions that concerns.

    An interaction takes its old place. Of its outcomes there is one record with
    what is known now: an old one must not take the place of a newer one.
    """
    ids = [
        row[0] for row in db.execute("SELECT interaction_id FROM dead GROUP BY 1 ORDER BY min(seq)")
    ]
    db.execute(
        f"INSERT INTO record ({_RECORD})"  # noqa: S608 - a constant
        " SELECT seq, interaction_id, caller, kind, body, accepted, 0 FROM dead"
        " WHERE kind = 'interaction'"
    )
    db.execute("DELETE FROM dead")
    for id_ in ids:
        known = find(db, id_)
        if known is not None and not known.state.empty:
            _put(db, id_, known.caller, "outcome", _text(known.state).encode(), now)
    return len(ids)


def forget(db: sqlite3.Connection, interaction_id: str, now: float) -> int:
    """Remove every trace but the id; how many rows there were."""
    removed = sum(
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", (interaction_id,)).rowcount  # noqa: S608
        for table, column in (
            ("record", "interaction_id"),
            ("dead", "interaction_id"),
            ("known", "id"),
        )
    )
    db.execute(
        "INSERT INTO forgotten (id, since) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
        (interaction_id, now),
    )
    return removed


def was_forgotten(db: sqlite3.Connection, interaction_id: str) -> bool:
    """Whether an interaction was forgotten."""
    found = db.execute("SELECT 1 FROM forgotten WHERE id = ?", (interaction_id,)).fetchone()
    return found is not None


def prune(db: sqlite3.Connection, before: float) -> int:
    """Drop up to ``CHUNK`` settled interactions older than ``before``; how many there were."""
    return db.execute(
        "DELETE FROM known WHERE number IN (SELECT number FROM known"  # noqa: S608 - constants
        f" WHERE timestamp < ? AND {_SETTLED} ORDER BY timestamp LIMIT {CHUNK})",
        (before,),
    ).rowcount


def _settle(
    db: sqlite3.Connection, known: Known, after: OutcomeState, limits: OutboxSettings, now: float
) -> None:
    state = _text(after)
    _room(db, len(state), limits)
    _put(db, known.id, known.caller, "outcome", state.encode(), now)
    db.execute("UPDATE known SET state = ? WHERE id = ?", (state, known.id))


def _put(
    db: sqlite3.Connection, id_: str, caller: str, kind: Kind, body: bytes, now: float
) -> None:
    row: tuple[Any, ...] = (id_, caller, kind, body, now)
    db.execute(
        "INSERT INTO record (interaction_id, caller, kind, body, accepted) VALUES (?, ?, ?, ?, ?)",
        row,
    )


def _room(db: sqlite3.Connection, size: int, limits: OutboxSettings) -> None:
    """What was set aside takes room too: it is kept until somebody sees to it."""
    if size > limits.max_bytes:
        raise Unprocessable(
            f"this takes {size:,} bytes, more than learning.outbox.max_bytes ({limits.max_bytes:,})"
        )
    held = totals(db)
    if (
        held.records + held.dead >= limits.max_records
        or held.bytes + held.dead_bytes + size > limits.max_bytes
    ):
        raise OutboxFull(
            f"{held.records:,} records wait for Qdrant, which is as much as the outbox may hold: "
            "see why Qdrant does not take them (/ready), and send this again later",
            retry_after=RETRY_AFTER,
        )


def _know(db: sqlite3.Connection, known: Known) -> None:
    db.execute(
        "INSERT INTO known (id, caller, timestamp, digest, state) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (known.id, known.caller, known.timestamp, known.digest, _text(known.state)),
    )


def _trim(db: sqlite3.Connection, limits: OutboxSettings) -> None:
    """Drop what has been known, or forgotten, for longest beyond the bound."""
    bound = KNOWN_PER_RECORD * limits.max_records
    held = totals(db)
    for table, condition, count in (
        ("known", _SETTLED, held.known),
        ("forgotten", "true", held.forgotten),
    ):
        if count > bound:
            db.execute(
                f"DELETE FROM {table} WHERE number IN"  # noqa: S608 - constants
                f" (SELECT number FROM {table} WHERE {condition} ORDER BY number LIMIT ?)",
                (min(count - bound, CHUNK),),
            )


def _text(state: OutcomeState) -> str:
    return state.model_dump_json()
