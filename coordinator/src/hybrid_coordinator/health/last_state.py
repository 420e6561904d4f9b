"""What the last check found, kept in ``health.json`` so that only changes are logged.

The file is written whole and moved into place; programs such as the dashboard
may read it at any time. It is kept by the user who owns the state directory
and by nobody else: a check that root runs by hand must not leave a file that
the service cannot read (lesson 8), nor take a change from the journal.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hybrid_coordinator.health_report import Level, Part, Report

FILE_NAME = "health.json"


@dataclass(frozen=True, slots=True)
class LastState:
    """The report of the last check, if there is one. ``trouble`` says why it could not be read."""

    report: Report | None = None
    trouble: str = ""

    @classmethod
    def read(cls, state_directory: Path) -> LastState:
        """What is recorded there; does not raise."""
        path = state_directory / FILE_NAME
        try:
            return cls(Report.model_validate_json(path.read_bytes()))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            return cls(trouble=f"{path} cannot be read: {error.strerror}")
        except ValidationError:
            return cls(trouble=f"{path} is not what a check writes; it is begun anew")

    def part(self, name: str) -> Part | None:
        """A part as it was."""
        parts = self.report.parts if self.report is not None else ()
        return next((part for part in parts if part.name == name), None)

    def changes(self, parts: Sequence[Part]) -> list[Part]:
        """The parts that are not as they were; of those never seen before, what is not well."""
        changed = []
        for part in parts:
            before = self.part(part.name)
            if before is None:
                if part.level not in (Level.OK, Level.OFF):
                    changed.append(part)
            elif not part.same_trouble(before):
                changed.append(part)
        return changed


@dataclass(frozen=True, slots=True)
class Recorded:
    """Whether a report was kept. ``trouble`` says why not, where it should have been."""

    kept: bool
    trouble: str = ""


def record(state_directory: Path, report: Report) -> Recorded:
    """Keep a report for the next check; does not raise."""
    try:
        if state_directory.stat().st_uid != os.geteuid():
            return Recorded(kept=False)
        handle, name = tempfile.mkstemp(prefix=f".{FILE_NAME}.", dir=state_directory)
        aside = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(report.model_dump_json(indent=1, exclude={"exit_status", "summary"}))
            aside.replace(state_directory / FILE_NAME)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        return Recorded(
            kept=False,
            trouble=f"{state_directory / FILE_NAME} cannot be written: {error.strerror}; the "
            "same changes will be logged again",
        )
    return Recorded(kept=True)
