"""What the parts mean together, what is remembered of them, and the time limit."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.health import LastState, Level, Part, Report, check_health, unknown_report
from hybrid_coordinator.health.checks import Check, Shared, run_checks
from hybrid_coordinator.health.last_state import record
from tests.fakes import FakeOpenAI, running
from tests.unit.health.scenes import coordinator, embedder_folder, put_systemctl, qdrant, settings
from tests.unit.inference.raw_server import raw_server

NO_SYSTEMD = "echo 'System has not been booted with systemd as init' >&2; exit 1"
HEALTH = {"min_free_fraction": 0.0, "min_free_bytes": 0, "start_grace": 0}


@pytest.fixture(autouse=True)
def _no_systemd(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", put_systemctl(folder, NO_SYSTEMD))


def levels(report: Report) -> dict[str, str]:
    return {part.name: part.level.value for part in report.parts}


def backend(url: str) -> dict[str, Any]:
    return {"kind": "openai", "base_url": url}


DEAD = backend("http://127.0.0.1:9")


# The whole.


async def test_every_part_that_the_settings_have_is_there_in_order(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        seen = coordinator(backend__a=("ready", "m"), backend__b=("ready", "m"))
        url = await stack.enter_async_context(running(seen))
        model = await stack.enter_async_context(running(FakeOpenAI(models=("m",))))
        store = await stack.enter_async_context(running(qdrant()))
        made = settings(
            tmp_path,
            health=HEALTH,
            backends={"a": backend(model), "b": backend(model)},
            qdrant={"url": store},
            redis={"url": "redis://127.0.0.1:9"},
            embedder=embedder_folder(tmp_path / "models"),
        )
        report = await check_health(made, url=url)
    assert levels(report) == {
        "coordinator": "ok",
        "embedder": "ok",
        "qdrant": "ok",
        "redis": "warning",
        "backend.a": "ok",
        "backend.b": "ok",
        "disk": "ok",
        "outbox": "ok",
        "keys": "off",
        "timers": "off",
        "units": "off",
    }
    assert (report.status, report.exit_status) == (Level.WARNING, 1)
    assert report.summary == "warning: 1 of 8 parts not well (needs a look: redis)"


async def test_where_all_is_well_the_status_is_0(tmp_path: Path) -> None:
    async with running(coordinator()) as url, running(FakeOpenAI(models=("m",))) as model:
        made = settings(tmp_path, health=HEALTH, backends={"a": backend(model)})
        report = await check_health(made, url=url)
    assert report.exit_status == 0, report.lines()
    assert report.summary == "ok: all 7 parts are well"
    assert "cache" in levels(report)
    assert "knowledge" in levels(report)


async def test_one_dead_backend_of_two_is_a_warning_and_the_last_one_is_critical(
    tmp_path: Path,
) -> None:
    async with running(coordinator()) as url, running(FakeOpenAI(models=("m",))) as model:
        made = settings(tmp_path, health=HEALTH, backends={"a": DEAD, "b": backend(model)})
        report = await check_health(made, url=url)
        assert (levels(report)["backend.a"], report.exit_status) == ("warning", 1)
        made = settings(tmp_path, health=HEALTH, backends={"a": DEAD, "b": DEAD})
        report = await check_health(made, url=url)
    assert levels(report)["backend.a"] == levels(report)["backend.b"] == "critical"
    assert report.exit_status == 2
    assert "failed: backend.a, backend.b" in report.summary


async def test_a_dead_coordinator_is_critical_though_all_else_is_well(tmp_path: Path) -> None:
    async with running(FakeOpenAI(models=("m",))) as model:
        made = settings(tmp_path, health=HEALTH, backends={"a": backend(model)})
        report = await check_health(made, url="http://127.0.0.1:9")
    found = levels(report)
    assert (found["coordinator"], found["backend.a"], found["embedder"]) == (
        "critical",
        "ok",
        "warning",
    )
    assert report.exit_status == 2


async def test_a_model_that_loads_leaves_it_at_a_warning_until_that_takes_too_long(
    tmp_path: Path,
) -> None:
    seen = coordinator(ready=False, backend__a=("down", "loading m"))
    made = settings(
        tmp_path, health={**HEALTH, "start_grace": 100}, backends={"a": {"kind": "embedded"}}
    )
    async with running(seen) as url:
        first = await check_health(made, url=url, clock=lambda: 1000.0)
        assert first.exit_status == 1
        assert levels(first)["coordinator"] == levels(first)["backend.a"] == "warning"
        last = LastState(first)
        second = await check_health(made, url=url, last=last, clock=lambda: 1099.0)
        assert second.exit_status == 1
        assert last.changes(second.parts) == []
        third = await check_health(made, url=url, last=LastState(second), clock=lambda: 1100.0)
    assert third.exit_status == 2
    assert levels(third)["coordinator"] == levels(third)["backend.a"] == "critical"
    assert "starting for too long: loading m" in "\n".join(third.lines())
    assert {part.name for part in LastState(second).changes(third.parts)} == {
        "coordinator",
        "backend.a",
    }


async def test_a_clock_that_was_set_back_makes_nothing_older(tmp_path: Path) -> None:
    made = settings(tmp_path, health=HEALTH, backends={"a": DEAD})
    async with running(coordinator()) as url:
        first = await check_health(made, url=url, clock=lambda: 1000.0)
        second = await check_health(made, url=url, last=LastState(first), clock=lambda: 500.0)
    assert {part.since for part in second.parts} == {500.0}


# The time limit.


async def test_parts_that_accept_and_never_answer_do_not_hold_the_check_up(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as dead:
        made = settings(
            tmp_path,
            health=HEALTH,
            backends={"a": backend(dead), "b": {"kind": "ollama", "base_url": dead}},
            qdrant={"url": dead},
            redis={"url": dead.replace("http", "redis")},
        )
        began = time.monotonic()
        report = await check_health(made, url=dead, timeout=1.0)
        assert time.monotonic() - began < 2.0
    found = levels(report)
    assert found.pop("disk") == "ok"
    assert {found.pop(name) for name in ("keys", "timers", "units")} == {"off"}
    assert set(found.values()) <= {"warning", "critical"}, found
    assert report.exit_status == 2


async def test_a_systemctl_that_hangs_is_off_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", put_systemctl(tmp_path / "bin", "exec tail -f /dev/null"))
    async with running(coordinator()) as url, running(FakeOpenAI(models=("m",))) as model:
        made = settings(tmp_path, health=HEALTH, backends={"a": backend(model)})
        report = await check_health(made, url=url, timeout=2.0)
    assert report.exit_status == 0
    assert "gave no answer" in next(p.found for p in report.parts if p.name == "units")


async def test_a_check_that_is_given_up_on_takes_no_other_with_it() -> None:
    released = asyncio.Event()

    async def waits() -> str:
        await released.wait()
        return "in the end"

    shared = Shared(waits())

    async def hangs() -> Part:
        await shared
        raise AssertionError

    async def breaks() -> Part:
        raise ZeroDivisionError("of ours")

    async def away() -> Part:
        raise StoreUnavailable("it is away: start it")

    async def fine() -> Part:
        return Part(name="fine", level=Level.OK, found="well")

    checks = [
        Check("hangs", hangs),
        Check("breaks", breaks),
        Check("away", away),
        Check("fine", fine),
    ]
    parts = await run_checks(checks, 0.1)
    assert [part.name for part in parts] == ["hangs", "breaks", "away", "fine"]
    assert [part.level.value for part in parts] == ["warning", "warning", "warning", "ok"]
    assert "within 0.1 s" in parts[0].text
    assert "ZeroDivisionError: of ours" in parts[1].text
    assert parts[2].text == "it is away: start it"
    released.set()
    assert await shared == "in the end"


# The report.


def part(name: str = "redis", level: Level = Level.WARNING, **more: Any) -> Part:
    return Part(name=name, level=level, found="it is away", **more)


def report(*parts: Part, status: Level = Level.WARNING) -> Report:
    return Report(status=status, checked=1.0, seconds=0.1, parts=parts)


def test_levels_have_the_exit_statuses_of_monitoring_plug_ins() -> None:
    assert [level.exit_status for level in Level] == [0, 1, 2, 3, 0]


def test_a_part_is_one_line_whatever_its_texts_are() -> None:
    made = part(remedy="start\nit").model_copy(update={"found": "it\n\n  is away"})
    lines = report(made, part("disk", Level.OK)).lines()
    assert lines[0] == "warning   redis  it is away; start it"
    assert lines[1] == "ok        disk   it is away"
    assert len(lines) == 3


def test_the_document_has_status_summary_and_every_part() -> None:
    document = report(part(), status=Level.CRITICAL).model_dump(mode="json")
    assert document["status"] == "critical"
    assert document["exit_status"] == 2
    assert document["summary"].startswith("critical: 1 of 1 parts not well")
    assert document["parts"][0]["name"] == "redis"


def test_nothing_checked_is_unknown_on_one_line() -> None:
    made = unknown_report("settings.port: no\nsettings.host: no", checked=1.0)
    assert made.exit_status == 3
    assert made.lines() == ["unknown: settings.port: no; settings.host: no"]


# What is remembered.


def test_what_was_found_is_kept_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = report(part(cause="x", since=1.0))
    assert record(tmp_path, made).kept
    file = tmp_path / "health.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert LastState.read(tmp_path).report == made
    assert [found.name for found in tmp_path.iterdir()] == ["health.json"]


def test_no_file_and_a_file_of_something_else_begin_anew(tmp_path: Path) -> None:
    assert LastState.read(tmp_path) == LastState()
    for text in ("", "{}", '{"version": 2, "parts": []}', "\udcff"):
        (tmp_path / "health.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        last = LastState.read(tmp_path)
        assert last.report is None
        assert "begun anew" in last.trouble


def test_another_users_state_is_left_alone_lesson_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    kept = record(tmp_path, report(part()))
    assert (kept.kept, kept.trouble) == (False, "")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_kept_is_said_lesson_7(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "health.json").mkdir()
    (tmp_path / "health.json" / "in the way").touch()
    kept = record(tmp_path, report(part()))
    assert not kept.kept
    assert "cannot be written" in kept.trouble
    assert [found.name for found in tmp_path.iterdir()] == ["health.json"]
    assert "cannot be read" in LastState.read(tmp_path).trouble
    assert "cannot be written" in record(tmp_path / "none", report(part())).trouble


def test_only_what_changed_is_a_change() -> None:
    last = LastState(report(part(), part("disk", Level.OK), part("units", cause="a")))
    same = part().model_copy(update={"found": "it is away since 3 s"})
    assert last.changes([same, part("disk", Level.OK), part("units", cause="a")]) == []
    changed = [part(level=Level.OK), part("disk", Level.WARNING), part("units", cause="a b")]
    assert last.changes(changed) == changed
    assert last.changes([part(starting=True)]) == [part(starting=True)]


def test_of_the_first_check_only_what_is_not_well_is_a_change() -> None:
    bad = part("redis")
    assert LastState().changes([part("disk", Level.OK), part("units", Level.OFF), bad]) == [bad]


def test_the_kept_models_take_no_unknown_fields() -> None:
    with pytest.raises(ValidationError):
        Part.model_validate({"name": "x", "level": "ok", "found": "", "colour": "red"})
