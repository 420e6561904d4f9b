"""Finds private keys in PEM and its relatives, whole or cut off at either end.

Not certificates, not public keys, and not a marker without a key in it, as
documentation has them. Forms: RFC 7468 and RFC 1421 (PEM), RFC 9580 section 6
(OpenPGP armour), RFC 4716 (SSH2), PuTTY's appendix "PPK file format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hybrid_coordinator.scrubbing.kinds import Found, Kind

_BEGIN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_LONGEST_MARKER = 64

# Line ends as they are, or escaped as in JSON and in string literals joined by "+".
_GAP = r"(?:[\s\"'+,>|#*]|\\[nrt\\])"
_HEADER = r"[A-Z][A-Za-z0-9-]{1,30}: [^\n\\\"]{0,200}"
_CHUNK = r"[A-Za-z0-9+/=]{16,}+"
_BODY = re.compile(rf"{_GAP}*+(?:(?:{_HEADER}|{_CHUNK}){_GAP}++)*+(?:[A-Za-z0-9+/=]++(?!\s*\w))?+")
_SUBSTANCE = re.compile(_CHUNK)
_LINE = re.compile(r"[A-Za-z0-9+/=]{1,80}")

_PUTTY = re.compile(
    r"PuTTY-User-Key-File-\d: [^\n]{1,80}\n"
    r"(?:[A-Za-z-]{4,24}: [^\n]{0,200}(?:\n|\Z)|[A-Za-z0-9+/=]{1,80}(?:\n|\Z))++"
)


def find(text: str) -> Iterator[Found]:
    """Private keys in ``text``, left to right; linear in its length."""
    if "PRIVATE KEY" in text:
        yield from _armoured(text)
    if "PuTTY-User-Key-File-" in text:
        for match in _PUTTY.finditer(text):
            yield _found(text, match.start(), match.end())


def _armoured(text: str) -> Iterator[Found]:
    done = 0
    at = text.find("PRIVATE KEY")
    while at >= 0:
        around = max(done, at - _LONGEST_MARKER)
        if begin := _covering(_BEGIN, text, around, at):
            body = _BODY.match(text, begin.end())
            end_of_body = body.end() if body else begin.end()
            end = _END.match(text, end_of_body)
            stop = end.end() if end else end_of_body
            if _SUBSTANCE.search(text, begin.end(), end_of_body):
                yield _found(text, begin.start(), stop)
            done = max(begin.end(), stop)
        elif end := _covering(_END, text, around, at):
            start = _start_of_tail(text, done, end.start())
            if _SUBSTANCE.search(text, start, end.start()):
                yield _found(text, start, end.end())
            done = end.end()
        else:
            done = at + len("PRIVATE KEY")
        at = text.find("PRIVATE KEY", done)


def _covering(marker: re.Pattern[str], text: str, around: int, at: int) -> re.Match[str] | None:
    match = marker.search(text, around, at + _LONGEST_MARKER)
    return match if match and match.start() < at < match.end() else None


def _start_of_tail(text: str, floor: int, end: int) -> int:
    """Where the key begins of which only the tail is there: back over lines of base64."""
    start = end
    shortest = 1  # The last line of a key may be short, the others are not.
    while start > floor:
        line_start = max(text.rfind("\n", floor, start - 1) + 1, floor)
        line = text[line_start:start].strip()
        if line:
            if len(line) < shortest or not _LINE.fullmatch(line):
                break
            shortest = 16
        start = line_start
    return start


def _found(text: str, start: int, end: int) -> Found:
    value = text[start:end].rstrip()
    return Found(start, start + len(value), Kind.PRIVATE_KEY, value)
