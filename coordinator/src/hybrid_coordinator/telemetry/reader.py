"""Reads telemetry events back, oldest first, typed.

A line that is not an event (torn by a crash, written by a newer version) is
skipped and counted, never fatal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hybrid_coordinator.telemetry.events import EVENT, Event
from hybrid_coordinator.telemetry.writer import event_files

MOST_OF_ONE: Final = 256
"""Events of one interaction that are looked for; there are some ten."""


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


def events_of(directory: Path, interaction_id: str, since: float) -> list[dict[str, Any]]:
    """The events of one interaction that are still on disk, oldest first, as JSON objects.

    Files that were complete before ``since`` (epoch seconds) are passed over.
    Lines are told apart by their bytes before they are read: some 10 ms a file.
    Blocking: call it in a thread. Files that cannot be read have none.
    """
    # As it is written by the models: no spaces, and an id has nothing to escape.
    mark = f'"interaction_id":"{interaction_id}"'.encode()
    kept: deque[dict[str, Any]] = deque(maxlen=MOST_OF_ONE)
    for path in event_files(directory):
        try:
            if path.stat().st_mtime < since - 1.0:
                continue
            with path.open("rb") as lines:
                for line in lines:
                    if mark not in line:
                        continue
                    try:
                        event = EVENT.validate_json(line)
                    except ValidationError:
                        continue
                    kept.append(event.model_dump(mode="json", exclude_none=True))
        except OSError:
            continue  # rotated away since it was listed
    return list(kept)
