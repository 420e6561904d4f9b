"""Timers that stand still, jobs that failed, and when each last succeeded."""

from __future__ import annotations

from hybrid_coordinator.health.systemd import Units
from hybrid_coordinator.health.timer_checks import check_timers
from hybrid_coordinator.health_report import Level
from tests.unit.health.scenes import Known, unit, units

TIMER = unit("hybrid-ai-backup.timer", sub="waiting", starts="hybrid-ai-backup.service")
JOB = "hybrid-ai-backup.service"


async def test_a_timer_that_waits_is_well_and_its_last_success_is_said() -> None:
    part = await check_timers(units(TIMER, unit(JOB, "inactive", ended=7300.0)))
    assert (part.level, part.found) == (Level.OK, "backup succeeded 2 h ago")


async def test_a_job_that_never_ran_is_no_failure() -> None:
    part = await check_timers(units(TIMER, unit(JOB, "inactive")))
    assert (part.level, part.found) == (Level.OK, "backup has not ended a run yet")


async def test_a_timer_that_was_stopped_or_has_elapsed_is_named_with_what_to_do() -> None:
    for sub in ("dead", "elapsed"):
        still = unit("hybrid-ai-backup.timer", "inactive", sub=sub, starts=JOB)
        part = await check_timers(units(still, unit(JOB, "inactive")))
        assert part.level is Level.WARNING
        assert f"will not fire again: hybrid-ai-backup.timer ({sub})" in part.found
        assert part.remedy == "start with 'systemctl start hybrid-ai-backup.timer'"


async def test_a_job_whose_last_run_failed_is_named() -> None:
    part = await check_timers(units(TIMER, unit(JOB, "failed", result="exit-code", ended=5.0)))
    assert (part.level, part.cause) == (Level.WARNING, JOB)
    assert f"journalctl -u {JOB}" in part.text


async def test_the_last_health_check_is_no_news_to_this_one() -> None:
    own = "hybrid-ai-health-check"
    timer = unit(f"{own}.timer", sub="running", starts=f"{own}.service")
    failed = unit(f"{own}.service", "failed", result="exit-code", ended=90.0)
    part = await check_timers(units(timer, failed))
    assert (part.level, part.found) == (Level.OK, "health-check ran 1 min ago")


async def test_without_systemd_or_timers_there_is_nothing_to_check() -> None:
    assert (await check_timers(Known(Units(trouble="no systemd here")))).level is Level.OFF
    assert (await check_timers(units(unit("qdrant.service")))).level is Level.OFF
