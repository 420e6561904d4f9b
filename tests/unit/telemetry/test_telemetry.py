"""Events survive a round trip, rotation, a torn line and a failing disk."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.conversation import CacheStatus, Rejection, Tier
from hybrid_coordinator.settings import TelemetrySettings
from hybrid_coordinator.telemetry import EVENT, Event, EventReader, Metrics, TelemetryWriter
from hybrid_coordinator.telemetry import events as e
from hybrid_coordinator.telemetry.logs import JsonLines

EXAMPLES: list[Event] = [
    e.ContextSearch(timestamp=1.0, query="q", results_count=2, avg_score=0.5, latency_ms=3.0),
    e.PatternExtraction(timestamp=1.0, interaction_id="i", patterns_found=1),
    e.FineTuningUpdate(timestamp=1.0, dataset_size=10, new_examples=2),
    e.ValueScoreComputed(timestamp=1.0, interaction_id="i", score=0.7),
    e.PatternStatusChanged(
        timestamp=1.0,
        collection="skills-patterns",
        item_id="i",
        status="trusted",
        why="two independent successes",
    ),
    e.CacheLookup(timestamp=1.0, status=CacheStatus.MISS, latency_ms=0.1),
    e.RoutingDecision(timestamp=1.0, tier=Tier.LOCAL, backend="b", model="m", reason="pinned"),
    e.Inference(
        timestamp=1.0, backend="b", model="m", tier=Tier.REMOTE, outcome="ok", latency_ms=9.0
    ),
    e.ResponseRejected(timestamp=1.0, backend="b", rejection=Rejection.LOOP, escalated=True),
    e.InteractionRecorded(
        timestamp=1.0,
        caller="c",
        dialect="openai",
        cache=CacheStatus.EXACT,
        reason="cache",
        status=200,
        overhead_ms=0.5,
        latency_ms=1.0,
    ),
    e.OutcomeRecorded(timestamp=1.0, interaction_id="i", outcome="success", user_feedback=1),
]


def writer(directory: Path, **settings: int) -> TelemetryWriter:
    w = TelemetryWriter(directory, TelemetrySettings(**settings), Metrics())
    w.start()
    return w


def event(number: int) -> Event:
    return e.ValueScoreComputed(timestamp=float(number), interaction_id=f"i{number}", score=0.5)


def test_every_event_type_survives_writing_and_reading_lesson_6(tmp_path: Path) -> None:
    assert len({type(x) for x in EXAMPLES}) == len(EXAMPLES) == len(EVENT.json_schema()["oneOf"])
    w = writer(tmp_path)
    for example in EXAMPLES:
        w.record(example)
    w.close()
    assert list(EventReader(tmp_path)) == EXAMPLES


@pytest.mark.parametrize(
    ("example", "keys"),
    [
        (EXAMPLES[0], {"query", "results_count", "avg_score"}),
        (EXAMPLES[1], {"interaction_id", "patterns_found"}),
        (EXAMPLES[2], {"dataset_size", "new_examples"}),
        (EXAMPLES[3], {"interaction_id", "score"}),
    ],
)
def test_the_four_asked_for_events_have_their_keys(example: Event, keys: set[str]) -> None:
    assert keys <= json.loads(example.model_dump_json()).keys()


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_stays_on_one_line(query: str, score: float) -> None:
    one = e.ContextSearch(
        timestamp=1.0, query=query, results_count=0, avg_score=score, latency_ms=0.0
    )
    line = one.model_dump_json()
    assert "\n" not in line
    assert EVENT.validate_json(line) == one


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    w = writer(tmp_path)
    w.record(event(1))
    w.close()
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"type":"value_score_comp')
    w = writer(tmp_path)
    w.record(event(2))
    w.close()
    reader = EventReader(tmp_path)
    assert list(reader) == [event(1), event(2)]
    assert reader.skipped == 1


WRITE_FOREVER = """
import sys
from pathlib import Path
from hybrid_coordinator.settings import TelemetrySettings
from hybrid_coordinator.telemetry import Metrics, TelemetryWriter
from hybrid_coordinator.telemetry.events import ValueScoreComputed
writer = TelemetryWriter(Path(sys.argv[1]), TelemetrySettings(max_file_bytes=65536), Metrics())
writer.start()
number = 0
while True:
    for _ in range(100):
        writer.record(ValueScoreComputed(timestamp=float(number), interaction_id="x", score=0.5))
        number += 1
    writer.flush()
    print(number, flush=True)
"""


def test_kill_9_loses_no_line_that_was_flushed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_FOREVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        flushed = 0
        while flushed < 2000:
            flushed = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    w = writer(tmp_path)
    w.record(event(10**9))
    w.close()
    reader = EventReader(tmp_path)
    times = [x.timestamp for x in reader]
    assert reader.skipped <= 1
    assert times[-1] == 10**9
    assert times[:-1] == sorted(times[:-1])
    assert times[-2] >= flushed - 1


def test_files_rotate_by_size_and_the_oldest_leaves(tmp_path: Path) -> None:
    w = writer(tmp_path, max_file_bytes=4096, max_files=3)
    for number in range(400):
        w.record(event(number))
        w.flush()
    w.close()
    files = EventReader(tmp_path).files()
    assert [f.name for f in files] == ["events.2.jsonl", "events.1.jsonl", "events.jsonl"]
    assert all(f.stat().st_size <= 4096 for f in files)
    times = [x.timestamp for x in EventReader(tmp_path)]
    assert times == sorted(times)
    assert times[-1] == 399


def test_a_failing_disk_is_counted_logged_once_and_recovered_lesson_7(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "telemetry"
    blocked.write_text("a file where the directory should be")
    metrics = Metrics()
    w = TelemetryWriter(blocked, TelemetrySettings(), metrics)
    w.start()
    with caplog.at_level(logging.INFO):
        for number in range(3):
            w.record(event(number))
            assert w.flush()
        blocked.unlink()
        w.record(event(3))
        w.close()
    lost = metrics.registry.get_sample_value(
        "hybrid_telemetry_events_lost_total", {"cause": "write_failed"}
    )
    assert lost == 3
    assert [r.levelname for r in caplog.records] == ["ERROR", "INFO"]
    assert [x.timestamp for x in EventReader(blocked)] == [3.0]


def test_a_full_queue_drops_and_counts_and_never_waits(tmp_path: Path) -> None:
    metrics = Metrics()
    w = TelemetryWriter(tmp_path, TelemetrySettings(queue_size=16), metrics)
    w._thread = object()  # type: ignore[assignment]  # started, but nobody takes events away
    for number in range(20):
        w.record(event(number))
    lost = metrics.registry.get_sample_value(
        "hybrid_telemetry_events_lost_total", {"cause": "queue_full"}
    )
    assert lost == 4


def test_a_log_line_is_an_object_with_its_fields() -> None:
    record = logging.makeLogRecord(
        {"msg": "backend is away", "levelname": "WARNING", "name": "x", "backend": "lemonade"}
    )
    line = json.loads(JsonLines().format(record))
    assert line["backend"] == "lemonade"
    assert line["level"] == "warning"
    assert line["message"] == "backend is away"
