"""What a health check found: one ``Part`` a line, and a ``Report`` over all of them.

Levels and exit statuses are those of monitoring plug-ins (0 ok, 1 warning,
2 critical, 3 unknown), so that whatever runs such plug-ins can run this one.
The same models are the ``--json`` document. How a part is asked is elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, computed_field


class Level(StrEnum):
    """How a part, or the whole, is. ``UNKNOWN`` is the whole's alone: nothing could be checked."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    OFF = "off"
    """There is nothing to check: the part is not used here."""

    @property
    def exit_status(self) -> int:
        """What a monitoring plug-in exits with."""
        return {Level.WARNING: 1, Level.CRITICAL: 2, Level.UNKNOWN: 3}.get(self, 0)


class Part(BaseModel):
    """One part: its level, what was found, and what to do where that is not plain already.

    ``starting``: it is not well, but on its way there; ``overdue``: for too long
    to be excused. ``cause`` tells one trouble of a part from another (the names
    of failed units, say): a change of it is news, a change of ``found`` is not.
    ``since``: epoch seconds since when it has been well, or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    level: Level
    found: str
    remedy: str = ""
    starting: bool = False
    overdue: bool = False
    cause: str = ""
    since: float = 0.0

    @property
    def well(self) -> bool:
        """Whether there is nothing to say of it."""
        return self.level in (Level.OK, Level.OFF)

    @property
    def excused(self) -> bool:
        """Whether it only needs a little more time."""
        return self.starting and not self.overdue

    @property
    def text(self) -> str:
        """What was found and what to do, on one line."""
        prefix = (
            "starting for too long: " if self.overdue else "starting: " if self.starting else ""
        )
        found = f"{prefix}{self.found}"
        line = f"{found}; {self.remedy}" if self.remedy else found
        return " ".join(line.split())

    def same_trouble(self, other: Part) -> bool:
        """Whether ``other`` says nothing new."""
        return (self.level, self.excused, self.cause) == (other.level, other.excused, other.cause)


class Report(BaseModel):
    """All parts of one check. ``checked`` is epoch seconds, ``seconds`` how long it took."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    status: Level
    checked: float
    seconds: float
    parts: tuple[Part, ...]
    trouble: str = ""
    """Why nothing could be checked."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def exit_status(self) -> int:
        """0 ok, 1 warning, 2 critical, 3 unknown."""
        return self.status.exit_status

    @property
    def settling(self) -> bool:
        """Whether all that is not well is on its way: nothing that anybody must look at."""
        return self.status is Level.WARNING and all(p.well or p.excused for p in self.parts)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def summary(self) -> str:
        """The last line."""
        if self.trouble:
            return f"{self.status}: {self.trouble}"
        checked = [part for part in self.parts if part.level is not Level.OFF]
        bad = [part for part in checked if part.level is not Level.OK]
        if not bad:
            return f"{self.status}: all {len(checked)} parts are well"
        worst = [part.name for part in bad if part.level is Level.CRITICAL]
        others = [part.name for part in bad if part.level is not Level.CRITICAL]
        groups = [("failed", worst), ("needs a look", others)]
        named = "; ".join(f"{what}: {', '.join(names)}" for what, names in groups if names)
        return f"{self.status}: {len(bad)} of {len(checked)} parts not well ({named})"

    def lines(self) -> list[str]:
        """One line a part, then the summary."""
        width = max((len(part.name) for part in self.parts), default=0)
        rows = [f"{part.level:<9} {part.name:<{width}}  {part.text}" for part in self.parts]
        return [*rows, self.summary]


def whole(parts: Sequence[Part]) -> Level:
    """The level of all parts together: that of the worst."""
    levels = {part.level for part in parts}
    return next((level for level in (Level.CRITICAL, Level.WARNING) if level in levels), Level.OK)


def unknown_report(trouble: str, *, checked: float) -> Report:
    """The report where nothing could be checked."""
    line = "; ".join(trouble.splitlines())
    return Report(status=Level.UNKNOWN, checked=checked, seconds=0.0, parts=(), trouble=line)
