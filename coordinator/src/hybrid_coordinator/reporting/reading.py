"""Reads each line of the telemetry files once, whatever happens to the files in between.

A ``Position`` is kept with what was counted, in one transaction. It says where
the last line ended, and knows that line and some before it by their digests:
rotation moves the files, ``erasure`` rewrites them without some lines, a start
may find others in their place, and a number of a file is given again. Where
the line is not where it was, the last known line is looked for in all files;
erasure keeps the order, so what follows it is new. What lines mean is in
``counting``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from hybrid_coordinator.telemetry.writer import event_files

MAX_LINE: Final = 1024 * 1024
"""Bytes; what is longer is no event and is read in pieces, each of them skipped."""

REMEMBERED: Final = 512
"""Lines that are known again. Forgetting an interaction removes some ten."""

_DIGEST: Final = 8
_TRIES: Final = 20
_NUMBER: Final = 2**63 - 1
"""What SQLite can keep of a file's number."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far was read: the file (by inode), the end and length of its last line, and its digests.

    ``known`` has ``_DIGEST`` bytes a line, the last read last. ``after``: where
    none of them was found again, lines with a time up to this one, in epoch
    seconds, are taken for read.
    """

    inode: int = 0
    offset: int = 0
    length: int = 0
    known: bytes = b""
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines in their order, without line ends, and the position behind them.

    ``more``: there are further ones. ``after``: see ``Position``, for these lines.
    """

    lines: Sequence[bytes]
    position: Position
    more: bool
    after: float | None = None


def read_lines(directory: Path, position: Position, limit: int, newest: float) -> Lines:
    """The next ``limit`` lines behind ``position``; blank ones are passed over.

    ``newest`` is the highest time counted so far, for ``Position.after``.
    Raises ``OSError``.
    """
    with _opened(directory) as files:
        if not files:
            return Lines((), position, more=False)
        found = _same_place(files, position) or _known_again(files, position)
        after = position.after
        if found is None:
            found = (0, 0)
            if position.known and after is None:
                after = newest
        return _read(files, *found, position, limit, after)


def _read(
    files: Sequence[BinaryIO],
    number: int,
    offset: int,
    position: Position,
    limit: int,
    after: float | None,
) -> Lines:
    lines: list[bytes] = []
    known = bytearray(position.known)
    inode, end, length = position.inode, position.offset, position.length
    more = False
    for index in range(number, len(files)):
        file = files[index]
        start = offset if index == number else 0
        file.seek(start)
        for line in _lines_of(file, last=index == len(files) - 1):
            if len(lines) >= limit:
                more = True
                break
            start += len(line)
            if not line.strip():
                continue
            inode, end, length = _number_of(file), start, len(line)
            known += _digest(line)
            lines.append(line.rstrip(b"\n"))
        if more:
            break
    kept = bytes(known[-REMEMBERED * _DIGEST :])
    there = Position(inode, end, length, kept, after if more else None)
    return Lines(lines, there, more, after)


def _lines_of(file: BinaryIO, *, last: bool) -> Iterator[bytes]:
    """Lines with their ends. The last file's last one is left alone until it is whole."""
    while line := file.readline(MAX_LINE):
        if last and not line.endswith(b"\n") and len(line) < MAX_LINE:
            return
        yield line


def _same_place(files: Sequence[BinaryIO], position: Position) -> tuple[int, int] | None:
    """Where reading goes on if the last line is where it was; else None."""
    for index, file in enumerate(files):
        if not position.known or _number_of(file) != position.inode:
            continue
        line = os.pread(file.fileno(), position.length, position.offset - position.length)
        if _digest(line) == position.known[-_DIGEST:]:
            return index, position.offset
    return None


def _known_again(files: Sequence[BinaryIO], position: Position) -> tuple[int, int] | None:
    """The place behind the last line of all files that is known; None where none is."""
    known = {
        position.known[start : start + _DIGEST] for start in range(0, len(position.known), _DIGEST)
    }
    if not known:
        return None
    for index in range(len(files) - 1, -1, -1):
        file, place, offset = files[index], None, 0
        file.seek(0)
        for line in _lines_of(file, last=index == len(files) - 1):
            offset += len(line)
            if _digest(line) in known:
                place = offset
        if place is not None:
            return index, place
    return None


@contextmanager
def _opened(directory: Path) -> Iterator[Sequence[BinaryIO]]:
    """Every event file, oldest first, as they were at one moment."""
    for _ in range(_TRIES):
        with ExitStack() as stack:
            try:
                files = [stack.enter_context(path.open("rb")) for path in event_files(directory)]
                there = [path.stat().st_ino & _NUMBER for path in event_files(directory)]
            except FileNotFoundError:
                continue
            # Rotated in between, a file would be there twice, or not at all.
            if there == [_number_of(file) for file in files]:
                yield files
                return
    raise OSError(f"the files in {directory} are renamed faster than they can be opened")


def _number_of(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino & _NUMBER


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=_DIGEST).digest()
