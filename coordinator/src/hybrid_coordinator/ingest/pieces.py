"""A piece of a file, and how text without a grammar is cut: by lines, at paragraphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_SIZE = 1200
"""Characters of a piece that are not white space: about what the embedder reads at once."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive lines of a file. Lines count from 1, both ends included.

    ``names`` says what is in it, outermost first: headings of a document,
    definitions of a program.
    """

    text: str
    start_line: int
    end_line: int
    names: tuple[str, ...] = ()


def size_of(text: str) -> int:
    """How many characters of ``text`` are not white space."""
    return len(text) - sum(map(str.isspace, text))


def cut_by_lines(text: str, first_line: int = 1, names: tuple[str, ...] = ()) -> Iterator[Piece]:
    """Pieces of whole lines, each at most ``MAX_SIZE``, cut at blank lines where there are any.

    A single longer line is cut inside.
    """
    held: list[str] = []
    held_size = 0
    start = first_line
    blank_at: int | None = None
    for number, line in enumerate(text.split("\n"), start=first_line):
        size = size_of(line)
        if held and held_size + size > MAX_SIZE:
            keep = blank_at if blank_at else len(held)
            yield from _piece(held[:keep], start, names)
            start += keep
            held = held[keep:]
            held_size = sum(map(size_of, held))
            blank_at = None
        if size > MAX_SIZE:
            for at in range(0, len(line), MAX_SIZE):
                yield Piece(line[at : at + MAX_SIZE], number, number, names)
            held, held_size, start, blank_at = [], 0, number + 1, None
            continue
        held.append(line)
        held_size += size
        if size == 0 and held_size > MAX_SIZE // 4:
            blank_at = len(held)
    yield from _piece(held, start, names)


def _piece(lines: list[str], start: int, names: tuple[str, ...]) -> Iterator[Piece]:
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        return
    last = max(i for i, line in enumerate(lines) if line.strip())
    text = "\n".join(lines[first : last + 1])
    yield Piece(text, start + first, start + last, names)
