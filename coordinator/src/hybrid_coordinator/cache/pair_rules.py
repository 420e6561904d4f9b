"""Differences that change the answer for certain: each a named rule, each always a miss.

A rule looks at what two questions say (``pair_text.Question``) and answers whether they differ
in its own respect. Rules err towards a miss: a missed hit costs one model call, a wrong hit is a
wrong answer. How alike two questions are otherwise is the business of ``pair_features``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hybrid_coordinator.cache.pair_opposites import (
    KINDS,
    OPPOSITES,
    opposite_by_form,
    same_kind,
)
from hybrid_coordinator.cache.pair_stem import fold, stem
from hybrid_coordinator.cache.pair_text import Question
from hybrid_coordinator.cache.pair_words import FUNCTION_WORDS, words

Rule = Callable[[Question, Question], bool]

_NOTHING: frozenset[str] = frozenset()


def broken_rule(a: Question, b: Question) -> str | None:
    """The name of the first rule by which the answers must differ, or None."""
    for name, differs in RULES.items():
        if differs(a, b):
            return name
    return None


def _differing_language(a: Question, b: Question) -> bool:
    """Another language or alphabet; or neither is English, for which no rule here is made."""
    if a.words == b.words:
        return False
    return a.language != "en" or b.language != "en" or a.script != b.script or a.script != "latin"


def _differing_number(a: Question, b: Question) -> bool:
    """Not the same numbers with the same units in the same order."""
    return a.quantities != b.quantities


def _differing_literal(a: Question, b: Question) -> bool:
    """An identifier, path, flag, address, piece of code or quotation that is not in both."""
    if a.operators != b.operators:
        return True
    if a.literals == b.literals:
        return False
    return any(not _contains(b, x) for x in a.literals - b.literals) or any(
        not _contains(a, x) for x in b.literals - a.literals
    )


def _contains(question: Question, literal: str) -> bool:
    """Whether plain words of ``question`` spell ``literal``: `nginx` and nginx, NixOS and nixos."""
    if any(x != literal and x.lower() == literal.lower() for x in question.literals):
        return False  # the same letters in other cases: two identifiers
    if not literal.replace(" ", "").isalpha():
        return False
    spelled = [stem(fold(word)) for word in literal.split()]
    n = len(spelled)
    stems = list(question.stems)
    return any(stems[i : i + n] == spelled for i in range(len(stems) - n + 1))


def _differing_negation(a: Question, b: Question) -> bool:
    """More negations in one than in the other."""
    return a.negations != b.negations


def _opposite(a: Question, b: Question) -> bool:
    """A word of one stands where its opposite stands in the other."""
    only_a, only_b = _alone(a, b)
    if any(not OPPOSITES.get(x, _NOTHING).isdisjoint(only_b) for x in only_a):
        return True
    return any(opposite_by_form(x, y) for x in only_a for y in only_b if _alike_in_form(x, y))


def _alike_in_form(x: str, y: str) -> bool:
    return x[-2:] == y[-2:] or x[:2] == y[:2]


def _another_of_its_kind(a: Question, b: Question) -> bool:
    """bash in one, fish in the other."""
    only_a, only_b = _alone(a, b)
    in_b = KINDS.keys() & only_b
    return any(same_kind(x, y) for x in KINDS.keys() & only_a for y in in_b) if in_b else False


def _alone(a: Question, b: Question) -> tuple[set[str], set[str]]:
    """The stems that one of the questions has, or has more often, of each."""
    all_a, all_b = set(a.stems), set(b.stems)
    only_a, only_b = all_a - all_b, all_b - all_a
    if len(all_a) < len(a.stems) or len(all_b) < len(b.stems):
        for word in all_a & all_b:
            more = a.stems.count(word) - b.stems.count(word)
            if more:
                (only_a if more > 0 else only_b).add(word)
    return only_a, only_b


def _differing_name(a: Question, b: Question) -> bool:
    """A name (a capitalised word inside a sentence) of one that the other does not mention."""
    return bool(unmatched_names(a, b) or unmatched_names(b, a))


def unmatched_names(a: Question, b: Question) -> list[str]:
    """The names in ``a`` that ``b`` does not mention, not even abbreviated or written out."""
    if not a.names:
        return []
    missing = [name for name in a.names if stem(name) not in b.stems]
    if not missing:
        return []
    return [
        name
        for name in missing
        if not _is_split_otherwise(name, a, b)
        and not _is_abbreviation(name, b)
        and not _is_written_out(name, a, b)
    ]


def _is_split_otherwise(name: str, a: Question, b: Question) -> bool:
    """Whether ``b`` writes ``name`` as two words, or together with the next: you tube, youtube."""
    if any(x + y == name for x, y in pairwise(b.words)):
        return True
    return any(name in (x, y) and x + y in b.words for x, y in pairwise(a.words))


def _is_abbreviation(name: str, question: Question) -> bool:
    """Whether ``name`` is the initials of words in a row: ml, machine learning."""
    if not 2 <= len(name) <= 5:
        return False
    for some in (question.words, [x for x in question.words if x not in FUNCTION_WORDS]):
        if name in "".join([word[0] for word in some]):
            return True
    return False


def _is_written_out(name: str, a: Question, b: Question) -> bool:
    """Whether ``b`` has the initials of the words that ``name`` stands among in ``a``."""
    initials = "".join([word[0] for word in a.words])
    at = a.words.index(name) if name in a.words else -1
    return any(
        2 <= len(short) <= 5 and start <= at < start + len(short)
        for short in b.words
        if short not in FUNCTION_WORDS
        for start in (initials.find(short),)
        if start >= 0
    )


_MEASURES = words("many much long old often far big tall fast deep high large")
_EXCLUSIVE = words("who when where why how") | {f"how {measure}" for measure in _MEASURES}


def _differing_kind(a: Question, b: Question) -> bool:
    """Who, when, where, why, how or how many: each asks for another answer."""
    if a.kind == b.kind:
        return False
    if a.kind in _EXCLUSIVE and b.kind in _EXCLUSIVE:
        return {a.kind, b.kind} != {"how many", "how much"}
    exact = _EXCLUSIVE - {"how"}
    return (a.kind in exact or b.kind in exact) and "none" not in (a.kind, b.kind)


_PAST = words("did was were had")
_FUTURE = words("will shall")


def _differing_tense(a: Question, b: Question) -> bool:
    """What was, and what will be."""
    past_a, past_b = not _PAST.isdisjoint(a.function), not _PAST.isdisjoint(b.function)
    future_a, future_b = not _FUTURE.isdisjoint(a.function), not _FUTURE.isdisjoint(b.function)
    return past_a != past_b and future_a != future_b and past_a != future_a


_DIRECTIONS = words(
    """to from into onto in on of than over under before after with without by for against as
    inside outside above below between per"""
)
_DISTANCE = words("far distance")  # the same there and back
_SYMMETRIC = words("and or versus between difference compare comparison")


def _differing_direction(a: Question, b: Question) -> bool:
    """Two things with their places exchanged: A to B and B to A."""
    if a.words == b.words or _DISTANCE.intersection(a.words):
        return False
    return _exchanged(a, b) or (sorted(a.content) == sorted(b.content) and _turned_round(a, b))


def _exchanged(a: Question, b: Question) -> bool:
    """Around the same preposition, what is left of it in one is right of it in the other."""
    places_a, places_b = _places(a), _places(b)
    for preposition, (left_a, right_a) in places_a:
        for other, (left_b, right_b) in places_b:
            if (
                preposition == other
                and (left_a - right_a) & (right_b - left_b)
                and (right_a - left_a) & (left_b - right_b)
            ):
                return True
    sources_a, targets_a = _ends(a)
    sources_b, targets_b = _ends(b)
    return bool((sources_a & targets_b) - (targets_a & targets_b)) and bool(
        (targets_a & sources_b) - (sources_a & sources_b)
    )


_Place = tuple[str, tuple[frozenset[str], frozenset[str]]]


def _places(q: Question) -> list[_Place]:
    """Each direction word with the content words (at most three) before and after it."""
    found: list[_Place] = []
    for at, word in enumerate(q.words):
        if word in _DIRECTIONS:
            before, after = range(at - 1, -1, -1), range(at + 1, len(q.words))
            found.append((word, (_near(q, before), _near(q, after))))
    return found


def _near(q: Question, positions: range) -> frozenset[str]:
    near: list[str] = []
    for at in positions:
        word = q.words[at]
        if word in _DIRECTIONS or word in _SYMMETRIC or len(near) == 3:
            break
        if word not in FUNCTION_WORDS:
            near.append(q.stems[at])
    return frozenset(near)


def _ends(q: Question) -> tuple[frozenset[str], frozenset[str]]:
    """What comes after "from", and what after "to", "into" or "as"."""
    sources: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    for at, word in enumerate(q.words):
        if word == "from":
            sources |= _near(q, range(at + 1, len(q.words)))
        elif word in ("to", "into", "as", "onto"):
            targets |= _near(q, range(at + 1, len(q.words)))
    return sources, targets


def _turned_round(a: Question, b: Question) -> bool:
    """x does y in one, y does x in the other; not where the two are merely listed."""
    one, other = a.content, b.content
    listed = _SYMMETRIC.intersection(a.words) and _SYMMETRIC.intersection(b.words)
    if listed and not a.negations:
        return False
    differing = [at for at, (x, y) in enumerate(zip(one, other, strict=False)) if x != y]
    if len(one) == len(other) and len(differing) == 2 and differing[1] - differing[0] > 1:
        return True  # the same words, so these two have changed places around others
    triples = {other[i : i + 3] for i in range(len(other) - 2)}
    return any(
        one[i] != one[i + 2] and (one[i + 2], one[i + 1], one[i]) in triples
        for i in range(len(one) - 2)
    )


RULES: dict[str, Rule] = {
    "language": _differing_language,
    "number": _differing_number,
    "negation": _differing_negation,
    "literal": _differing_literal,
    "opposite": _opposite,
    "kind": _another_of_its_kind,
    "question": _differing_kind,
    "tense": _differing_tense,
    "direction": _differing_direction,
    "name": _differing_name,
}
