"""Two wordings of the very same question, recognised by form and without learning.

They differ in articles, politeness and contractions ("what's nixos"), in how an instruction is
asked for ("how do I", "how can I", "how to"), in where a phrase stands ("in Python, how do I …"),
or in the order of two things joined by "and", "or" or "versus". Of the pairs judged by people
that are alike in this sense and break no rule, 96 % were judged the same; most of the others are
slips of the judges. Hard rules come first: whether one is broken is not looked at here.
"""

from __future__ import annotations

from hybrid_coordinator.cache.pair_text import Question
from hybrid_coordinator.cache.pair_words import words

_BEGIN_PHRASE = words("in on for with using under at from within")
_JOIN = words("and or versus")


def are_alike(a: Question, b: Question) -> bool:
    """Whether ``a`` and ``b`` are wordings of one question."""
    one, other = a.core, b.core
    if one == other:
        return True
    if sorted(one) != sorted(other):
        return False
    return _moved_phrase(one, other) or _moved_phrase(other, one) or _joined_otherwise(one, other)


def _moved_phrase(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a phrase that begins ``one`` ends ``other``."""
    if one[0] not in _BEGIN_PHRASE:
        return False
    return any(one[n:] + one[:n] == other for n in range(2, len(one)))


def _joined_otherwise(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether only "x and y" of ``one`` is "y and x" in ``other``."""
    start = 0
    while one[start] == other[start]:
        start += 1
    end = len(one)
    while one[end - 1] == other[end - 1]:
        end -= 1
    x, y = one[start:end], other[start:end]
    return any(word in _JOIN and (*x[at + 1 :], word, *x[:at]) == y for at, word in enumerate(x))
