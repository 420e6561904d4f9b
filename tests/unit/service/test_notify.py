"""What systemd hears, datagram by datagram."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_coordinator.service.notify import Notifier, watchdog_interval


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        path = str(tmp_path / "notify")
        receiver.bind(path if request.param == "path" else "\0" + path)
        receiver.settimeout(5)
        yield receiver


def notifier(heard: socket.socket) -> Notifier:
    name = heard.getsockname()
    address = name if isinstance(name, str) else "@" + name[1:].decode()
    return Notifier(address)


def test_a_status_with_signs_beyond_latin_1_arrives(heard: socket.socket) -> None:
    notifier(heard).ready("ready: lemonade ✓ ollama –,\n5 collections")
    assert heard.recv(4096).decode() == "READY=1\nSTATUS=ready: lemonade ✓ ollama –, 5 collections"


def test_a_reload_is_told_with_the_clock_systemd_compares(heard: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier(heard).reloading()
    lines = dict(line.split("=", 1) for line in heard.recv(4096).decode().split("\n"))
    assert lines["RELOADING"] == "1"
    assert before <= int(lines["MONOTONIC_USEC"]) <= before + 5_000_000


def test_the_end_is_told_with_the_time_it_may_take(heard: socket.socket) -> None:
    notifier(heard).stopping("stopping: 3 answers are being finished, at most 30 s", 45)
    assert heard.recv(4096).decode().split("\n") == [
        "STOPPING=1",
        "STATUS=stopping: 3 answers are being finished, at most 30 s",
        "EXTEND_TIMEOUT_USEC=45000000",
    ]


async def test_a_long_start_asks_for_more_time_until_it_is_over(heard: socket.socket) -> None:
    async with notifier(heard).more_time():
        assert await asyncio.to_thread(heard.recv, 4096) == b"EXTEND_TIMEOUT_USEC=30000000"
    assert not [task for task in asyncio.all_tasks() if "systemd" in task.get_name()]


async def test_a_start_that_hangs_gets_no_more_time(heard: socket.socket) -> None:
    async with notifier(heard).more_time(longest=0):
        await asyncio.sleep(0.05)
    heard.settimeout(0)
    with pytest.raises(BlockingIOError):
        heard.recv(4096)


def test_without_systemd_nothing_is_sent_and_nothing_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    silent = Notifier(None)
    silent.ready("ready")
    silent.alive()
    assert not silent.is_heard
    assert not Notifier("").is_heard
    assert caplog.text == ""


def test_an_address_that_is_no_unix_socket_is_said_so(caplog: pytest.LogCaptureFixture) -> None:
    assert not Notifier("vsock:2:1").is_heard
    assert "vsock:2:1" in caplog.text


def test_a_message_that_cannot_be_sent_is_counted_and_logged_once_lesson_7(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[int] = []
    lost = Notifier(str(tmp_path / "nobody"), lambda: failures.append(1))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            lost.alive()
    assert len(failures) == 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_three_times_in_its_time_and_by_whom_it_means(
    environment: dict[str, str], interval: float | None
) -> None:
    assert watchdog_interval(environment, pid=7) == interval
