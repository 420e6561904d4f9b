"""Events of a forgotten interaction leave every file, and no other event is lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.settings import TelemetrySettings
from hybrid_coordinator.telemetry import EventReader, Metrics, TelemetryWriter
from hybrid_coordinator.telemetry import erasure as erasure_module
from hybrid_coordinator.telemetry.erasure import erase_events
from hybrid_coordinator.telemetry.events import ContextSearch, ValueScoreComputed

MARKER = "Xyzzy-marker"


def searched(interaction_id: str | None, query: str = "q") -> ContextSearch:
    return ContextSearch(
        timestamp=1.0,
        interaction_id=interaction_id,
        query=query,
        results_count=1,
        avg_score=0.5,
        latency_ms=1.0,
    )


def scored(interaction_id: str) -> ValueScoreComputed:
    return ValueScoreComputed(timestamp=1.0, interaction_id=interaction_id, score=0.5)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[TelemetryWriter]:
    made = TelemetryWriter(tmp_path, TelemetrySettings(max_file_bytes=4096), Metrics())
    made.start()
    yield made
    made.close()


def ids(folder: Path) -> list[str | None]:
    reader = EventReader(folder)
    found = [event.interaction_id for event in reader]
    assert reader.skipped == 0
    return found


def test_the_events_of_one_interaction_go_from_every_file(
    writer: TelemetryWriter, tmp_path: Path
) -> None:
    for number in range(100):
        writer.record(searched(f"keep-{number}"))
        writer.flush()
        if number % 10 == 0:
            writer.record(searched("gone", f"{MARKER} {number}"))
    writer.flush()
    assert len(EventReader(tmp_path).files()) > 2
    assert writer.erase(["gone"]) == 10
    assert not any(MARKER.encode() in path.read_bytes() for path in tmp_path.iterdir())
    assert ids(tmp_path) == [f"keep-{number}" for number in range(100)]
    assert writer.erase(["gone"]) == 0
    writer.record(scored("later"))
    writer.flush()
    assert ids(tmp_path)[-1] == "later"


def test_what_was_recorded_just_before_is_erased_too(
    writer: TelemetryWriter, tmp_path: Path
) -> None:
    writer.record(searched("gone", MARKER))
    assert writer.erase({"gone"}) == 1
    assert ids(tmp_path) == []


def test_a_text_that_looks_like_an_id_is_only_text(writer: TelemetryWriter, tmp_path: Path) -> None:
    for fake in (
        '"interaction_id":"gone"',
        '\\"interaction_id":"gone"',
        '{"interaction_id": "gone"}',
    ):
        writer.record(searched("kept", fake))
        writer.record(searched(None, fake))
    assert writer.erase(["gone"]) == 0
    assert len(ids(tmp_path)) == 6


def test_a_torn_line_goes_with_its_interaction(tmp_path: Path) -> None:
    whole = searched("gone", MARKER).model_dump_json().encode()
    other = searched("kept").model_dump_json().encode()
    for end in range(len(whole)):
        path = tmp_path / "events.jsonl"
        path.write_bytes(other + b"\n" + whole[:end] + b"\n" + other + b"\n")
        erase_events(path, ["gone"])
        left = path.read_bytes()
        assert MARKER[:3].encode() not in left
        assert left.startswith(other + b"\n")
        assert left.endswith(b"\n" + other + b"\n")


def test_a_file_of_others_is_not_touched_and_a_missing_one_has_none(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert erase_events(path, ["gone"]) == 0
    path.write_text(scored("kept").model_dump_json() + "\n")
    before = path.stat()
    assert erase_events(path, ["gone"]) == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_crash_while_a_file_is_rewritten_leaves_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(scored(id_).model_dump_json() + "\n" for id_ in ("gone", "kept")))
    (tmp_path / "events.jsonl.erasing").write_text("left by an earlier crash")
    assert len(EventReader(tmp_path).files()) == 1, "an unfinished file is no event file"

    class Stop(Exception):
        pass

    def stop(_: int) -> None:
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", stop)
        with pytest.raises(Stop):
            erase_events(path, ["gone"])
    assert ids(tmp_path) == ["gone", "kept"]
    assert erase_events(path, ["gone"]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["events.jsonl"]
    assert ids(tmp_path) == ["kept"]


def test_a_rewritten_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(scored("gone").model_dump_json() + "\n")
    path.chmod(0o640)
    erase_events(path, ["gone"])
    assert path.stat().st_mode & 0o777 == 0o640


def test_events_recorded_and_files_rotated_meanwhile_are_all_there(
    writer: TelemetryWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files move on by one while the older ones are being rewritten; none is missed or doubled."""
    for number in range(60):
        writer.record(searched("gone" if number % 3 == 0 else f"keep-{number}", MARKER * 3))
        writer.flush()
    files = len(EventReader(tmp_path).files())
    assert files >= 3
    real = erasure_module.erase_events
    calls = []

    def and_more_comes(path: Path, gone: frozenset[str]) -> int:
        calls.append(path)
        if len(calls) <= files:
            for number in range(12):
                writer.record(searched(f"during-{len(calls)}-{number}"))
        return real(path, gone)

    monkeypatch.setattr("hybrid_coordinator.telemetry.writer.erase_events", and_more_comes)
    assert writer.erase(["gone"]) == 20
    writer.flush()
    found = ids(tmp_path)
    assert "gone" not in found
    assert [id_ for id_ in found if str(id_).startswith("keep")] == [
        f"keep-{n}" for n in range(60) if n % 3
    ]
    assert [id_ for id_ in found if str(id_).startswith("during")] == [
        f"during-{call}-{n}" for call in range(1, files + 1) for n in range(12)
    ]


