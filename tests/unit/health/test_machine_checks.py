"""The coordinator's process, the embedder in it, the disk and the units."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid_coordinator.health.coordinator_view import View, look_at_coordinator
from hybrid_coordinator.health.machine_checks import (
    check_coordinator,
    check_disk,
    check_embedder,
    check_units,
)
from hybrid_coordinator.health.systemd import Units, ask_systemd
from hybrid_coordinator.health_report import Level
from hybrid_coordinator.health_settings import HealthSettings
from tests.fakes import running
from tests.unit.health.scenes import (
    Documents,
    Known,
    coordinator,
    no_view,
    put_systemctl,
    ready_document,
    unit,
    units,
    view,
)
from tests.unit.inference.raw_server import raw_server

UNIT = "hybrid-coordinator.service"
NO_SYSTEMD = Known(Units(trouble="no systemd here"))
OLD = HealthSettings(start_grace=0)


# The coordinator.


async def test_a_coordinator_that_answers_and_is_ready_is_well() -> None:
    part = await check_coordinator(view(), NO_SYSTEMD, OLD)
    assert (part.level, part.found) == (Level.OK, "answers at http://here")


async def test_a_coordinator_that_does_not_answer_is_critical_and_says_what_to_do() -> None:
    part = await check_coordinator(no_view("refused"), NO_SYSTEMD, OLD)
    assert part.level is Level.CRITICAL
    assert "http://here: refused" in part.text
    assert f"journalctl -u {UNIT}" in part.text


async def test_a_coordinator_that_systemd_is_starting_is_a_warning() -> None:
    """Lesson 9: started is not ready, and not dead either."""
    for state in (unit(UNIT, "activating", sub="start"), unit(UNIT, "inactive", queued=True)):
        part = await check_coordinator(no_view(), units(state), HealthSettings())
        assert (part.level, part.starting) == (Level.WARNING, True)
        assert part.text.startswith("starting: no coordinator")


@pytest.mark.parametrize(
    "state",
    [
        unit(UNIT, "activating", sub="auto-restart"),
        unit(UNIT, "activating", sub="start", restarts=7),
        unit(UNIT, "activating", sub="start", age=301.0),
        unit(UNIT, "inactive"),
        unit(UNIT, "failed"),
        unit(UNIT, "active"),
    ],
)
async def test_a_coordinator_that_fails_again_and_again_or_for_long_is_not_starting(
    state: Any,
) -> None:
    part = await check_coordinator(no_view(), units(state), HealthSettings())
    assert part.level is Level.CRITICAL


async def test_without_systemd_a_machine_that_came_up_just_now_is_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "clock_gettime", lambda _: 60.0)
    part = await check_coordinator(no_view(), NO_SYSTEMD, HealthSettings())
    assert part.starting
    monkeypatch.setattr(time, "clock_gettime", lambda _: 600.0)
    part = await check_coordinator(no_view(), NO_SYSTEMD, HealthSettings())
    assert part.level is Level.CRITICAL


async def test_a_coordinator_without_any_backend_is_critical() -> None:
    seen = view(ready=False, backend__a=("down", "gone"))
    part = await check_coordinator(seen, NO_SYSTEMD, OLD)
    assert part.level is Level.CRITICAL
    assert "no backend can answer" in part.text


async def test_a_coordinator_whose_models_are_loading_is_starting() -> None:
    seen = view(ready=False, backend__a=("down", "gone"), backend__b=("down", "loading m"))
    part = await check_coordinator(seen, NO_SYSTEMD, OLD)
    assert (part.level, part.starting) == (Level.WARNING, True)


async def test_a_load_that_failed_is_no_excuse() -> None:
    failed = "loading m again, it failed: out of memory"
    part = await check_coordinator(
        view(ready=False, backend__a=("down", failed)), NO_SYSTEMD, HealthSettings()
    )
    assert part.level is Level.CRITICAL


async def test_a_coordinator_that_lives_but_is_slow_with_ready_is_a_warning() -> None:
    slow = Known(View("http://here", alive=True, trouble="/ready does not answer within 1 s"))
    part = await check_coordinator(slow, NO_SYSTEMD, OLD)
    assert part.level is Level.WARNING
    assert "/ready does not answer" in part.text


# What the coordinator says of itself.


async def test_readiness_is_read_also_where_its_status_is_503() -> None:
    async with running(coordinator(ready=False, cache=("degraded", "away"))) as url:
        seen = await look_at_coordinator(url, 5)
    assert (seen.alive, seen.ready) == (True, False)
    cache = seen.part("cache")
    assert cache is not None
    assert (cache.state, cache.detail) == ("degraded", "away")
    assert len(seen.under("collection.")) == 5


async def test_another_program_on_the_port_is_not_taken_for_the_coordinator() -> None:
    async with running(Documents({})) as url:
        seen = await look_at_coordinator(url, 5)
    assert not seen.alive
    assert "another program" in seen.trouble


@pytest.mark.parametrize("document", [b"<html>", {"ready": True}, {"ready": "?", "parts": {}}])
async def test_readiness_that_is_none_is_not_believed(document: Any) -> None:
    async with running(Documents({"/health": {}, "/ready": document})) as url:
        seen = await look_at_coordinator(url, 5)
    assert (seen.alive, seen.ready) == (True, None)
    assert "something else than readiness" in seen.trouble


async def test_a_part_of_a_later_version_does_no_harm() -> None:
    document = ready_document()
    document["parts"]["outbox"] = {"state": "sleepy", "detail": "z", "age": 3}
    async with running(Documents({"/health": {}, "/ready": document})) as url:
        seen = await look_at_coordinator(url, 5)
    outbox = seen.part("outbox")
    assert outbox is not None
    assert not outbox.ready


async def test_nobody_there_and_an_address_that_is_none_are_said_and_not_raised() -> None:
    for url in ("http://127.0.0.1:9", "http://127.0.0.1:port"):
        seen = await look_at_coordinator(url, 5)
        assert not seen.alive
        assert seen.trouble


async def test_a_coordinator_that_accepts_and_never_answers_costs_no_more_than_the_limit() -> None:
    async def silent(reader: Any, writer: Any) -> None:
        await reader.read()

    async with raw_server(silent) as url:
        began = time.monotonic()
        seen = await look_at_coordinator(url, 0.3)
        assert time.monotonic() - began < 5
    assert not seen.alive
    assert "within 0.3 s" in seen.trouble


# The embedder.


async def test_the_embedder_is_known_by_the_coordinators_word_alone() -> None:
    assert (await check_embedder(view())).found == "mini, 4 dimensions"
    part = await check_embedder(no_view())
    assert part.level is Level.WARNING
    assert "not known" in part.text
    part = await check_embedder(view(embedder=("down", "it failed")))
    assert (part.level, part.found) == (Level.WARNING, "it failed")


# The disk.

DISK = {
    "f_bavail": 500_000,
    "f_blocks": 1_000_000,
    "f_frsize": 4096,
    "f_favail": 500,
    "f_files": 1000,
    "f_flag": 0,
}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(**changed: int) -> None:
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**{**DISK, **changed}))

    return put


async def test_a_disk_with_room_is_well(disk: Callable[..., None]) -> None:
    disk()
    part = await check_disk(Path("/s"), HealthSettings())
    assert (part.level, part.found) == (Level.OK, "1.9 GiB free of /s's disk (50%)")


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"f_bavail": 250_000}, "room"),  # 0.95 GiB of 3.8
        ({"f_blocks": 5_100_000}, "room"),  # 9.8 %
        ({"f_favail": 99}, "inodes"),
        ({"f_flag": os.ST_RDONLY}, "read-only"),
    ],
)
async def test_a_disk_that_is_nearly_full_warns_whatever_it_lacks(
    disk: Callable[..., None], changed: dict[str, int], cause: str
) -> None:
    disk(**changed)
    part = await check_disk(Path("/s"), HealthSettings())
    assert (part.level, part.cause) == (Level.WARNING, cause)
    assert part.remedy


async def test_a_file_system_that_counts_no_inodes_has_enough_of_them(
    disk: Callable[..., None],
) -> None:
    disk(f_files=0, f_favail=0)
    assert (await check_disk(Path("/s"), HealthSettings())).level is Level.OK


async def test_the_bounds_are_settings(disk: Callable[..., None]) -> None:
    disk(f_bavail=250_000)
    low = HealthSettings(min_free_bytes=0, min_free_fraction=0.2)
    assert (await check_disk(Path("/s"), low)).level is Level.OK


async def test_a_folder_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    part = await check_disk(tmp_path / "none", HealthSettings())
    assert part.level is Level.WARNING
    assert "does not exist" in part.text


# Units.


async def test_a_failed_unit_is_named_with_what_to_do() -> None:
    """Lesson 14: a failed unit was not seen."""
    part = await check_units(
        units(
            unit(UNIT),
            unit("redis.service", "failed", result="exit-code"),
            unit("job.service", "activating", sub="auto-restart", result="oom-kill"),
        )
    )
    assert part.level is Level.WARNING
    assert part.found == "failed: job.service (oom-kill), redis.service (exit-code)"
    assert "systemctl restart job.service redis.service" in part.remedy


async def test_the_checks_own_unit_does_not_keep_itself_failed() -> None:
    part = await check_units(units(unit(UNIT), unit("hybrid-ai-health-check.service", "failed")))
    assert (part.level, part.found) == (Level.OK, "none of 1 units has failed")


async def test_without_systemd_the_units_are_off_and_no_fault() -> None:
    part = await check_units(NO_SYSTEMD)
    assert (part.level, part.found) == (Level.OFF, "no systemd here")


TARGET = "LoadState=loaded\\nWants=redis.service timer.timer\\nConsistsOf=qdrant.service"
SHOWN = (
    "Id=redis.service\\nLoadState=loaded\\nActiveState=failed\\nSubState=failed\\nResult=signal\\n"
    "NRestarts=4\\nStateChangeTimestampMonotonic=1000000\\n\\n"
    "Id=timer.timer\\nLoadState=loaded\\nActiveState=inactive\\nSubState=dead\\nJob=71\\n"
    "StateChangeTimestampMonotonic=0\\n\\n"
    "Id=gone.service\\nLoadState=not-found\\nActiveState=inactive"
)


async def test_systemd_is_asked_for_the_units_of_our_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    script = (
        f'echo "$@" >> {asked}\n'
        f'case "$*" in *hybrid-ai.target) printf "{TARGET}" ;; *) printf "{SHOWN}" ;; esac'
    )
    monkeypatch.setenv("PATH", put_systemctl(tmp_path / "bin", script))
    found = await ask_systemd(10)
    assert found.trouble == ""
    assert set(found.units) == {"redis.service", "timer.timer"}
    redis = found.units["redis.service"]
    assert (redis.active, redis.result, redis.restarts, redis.failed) == (
        "failed",
        "signal",
        4,
        True,
    )
    assert redis.age > 0
    assert found.units["timer.timer"].queued
    last = asked.read_text().splitlines()[-1]
    assert last.endswith(f"-- {UNIT} qdrant.service redis.service timer.service timer.timer")


BOOTED = "System has not been booted with systemd as init system (PID 1). Can't operate."


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        (f'echo "{BOOTED}" >&2; exit 1', "no systemd here"),
        (
            "echo 'Failed to connect to bus: Operation not permitted' >&2; exit 1",
            "systemd cannot be asked from here (Failed to connect to bus: Operation not permitted)",
        ),
        ("exit 4", "systemd cannot be asked from here (systemctl exited with 4)"),
        ("printf 'LoadState=not-found\\nWants='", "hybrid-ai.target is not installed here"),
        ("exec tail -f /dev/null", "systemctl gave no answer within 0.5 s"),
    ],
)
async def test_a_systemd_that_does_not_answer_is_said_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, trouble: str
) -> None:
    monkeypatch.setenv("PATH", put_systemctl(tmp_path, script))
    assert await ask_systemd(10 if "tail" not in script else 0.5) == Units(trouble=trouble)


async def test_no_systemctl_is_no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await ask_systemd(10)).trouble == "no systemd here"
    broken = tmp_path / "systemctl"
    broken.write_text("#!/nowhere/sh\n")
    broken.chmod(0o755)
    assert "cannot be run here" in (await ask_systemd(10)).trouble
