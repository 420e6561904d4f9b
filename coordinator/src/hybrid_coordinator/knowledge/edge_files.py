"""Folders of the embedded engine as files: made quickly, copied with their holes, kept safely.

The engine reserves space in sparse files (200 MB that take 14) and syncs
every step of creation. So a new shard is made in memory and copied, and a
copy keeps the holes. Knows nothing of what is in the files but ``Current``.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hybrid_coordinator.durable_files import sync_folder

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - Linux's memory file system, not a shared name
_CURRENT: Final = "current.json"
_BLOCK: Final = 1 << 20

REWRITE: Final = "--rewrite"
"""Tells the optimiser's process to make the shard's files anew."""


@dataclass(frozen=True, slots=True)
class Current:
    """Which generation of a collection counts, and whose vectors are in it."""

    generation: int
    embedder: str
    size: int
    optimised_points: int = 0


def read_current(folder: Path) -> Current | None:
    """What the folder's marker says; ``None`` where there is none."""
    marker = folder / _CURRENT
    return Current(**json.loads(marker.read_text("utf-8"))) if marker.exists() else None


def write_current(folder: Path, current: Current) -> None:
    """Replace the folder's marker, atomically and durably."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=".current-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(current), file)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(folder / _CURRENT)
    sync_folder(folder)


def generation_folder(folder: Path, number: int) -> Path:
    """Where a generation of the collection in ``folder`` is."""
    return folder / f"generation-{number:06d}"


def remove_other_generations(folder: Path, keep: int) -> None:
    """Remove every generation but one, and markers that were never finished."""
    kept = generation_folder(folder, keep)
    for path in folder.iterdir():
        if path.name.startswith("generation-") and path != kept:
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.startswith(".current-"):
            path.unlink(missing_ok=True)


def make_in_memory(path: Path, make: Callable[[Path], None]) -> None:
    """Let ``make`` fill a folder in memory, and copy it to ``path``.

    Not yet durable: call ``os.sync`` before a marker names it. Where there is
    no memory file system ``make`` fills ``path`` itself.
    """
    shutil.rmtree(path, ignore_errors=True)
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        path.mkdir(parents=True)
        make(path)
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY, prefix="hybrid-ai-") as scratch:
        made = Path(scratch) / "shard"
        made.mkdir()
        make(made)
        copy_with_holes(made, path)


def copy_with_holes(source: Path, target: Path) -> None:
    """Copy a folder; what takes no space in the original takes none in the copy."""
    shutil.copytree(source, target, copy_function=_copy_file)


def sync_files(folder: Path) -> None:
    """Write every file's changed pages to the disk; Python's lock is free meanwhile."""
    for path in folder.rglob("*"):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # the engine removed it since
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _copy_file(source: str, target: str) -> str:
    with Path(source).open("rb") as reader, Path(target).open("wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        position = 0
        while position < size:
            try:
                start = os.lseek(reader.fileno(), position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole until the end
                    break
                raise
            end = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            os.lseek(reader.fileno(), start, os.SEEK_SET)
            os.lseek(writer.fileno(), start, os.SEEK_SET)
            while start < end:
                block = os.read(reader.fileno(), min(_BLOCK, end - start))
                if not block:
                    break
                start += _write_all(writer.fileno(), block)
            position = end
    return target


def _write_all(descriptor: int, block: bytes) -> int:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(block)
