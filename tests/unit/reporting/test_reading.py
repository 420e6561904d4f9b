"""Each line of telemetry is read once: over rotation, erasure, restart, and torn and odd lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.reporting import reading
from hybrid_coordinator.reporting.reading import Position, read_lines
from hybrid_coordinator.settings import TelemetrySettings
from hybrid_coordinator.telemetry import Metrics, TelemetryWriter
from hybrid_coordinator.telemetry.erasure import erase_events
from hybrid_coordinator.telemetry.events import ValueScoreComputed
from hybrid_coordinator.telemetry.writer import event_files


class Reading:
    """Reads on from where it was, as a process does that may end after each read."""

    def __init__(self, folder: Path, limit: int = 10_000) -> None:
        self.folder = folder
        self.limit = limit
        self.position = Position()
        self.seen: list[bytes] = []
        self.after: list[float | None] = []

    def on(self) -> list[bytes]:
        """Everything that is new."""
        begin = len(self.seen)
        more = True
        while more:
            read = read_lines(self.folder, self.position, self.limit, newest=5.0)
            self.seen += read.lines
            self.after.append(read.after)
            self.position, more = read.position, read.more
        return self.seen[begin:]


def line(number: int, interaction: str = "kept") -> bytes:
    event = ValueScoreComputed(timestamp=float(number), interaction_id=interaction, score=0.5)
    return event.model_dump_json(exclude_none=True).encode()


@pytest.fixture
def current(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def put(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.writelines(one + b"\n" for one in lines)


def test_no_file_is_no_line(tmp_path: Path) -> None:
    assert Reading(tmp_path).on() == []
    assert Reading(tmp_path / "not there").on() == []


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_what_is_appended_is_read_once(tmp_path: Path, current: Path, limit: int) -> None:
    reading = Reading(tmp_path, limit)
    put(current, *(line(n) for n in range(5)))
    assert reading.on() == [line(n) for n in range(5)]
    assert reading.on() == []
    put(current, line(5))
    assert reading.on() == [line(5)]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(
    tmp_path: Path, current: Path
) -> None:
    reading = Reading(tmp_path)
    with current.open("ab", buffering=0) as file:
        file.write(line(1)[:20])
        assert reading.on() == []
        file.write(line(1)[20:] + b"\n" + line(2))
        assert reading.on() == [line(1)]
        file.write(b"\n")
        assert reading.on() == [line(2)]


def test_blank_lines_are_nothing_and_a_torn_one_is_a_line_once_it_is_closed(
    tmp_path: Path, current: Path
) -> None:
    reading = Reading(tmp_path)
    put(current, line(1), b"", b'{"type":"torn', b"  ", line(2))
    assert reading.on() == [line(1), b'{"type":"torn', line(2)]


def test_a_line_longer_than_any_event_is_read_in_pieces(
    tmp_path: Path, current: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_LINE", 100)
    put(current, b"x" * 250, line(1)[:50])
    assert Reading(tmp_path).on() == [b"x" * 100, b"x" * 100, b"x" * 50, line(1)[:50]]


def rotate(folder: Path, keep: int = 4) -> None:
    (folder / f"events.{keep}.jsonl").unlink(missing_ok=True)
    for number in range(keep - 1, 0, -1):
        older = folder / f"events.{number}.jsonl"
        if older.exists():
            older.replace(folder / f"events.{number + 1}.jsonl")
    (folder / "events.jsonl").replace(folder / "events.1.jsonl")


def test_rotation_between_and_in_the_middle_of_reading_doubles_and_loses_nothing(
    tmp_path: Path, current: Path
) -> None:
    reading = Reading(tmp_path)
    numbers = itertools.count()
    for turn in range(12):
        put(current, *(line(next(numbers)) for _ in range(3)))
        if turn % 2:
            reading.on()
        put(current, line(next(numbers)))
        rotate(tmp_path)
    put(current, line(next(numbers)))
    reading.on()
    assert reading.seen == [line(n) for n in range(next(numbers))]


def test_a_file_number_that_is_given_again_is_not_taken_for_the_old_file(
    tmp_path: Path, current: Path
) -> None:
    reading = Reading(tmp_path)
    put(current, *(line(n) for n in range(3)))
    reading.on()
    # The same inode and more bytes than were read, and other lines in it.
    content = b"".join(line(n) + b"\n" for n in range(100, 110))
    number = current.stat().st_ino
    current.write_bytes(content)
    assert current.stat().st_ino == number
    assert reading.on() == [line(n) for n in range(100, 110)]


def test_erasure_of_counted_lines_moves_the_place_and_doubles_nothing(
    tmp_path: Path, current: Path
) -> None:
    reading = Reading(tmp_path)
    put(current, line(0), line(1, "gone"), line(2), line(3, "gone"))
    rotate(tmp_path)
    put(current, line(4, "gone"), line(5), line(6, "gone"))
    reading.on()
    put(current, line(7), line(8, "gone"), line(9))
    for path in tmp_path.iterdir():
        erase_events(path, ["gone"])
    assert reading.on() == [line(7), line(9)]
    assert reading.on() == []


def test_where_no_known_line_is_left_what_is_older_than_the_newest_is_said_to_be_counted(
    tmp_path: Path, current: Path
) -> None:
    reading = Reading(tmp_path)
    put(current, line(1), line(2))
    reading.on()
    current.unlink()
    put(current, line(4), line(6))
    assert reading.on() == [line(4), line(6)]
    assert reading.after[-1] == 5.0
    put(current, line(3))
    reading.on()
    assert reading.after[-1] is None, "from then on everything new counts, whatever its time"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["put", "rotate", "erase", "read", "restart"]), max_size=40))
def test_whatever_happens_every_line_is_read_once_or_was_erased(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("telemetry")
    current = folder / "events.jsonl"
    reading, numbers = Reading(folder, limit=3), itertools.count()
    put(current, line(-1))
    reading.on()
    for step in steps:
        if step == "put":
            for _ in range(2):
                number = next(numbers)
                put(current, line(number, "gone" if number % 3 == 0 else "kept"))
        elif step == "rotate" and current.exists():
            reading.on()  # the oldest file goes: what is in it was there to be read
            rotate(folder, keep=9)
        elif step == "erase":
            for path in list(folder.iterdir()):
                erase_events(path, ["gone"])
        elif step == "read":
            reading.on()
        else:
            again = Reading(folder, limit=3)
            again.position, again.seen = reading.position, reading.seen
            reading = again
    reading.on()
    kept = [line(n) for n in range(next(numbers)) if n % 3]
    assert [one for one in reading.seen if b"gone" not in one][1:] == kept
    assert len(set(reading.seen)) == len(reading.seen)


def test_beside_a_writer_that_rotates_and_erases_nothing_is_missed(tmp_path: Path) -> None:
    writer = TelemetryWriter(tmp_path, TelemetrySettings(max_file_bytes=4096), Metrics())
    writer.start()
    reading = Reading(tmp_path, limit=7)
    for number in range(300):
        who = "gone" if number % 10 == 0 else "kept"
        writer.record(ValueScoreComputed(timestamp=float(number), interaction_id=who, score=0.5))
        if number % 20 == 0:
            writer.flush()
            reading.on()
        if number % 70 == 0:
            writer.erase(["gone"])
    writer.close()
    reading.on()
    kept = [one for one in reading.seen if b"kept" in one]
    assert kept == [line(n) for n in range(300) if n % 10]
    assert len(set(reading.seen)) == len(reading.seen)


def test_files_that_are_renamed_while_they_are_opened_are_opened_again(
    tmp_path: Path, current: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(current, line(1))
    rotate(tmp_path)
    put(current, line(2))
    calls: Iterator[int] = itertools.count()

    def moving(directory: Path) -> list[Path]:
        found = event_files(directory)
        if next(calls) == 0:
            rotate(directory)
            put(current, line(3))
        return found

    monkeypatch.setattr("hybrid_coordinator.reporting.reading.event_files", moving)
    assert Reading(tmp_path).on() == [line(1), line(2), line(3)]


def test_descriptors_are_closed_after_each_read(tmp_path: Path, current: Path) -> None:
    put(current, line(1))
    before = len(list(Path("/proc/self/fd").iterdir()))
    Reading(tmp_path).on()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
