"""Reads telemetry events back, oldest first, typed.

A line that is not an event (torn by a crash, written by a newer version) is
skipped and counted, never fatal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from hybrid_coordinator.telemetry.events import EVENT, Event
from hybrid_coordinator.telemetry.writer import event_files


class EventReader:
    """Iterates over every event in a telemetry directory.

    ``newest_bytes``: only the newest files, whole, of that size together; one at least.

    Attributes:
        skipped: lines passed over in the iterations so far.
    """

    def __init__(self, directory: Path, *, newest_bytes: int | None = None) -> None:
        self._directory = directory
        self._newest_bytes = newest_bytes
        self.skipped = 0

    def files(self) -> list[Path]:
        """The event files, oldest first."""
        files = event_files(self._directory)
        if self._newest_bytes is None:
            return files
        kept: list[Path] = []
        size = 0
        for path in reversed(files):
            with suppress(FileNotFoundError):  # Rotated away since it was listed.
                size += path.stat().st_size
                if kept and size > self._newest_bytes:
                    break
                kept.insert(0, path)
        return kept

    def __iter__(self) -> Iterator[Event]:
        for path in self.files():
            try:
                lines = path.open("rb")
            except FileNotFoundError:  # rotated away since it was listed
                continue
            with lines:
                for line in lines:
                    if not line.strip():
                        continue
                    try:
                        yield EVENT.validate_json(line)
                    except ValidationError:
                        self.skipped += 1
