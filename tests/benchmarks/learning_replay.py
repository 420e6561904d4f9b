"""Judged question pairs as a stream of questions whose outcomes are known.

Groups of questions that people judged the same become cases: a stored item
whose answer works, another that looks as fitting and whose answer does not,
questions that teach, and other questions that are measured. Which item is
which only the replay knows. Not here: stores, teaching and measures, which are
in ``learning_retrieval``.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.cache.pair_data import JudgedPair

_MOST = 8
"""Questions of one group that are used; the longest groups are chains of doubtful judgements."""
_ALIKE = 4
"""Questions of many common rare words that are looked at for a confusable one."""
_COMMON = 40
"""A word in more questions than these says little about what is asked."""

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Case:
    """Two stored questions and those that are asked about them."""

    right: str
    wrong: str
    taught: tuple[str, ...]
    measured: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """Cases of one kind; ``others`` are stored as well, and are no one's answer."""

    name: str
    cases: tuple[Case, ...]
    others: tuple[str, ...]

    def __post_init__(self) -> None:
        measured = {plain(q) for case in self.cases for q in case.measured}
        known = {plain(q) for c in self.cases for q in (c.right, c.wrong, *c.taught)} | {
            plain(q) for q in self.others
        }
        if leaked := measured & known:
            raise ValueError(f"{len(leaked)} measured questions are taught or stored too")

    def questions(self) -> set[str]:
        """Every text of the stream."""
        asked = {q for c in self.cases for q in (c.right, c.wrong, *c.taught, *c.measured)}
        return asked | set(self.others)


def plain(question: str) -> str:
    """The question without case and punctuation: equal ones are the same question again."""
    return " ".join(re.findall(r"\w+", question.casefold()))


def groups(pairs: Sequence[JudgedPair], seed: int) -> list[list[str]]:
    """Questions that were judged the same, directly or through others; each said in another way.

    A group within which two were judged to differ is left out. Order within a
    group, and so who teaches and who is measured, is drawn.
    """
    found = _connected((p.a, p.b) for p in pairs if p.same)
    apart = {found.get(p.a) for p in pairs if not p.same and found.get(p.a) == found.get(p.b)}
    members: dict[str, list[str]] = defaultdict(list)
    for question, group in found.items():
        if group not in apart:
            members[group].append(question)
    drawn = random.Random(seed)
    answer = []
    for _, questions in sorted(members.items()):
        distinct = list({plain(q): q for q in sorted(questions)}.values())
        drawn.shuffle(distinct)
        answer.append(distinct[:_MOST])
    return answer


def two_answers(members: Sequence[Sequence[str]], others: Sequence[str]) -> Stream:
    """Of each group two questions are stored, and the answer of the first is the good one."""
    cases = []
    for right, wrong, *asked in (group for group in members if len(group) >= 4):
        half = len(asked) // 2
        cases.append(Case(right, wrong, tuple(asked[:half]), tuple(asked[half:])))
    return _stream("two answers to one question", cases, others)


def confusable(
    members: Sequence[Sequence[str]],
    pairs: Sequence[JudgedPair],
    pool: Sequence[str],
    others: Sequence[str],
    vectors_of: Callable[[Sequence[str]], Vectors],
) -> Stream:
    """Of each group one question is stored, beside the likest one that asks something else.

    The latter was judged to differ, or is the nearest of questions that share
    rare words with it, of the ``pool``, which is in no group. ``vectors_of``
    gives unit vectors, a row a question.
    """
    chosen = [group for group in members if len(group) >= 3]
    grouped = {q for group in members for q in group}
    differs: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        if not pair.same:
            differs[pair.a].add(pair.b)
            differs[pair.b].add(pair.a)
    alike = _sharing_words(pool)
    candidates = []
    for group in chosen:
        judged = {q for member in group for q in differs[member]} - grouped
        candidates.append(sorted(judged) or alike(group[0]))
    texts = sorted({q for found in candidates for q in found} | {g[0] for g in chosen})
    vectors, at = vectors_of(texts), {q: i for i, q in enumerate(texts)}
    cases, used = [], set()
    for group, found in zip(chosen, candidates, strict=True):
        free = [q for q in found if plain(q) not in used]
        if not free:
            continue
        likeness = vectors[[at[q] for q in free]] @ vectors[at[group[0]]]
        wrong = free[int(np.argmax(likeness))]
        used.add(plain(wrong))
        asked, half = group[1:], (len(group) - 1) // 2
        cases.append(Case(group[0], wrong, tuple(asked[:half]), tuple(asked[half:])))
    return _stream("a confusable question", cases, others)


def loners(pairs: Sequence[JudgedPair], seed: int) -> list[str]:
    """Questions that were judged the same as no other, in a drawn order."""
    grouped = {q for p in pairs if p.same for q in (p.a, p.b)}
    found = sorted({q for p in pairs for q in (p.a, p.b)} - grouped)
    random.Random(seed).shuffle(found)
    return found


def _stream(name: str, cases: Sequence[Case], others: Sequence[str]) -> Stream:
    """Without what would let a measured question be known beforehand."""
    counts = Counter(plain(q) for c in cases for q in {c.right, c.wrong, *c.taught, *c.measured})
    kept = tuple(
        c
        for c in cases
        if all(counts[plain(q)] == 1 for q in (c.right, c.wrong, *c.taught, *c.measured))
    )
    return Stream(name, kept, tuple(q for q in others if plain(q) not in counts))


def _connected(edges: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """For each question the least of those it is connected with."""
    above: dict[str, str] = {}

    def top(question: str) -> str:
        while (up := above.setdefault(question, question)) != question:
            above[question] = above[up]
            question = up
        return question

    for a, b in edges:
        one, other = sorted((top(a), top(b)))
        above[other] = one
    return {question: top(question) for question in list(above)}


def _sharing_words(questions: Sequence[str]) -> Callable[[str], list[str]]:
    """Finds the questions that share the most rare words with another one."""
    having: dict[str, list[int]] = defaultdict(list)
    for number, question in enumerate(questions):
        for word in set(plain(question).split()):
            having[word].append(number)

    def alike(question: str) -> list[str]:
        shared: Counter[int] = Counter()
        for word in set(plain(question).split()):
            if len(having[word]) <= _COMMON:
                shared.update(having[word])
        first = sorted(shared, key=lambda number: (-shared[number], number))[:_ALIKE]
        return [questions[number] for number in first]

    return alike
