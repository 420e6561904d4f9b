"""Records reach the journal whole, with fields and priority, or stderr in a form systemd reads."""

from __future__ import annotations

import logging
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_coordinator.telemetry.journal import JournalHandler, encode, in_journal, priority_of
from hybrid_coordinator.telemetry.logs import Prefixed, fields_of


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        receiver.settimeout(5)
        yield receiver


def decode(data: bytes) -> dict[str, str]:
    """The native protocol read back."""
    found = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, separator, value = line.partition(b"=")
        if separator:
            data = rest
        else:
            length = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + length], rest[8 + length + 1 :]
        found[name.decode()] = value.decode()
    return found


def record(message: str, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "here", "msg": message, "levelno": level, "levelname": "X", "lineno": 7}
    )
    vars(made).update(extra)
    return made


def handler(journal: socket.socket, spare: logging.Handler | None = None) -> JournalHandler:
    return JournalHandler(fields_of, spare or logging.NullHandler(), journal.getsockname())


def test_a_record_has_message_priority_and_its_own_fields(journal: socket.socket) -> None:
    handler(journal).emit(
        record("request failed", logging.ERROR, interaction_id="i-1", **{"odd name": 3})
    )
    fields = decode(journal.recv(65536))
    assert fields["MESSAGE"] == "request failed"
    assert fields["PRIORITY"] == "3"
    assert fields["SYSLOG_IDENTIFIER"] == "hybrid-coordinator"
    assert fields["HYBRID_INTERACTION_ID"] == "i-1"
    assert fields["HYBRID_ODD_NAME"] == "3"
    assert (fields["LOGGER"], fields["CODE_LINE"]) == ("here", "7")


def test_a_traceback_stays_one_record(journal: socket.socket) -> None:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        handler(journal).emit(record("failed", exc_info=sys.exc_info()))
    message = decode(journal.recv(65536))["MESSAGE"]
    assert message.startswith("failed\nTraceback")
    assert message.endswith("RuntimeError: broken")


@pytest.mark.parametrize("value", ["", "a=b", "two\nlines\n", "ünïcode ✓", "lone \ud800 surrogate"])
def test_any_value_comes_back_as_it_was(value: str) -> None:
    expected = value.encode("utf-8", "backslashreplace").decode()
    assert decode(encode({"A": value, "B": "after"})) == {"A": expected, "B": "after"}


def test_a_record_too_long_for_a_datagram_comes_as_a_sealed_file(journal: socket.socket) -> None:
    long = "x" * 5_000_000
    handler(journal).emit(record(long))
    data, fds, _, _ = socket.recv_fds(journal, 1024, 1)
    assert data == b""
    (descriptor,) = fds
    try:
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as view:
            assert decode(view[:])["MESSAGE"] == long
        with pytest.raises(PermissionError):
            os.write(descriptor, b"more")
    finally:
        os.close(descriptor)


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_what_the_journal_does_not_take_goes_to_stderr(journal: socket.socket) -> None:
    spare = Kept()
    to_journal = handler(journal, spare)
    Path(journal.getsockname()).unlink()
    journal.close()
    to_journal.emit(record("still said"))
    assert [one.getMessage() for one in spare.records] == ["still said"]


def test_on_systemds_stream_every_line_has_its_priority() -> None:
    lines = Prefixed().format(record("one\ntwo", logging.WARNING, levelname="WARNING")).split("\n")
    assert lines == ["<4>warning: one", "<4>two"]


@pytest.mark.parametrize(
    ("level", "priority"),
    [("DEBUG", 7), ("INFO", 6), ("WARNING", 4), ("ERROR", 3), ("CRITICAL", 2)],
)
def test_levels_are_the_journals_priorities(level: str, priority: int) -> None:
    assert priority_of(logging.getLevelNamesMapping()[level]) == priority


def test_only_the_stream_that_systemd_names_is_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        found = os.fstat(stream.fileno())
        named = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert in_journal(named, stream.fileno())
        assert not in_journal({"JOURNAL_STREAM": f"{found.st_dev}:1"}, stream.fileno())
        assert not in_journal({"JOURNAL_STREAM": "nonsense"}, stream.fileno())
        assert not in_journal({}, stream.fileno())


def test_without_the_journals_socket_stderr_gets_text_with_priorities(tmp_path: Path) -> None:
    program = (
        "import logging\n"
        "from hybrid_coordinator.settings import LogLevel\n"
        "from hybrid_coordinator.telemetry import journal, logs\n"
        f"journal.JournalHandler.__init__.__defaults__ = ({str(tmp_path / 'none')!r},)\n"
        "logs.configure_logging(LogLevel.INFO)\n"
        "logging.getLogger('x').warning('careful', extra={'interaction_id': 'i-1'})\n"
    )
    with (tmp_path / "stream").open("w") as stream:
        found = os.fstat(stream.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        subprocess.run([sys.executable, "-c", program], stderr=stream, env=environment, check=True)
    first, second = (tmp_path / "stream").read_text().splitlines()
    assert first.startswith("<4>warning: log lines have no fields")
    assert second == "<4>warning: careful  [interaction_id=i-1]"
