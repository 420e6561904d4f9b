"""Checks of what runs by the clock: each timer waits for its next turn, and its job ended well.

A job's failure is a failed unit as well; here it is said which timer stands
still and when its job last succeeded. How systemd is asked is in ``systemd``.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from hybrid_coordinator.health.systemd import OWN_UNIT, Unit, Units
from hybrid_coordinator.health_report import Level, Part

TIMERS: Final = "timers"
_TURNING: Final = ("waiting", "running")
"""A timer's sub-states in which it will fire again, or has just fired."""


async def check_timers(systemd: Awaitable[Units]) -> Part:
    """Whether every timer of ours will fire again, and its job succeeded when it last ran."""
    answer = await systemd
    if answer.trouble:
        return Part(name=TIMERS, level=Level.OFF, found=answer.trouble)
    timers = sorted(name for name in answer.units if name.endswith(".timer"))
    if not timers:
        return Part(name=TIMERS, level=Level.OFF, found="no timer is installed")
    still = [name for name in timers if answer.units[name].sub not in _TURNING]
    if still:
        found = ", ".join(f"{name} ({answer.units[name].sub or 'unknown'})" for name in still)
        return Part(
            name=TIMERS,
            level=Level.WARNING,
            found=f"will not fire again: {found}",
            remedy=f"start with 'systemctl start {' '.join(still)}'",
            cause=" ".join(still),
        )
    jobs = {timer: answer.units.get(_job(answer.units[timer])) for timer in timers}
    # How the last health check ended is no news to this one.
    bad = [t for t, job in jobs.items() if job and job.name != OWN_UNIT and _failed(job)]
    if bad:
        names = [_job(answer.units[timer]) for timer in bad]
        return Part(
            name=TIMERS,
            level=Level.WARNING,
            found=f"the last run failed: {', '.join(names)}",
            remedy=f"see 'journalctl -u {names[0]}'; it runs again at its time",
            cause=" ".join(names),
        )
    told = ", ".join(_said(timer, job) for timer, job in jobs.items())
    return Part(name=TIMERS, level=Level.OK, found=told)


def _job(timer: Unit) -> str:
    """The unit that a timer starts: the one it names, else that of the same name."""
    return timer.starts or f"{timer.name.removesuffix('.timer')}.service"


def _failed(job: Unit) -> bool:
    return job.active != "activating" and job.result not in ("", "success")


def _said(timer: str, job: Unit | None) -> str:
    name = timer.removesuffix(".timer").removeprefix("hybrid-ai-")
    if job is None or job.ended is None:
        return f"{name} has not ended a run yet"
    if job.name == OWN_UNIT:
        return f"{name} ran {_ago(job.ended)} ago"
    return f"{name} succeeded {_ago(job.ended)} ago"


def _ago(seconds: float) -> str:
    """A span in the largest unit that is whole."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