def test_several_erasures_and_many_events_at_once_lose_nothing(
    writer: TelemetryWriter, tmp_path: Path
) -> None:
    for number in range(100):
        writer.record(searched(f"id-{number % 20}"))
    removed: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: removed.append(writer.erase([f"id-{n}"])))
        for n in range(10)
    ]
    for thread in threads:
        thread.start()
    for number in range(200):
        writer.record(scored(f"more-{number}"))
    for thread in threads:
        thread.join()
    writer.flush()
    assert removed == [5] * 10
    found = ids(tmp_path)
    assert len(found) == 50 + 200
    assert {f"id-{n}" for n in range(10, 20)} == {i for i in found if str(i).startswith("id-")}


def test_a_disk_that_fails_is_said_and_the_writer_goes_on(
    writer: TelemetryWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.record(scored("gone"))
    writer.flush()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("hybrid_coordinator.telemetry.writer.erase_events", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            writer.erase(["gone"])
    writer.record(scored("kept"))
    assert writer.flush()
    assert writer.erase(["gone"]) == 1
    assert ids(tmp_path) == ["kept"]


def test_without_a_thread_the_files_of_earlier_runs_are_rewritten(tmp_path: Path) -> None:
    first = TelemetryWriter(tmp_path, TelemetrySettings(), Metrics())
    first.start()
    first.record(scored("gone"))
    first.close()
    off = TelemetryWriter(tmp_path, TelemetrySettings(enable=False), Metrics())
    off.start()
    assert off.erase(["gone"]) == 1
    assert ids(tmp_path) == []
    assert TelemetryWriter(tmp_path / "none", TelemetrySettings(), Metrics()).erase(["x"]) == 0


def test_an_erasure_that_comes_while_the_writer_ends_is_done(tmp_path: Path) -> None:
    for _ in range(20):
        writer = TelemetryWriter(tmp_path, TelemetrySettings(), Metrics())
        writer.start()
        writer.record(scored("gone"))
        closing = threading.Thread(target=writer.close)
        closing.start()
        writer.erase(["gone"])
        closing.join()
    final = TelemetryWriter(tmp_path, TelemetrySettings(), Metrics())
    final.erase(["gone"])
    assert ids(tmp_path) == []
