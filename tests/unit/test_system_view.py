"""How the outbox is judged, and which events an analysis reads; the whole is in integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_coordinator.gateway import PartState
from hybrid_coordinator.learning.outbox_records import Totals
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.system_view import outbox_part
from hybrid_coordinator.telemetry import EventReader

SETTINGS = Settings.model_validate({"learning": {"outbox": {"max_records": 100}}})
NOW = 10_000.0


@pytest.mark.parametrize(
    ("totals", "state", "detail"),
    [
        (Totals(), PartState.READY, "nothing waits"),
        (Totals(records=2, oldest=NOW - 5), PartState.READY, "2 records wait, the oldest for 5 s"),
        (Totals(records=2, oldest=NOW + 5), PartState.READY, "2 records wait, the oldest for 0 s"),
        (
            Totals(records=2, oldest=NOW - 901),
            PartState.DEGRADED,
            "2 records wait, the oldest for 901 s",
        ),
        (
            Totals(records=80, bytes=9, oldest=NOW),
            PartState.DEGRADED,
            "nearly full: 80 records, 9 bytes wait",
        ),
        (
            Totals(dead=1),
            PartState.DEGRADED,
            "1 records were set aside, since the store refuses them",
        ),
        (None, PartState.DEGRADED, "the outbox cannot be written: see the log"),
    ],
)
def test_the_outbox_is_judged_by_depth_age_and_what_was_set_aside(
    totals: Totals | None, state: PartState, detail: str
) -> None:
    part = outbox_part(SETTINGS, totals, NOW)
    assert (part.state, part.detail) == (state, detail)


def test_without_learning_there_is_no_outbox() -> None:
    off = Settings.model_validate({"learning": {"enable": False}})
    assert outbox_part(off, Totals(dead=3), NOW).state is PartState.OFF


def test_only_the_newest_event_files_are_read_where_a_size_is_given(tmp_path: Path) -> None:
    for name, size in (("events.2.jsonl", 10), ("events.1.jsonl", 10), ("events.jsonl", 15)):
        (tmp_path / name).write_bytes(b"\n" * size)

    def names(size: int | None) -> list[str]:
        return [path.name for path in EventReader(tmp_path, newest_bytes=size).files()]

    assert names(None) == ["events.2.jsonl", "events.1.jsonl", "events.jsonl"]
    assert names(25) == ["events.1.jsonl", "events.jsonl"]
    assert names(1) == ["events.jsonl"]
