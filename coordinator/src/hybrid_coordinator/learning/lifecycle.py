"""When a stored item rises to trusted and when it is retired: the rules, as pure functions.

A learned item begins as a candidate (quarantined, see ``knowledge.retrieval``,
lesson 23), is trusted once distinct interactions confirmed it, and is retired
where harm outweighs help or nothing confirms it. How the numbers are counted
and what is done then is in ``patterns``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning_settings import PatternSettings

DAY: Final = 86_400.0
WINDOWS: Final = 8
"""Windows of half a half-life each, and one more for everything older."""

MARGIN: Final = 0.5
"""By how much decayed harm must exceed decayed help. Half a fresh use: so a source that is some
days older than the first failure is not outweighed by its age alone."""
AUTHORED: Final = 2.0
"""Help that an item starts with which somebody wrote: answers fail for many reasons, and what a
person stored on purpose should not go after the first two."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, ``start`` inclusive, ``end`` exclusive, epoch seconds; None: open.

    ``weight``: what an outcome in it counts.
    """

    start: float | None
    end: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an item.

    ``confirmations``: distinct interactions that it was taken from or helped
    in. ``helpful`` and ``harmful``: the same and their opposite with the weight
    of their age. ``recent``: made or confirmed within ``candidate_days``.
    """

    confirmations: int
    helpful: float
    harmful: float
    recent: bool


def weight(age: float, half_life_days: float) -> float:
    """What an outcome of that age (seconds) counts: half after each half-life, at most 1."""
    return float(0.5 ** (max(age, 0.0) / (half_life_days * DAY)))


def windows(now: float, half_life_days: float) -> Iterator[Window]:
    """The spans into which outcomes are counted, newest first; each counts as its middle does.

    That is within a factor of 2^(1/4), 19 %, of the exact sum, and takes a
    bounded number of counts however many interactions there are. The newest
    is open to the future: a clock that was set back loses nothing.
    """
    width = half_life_days * DAY / 2
    for index in range(WINDOWS):
        yield Window(
            now - (index + 1) * width,
            None if index == 0 else now - index * width,
            weight((index + 0.5) * width, half_life_days),
        )
    yield Window(None, now - WINDOWS * width, weight((WINDOWS + 0.5) * width, half_life_days))


def judged(
    status: PatternStatus,
    standing: Standing,
    settings: PatternSettings,
    *,
    learned: bool,
    may_retire: bool = True,
) -> tuple[PatternStatus, str]:
    """The status an item should have, and a class of reasons where it is another one.

    What is retired stays so: it is in no prompt, so nothing new is known of
    it. What somebody wrote is retired by clear harm only, and where it may be.
    """
    if status is PatternStatus.RETIRED:
        return status, ""
    help_ = standing.helpful + (0.0 if learned else AUTHORED)
    if may_retire and standing.harmful - help_ >= MARGIN:
        return PatternStatus.RETIRED, "harmful"
    if learned and status is PatternStatus.CANDIDATE:
        if standing.confirmations >= settings.trusted_after:
            return PatternStatus.TRUSTED, "confirmed"
        if not standing.recent:
            return PatternStatus.RETIRED, "unconfirmed"
    return status, ""
