"""A kept answer given again: whole, or as a stream like the one a model would have sent.

The id and the time of the first answer are kept, so a client can see that it is the same one.
``Completion.extra`` has no place in a stream and is part of the whole answer only. Not for
rendering a dialect (``api`` does).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from hybrid_coordinator.cache.entry import CacheEntry
from hybrid_coordinator.conversation import Completion, Delta, ToolCallDelta

_MIN_PIECE = 32
_MOST_PIECES = 64
_LONGEST_WORD = 8
"""Pieces' worth of characters without white space before a cut inside the word is sought."""
_ESCAPE_REACH = 12
"""The longest escape sequence: a surrogate pair written as two ``\\u`` escapes."""
_WORD = re.compile(r"\S*\s*")
_ZERO_WIDTH_JOINER = "\u200d"


def completion_of(entry: CacheEntry) -> Completion:
    """The whole answer as it was given first; its usage is what it took then."""
    return entry.completion


def stream_of(entry: CacheEntry) -> Iterator[Delta]:
    """The answer as increments: reasoning, text, tool calls, then why it ended, then usage.

    Texts are cut between words. Joined again they are the kept text, character for character.
    """
    answer = entry.completion
    for piece in pieces(answer.reasoning):
        yield Delta(reasoning=piece, id=answer.id, model=answer.model)
    for piece in pieces(answer.text):
        yield Delta(text=piece, id=answer.id, model=answer.model)
    for index, call in enumerate(answer.tool_calls):
        opened = ToolCallDelta(index=index, id=call.id, name=call.name)
        yield Delta(tool_calls=(opened,), id=answer.id, model=answer.model)
        for piece in pieces(call.arguments):
            part = ToolCallDelta(index=index, arguments=piece)
            yield Delta(tool_calls=(part,), id=answer.id, model=answer.model)
    yield Delta(finish_reason=answer.finish_reason, id=answer.id, model=answer.model)
    yield Delta(usage=answer.usage, id=answer.id, model=answer.model)


def pieces(text: str) -> Iterator[str]:
    """``text`` in at most about 64 pieces, each ending where a word does.

    A word without end (base64, a language without spaces) is cut inside, but not within a
    character a reader sees as one, nor within or right after a backslash escape.
    """
    wanted = max(_MIN_PIECE, -(-len(text) // _MOST_PIECES))
    start = 0
    while start < len(text):
        end = _piece_end(text, start, wanted)
        yield text[start:end]
        start = end


def _piece_end(text: str, start: int, wanted: int) -> int:
    target = start + wanted
    if target >= len(text):
        return len(text)
    limit = min(len(text), target + wanted * _LONGEST_WORD)
    word = _WORD.match(text, target, limit)
    end = word.end() if word else limit
    if end < limit and _may_cut(text, end):
        return end
    for place in range(target, limit):
        if text[place - 1].isspace() and _may_cut(text, place):
            return place
    for place in range(target, len(text)):
        if _may_cut(text, place):
            return place
    return len(text)


def _may_cut(text: str, place: int) -> bool:
    """Whether ``text`` may be cut before ``text[place]``.

    A cautious subset of the boundaries of UAX #29 (Unicode Text Segmentation): no cut before a
    mark, a modifier or a medial or final jamo, around a joiner, between two flags' letters, or
    between carriage return and line feed.
    """
    before, after = text[place - 1], text[place]
    if "\\" in text[max(0, place - _ESCAPE_REACH) : place] and not before.isspace():
        return False
    if before < "\x80" and after < "\x80":
        return before != "\\" and not (before == "\r" and after == "\n")
    if _ZERO_WIDTH_JOINER in (before, after):
        return False
    if unicodedata.category(after) in ("Mn", "Mc", "Me", "Cf"):
        return False
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\u1160" <= after <= "\u11ff":
        return False
    if "\ud7b0" <= after <= "\ud7ff":
        return False
    return not ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff")
