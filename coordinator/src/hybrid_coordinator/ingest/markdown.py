"""Cuts a Markdown document at its headings; each piece knows the headings above it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from markdown_it import MarkdownIt

from hybrid_coordinator.ingest.pieces import Piece, cut_by_lines

_PARSER = MarkdownIt("commonmark")


def cut_markdown(text: str) -> Iterator[Piece]:
    """The sections of a document in order; a long section in several pieces.

    Headings are CommonMark's, so a ``#`` in a code block is none.
    """
    lines = text.split("\n")
    path: list[tuple[int, str]] = []
    start = 0
    for line, level, title in _headings(text):
        yield from _section(lines, start, line, path)
        while path and path[-1][0] >= level:
            path.pop()
        path.append((level, title))
        start = line
    yield from _section(lines, start, len(lines), path)


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Line (from 0), level and title of each heading outside of other blocks."""
    tokens = _PARSER.parse(text)
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            yield token.map[0], int(token.tag[1:]), inline.content.strip()


def _section(
    lines: list[str], start: int, end: int, path: list[tuple[int, str]]
) -> Iterator[Piece]:
    names = tuple(title for _, title in path)
    body = "\n".join(lines[start:end])
    # A heading with nothing under it says nothing that its parts do not.
    if any(line.strip() and not line.lstrip().startswith("#") for line in lines[start:end]):
        yield from cut_by_lines(body, start + 1, names)
