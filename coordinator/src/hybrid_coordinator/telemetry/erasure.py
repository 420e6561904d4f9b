"""Removes the events of forgotten interactions from a telemetry file.

A file is rewritten beside itself and replaces itself, so a reader sees it
whole before or after, and a crash in between leaves it as it was. Which file
is whose turn, and that no event is lost meanwhile, is the writer's business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from hybrid_coordinator.durable_files import sync_folder

_ID: Final = re.compile(rb'"interaction_id"\s*:\s*"([^"\\]*)"')
_UNFINISHED: Final = ".erasing"


def erase_events(path: Path, ids: Collection[str]) -> int:
    """Rewrite a file without the lines of these interactions; how many there were.

    A torn line goes too where it names one. A file without any is left alone;
    one that is not there has none. Raises ``OSError``.
    """
    gone = frozenset(id_.encode() for id_ in ids)
    rewritten = path.with_name(f"{path.name}{_UNFINISHED}")
    rewritten.unlink(missing_ok=True)
    try:
        if not _mentions(path, gone):
            return 0
        removed = 0
        with path.open("rb") as lines, rewritten.open("xb") as kept:
            os.fchmod(kept.fileno(), os.fstat(lines.fileno()).st_mode & 0o777)
            for line in lines:
                if _is_of(line, gone):
                    removed += 1
                else:
                    kept.write(line)
            kept.flush()
            os.fsync(kept.fileno())
        rewritten.replace(path)
    except FileNotFoundError:
        return 0
    except BaseException:
        rewritten.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return removed


def _mentions(path: Path, gone: frozenset[bytes]) -> bool:
    with path.open("rb") as lines:
        return any(_is_of(line, gone) for line in lines)


def _is_of(line: bytes, gone: frozenset[bytes]) -> bool:
    # An event's own id comes before anything that a person wrote, and no text can fake one:
    # quotes in it are escaped.
    found = _ID.search(line)
    return found is not None and found[1] in gone
