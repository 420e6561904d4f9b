"""Finds an answer whose end repeats itself: what a small model does when it is lost."""

from __future__ import annotations

import re

_WINDOW = 2400
_MINIMUM_SPAN = 480
_MINIMUM_REPEATS = 6
_ASKED_FOR = re.compile(
    r"\b(repeat|repetition|\d+\s+times|over and over|lorem ipsum|pattern of|list all|every)\b", re.I
)
_DIGITS = re.compile(r"\d+")


def asks_for_repetition(question: str) -> bool:
    """Whether the question itself wants something again and again."""
    return _ASKED_FOR.search(question) is not None


def repeated_unit(text: str) -> str | None:
    """The unit that fills the end of ``text``, or None.

    The end counts as a loop where one unit with at least two letters stands at
    least six times in a row over at least 480 characters. Digits are folded,
    so a numbered loop (``1. yes 2. yes …``) is one too. The period is found
    with the Z-function of the reversed tail (Gusfield 1997, ch. 1), linear in
    a window of 2,400 characters.
    """
    tail = _DIGITS.sub("0", text[-_WINDOW:])[::-1]
    if len(tail) < _MINIMUM_SPAN:
        return None
    matches = _z_function(tail)
    for period in range(1, len(tail) // _MINIMUM_REPEATS + 1):
        span = period + matches[period]
        if span >= _MINIMUM_SPAN and span >= period * _MINIMUM_REPEATS:
            unit = tail[:period][::-1]
            if sum(map(str.isalpha, unit)) >= 2:
                return unit
    return None


def _z_function(text: str) -> list[int]:
    """For each i, how long ``text[i:]`` agrees with ``text``."""
    size = len(text)
    z = [0] * size
    left = right = 0
    for i in range(1, size):
        if i < right:
            z[i] = min(right - i, z[i - left])
        while i + z[i] < size and text[z[i]] == text[i + z[i]]:
            z[i] += 1
        if i + z[i] > right:
            left, right = i, i + z[i]
    return z
