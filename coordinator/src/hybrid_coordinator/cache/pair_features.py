"""What two questions have in common and what not, as numbers for the learned probability.

All features are symmetric, so a pair is judged the same whichever of the two was cached. How
rare a word is, and how much a cue tells, is looked up in a ``CueTable`` that training made
(``scripts/train_pairs.py``). What may never differ is in ``pair_rules``, not here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import fsum
from typing import TypeVar
from zlib import crc32

from hybrid_coordinator.cache.pair_rules import unmatched_names
from hybrid_coordinator.cache.pair_text import Question
from hybrid_coordinator.cache.pair_words import MODALS, PERSONS

FEATURES = (
    "similarity",
    "words_shared", "content_shared", "rarity_shared", "grams_shared", "grams_contained",
    "bigrams_shared", "letters_nearest",
    "rarity_unmatched_more", "rarity_unmatched_less", "rarest_unmatched_more",
    "rarest_unmatched_less", "content_unmatched_more", "content_unmatched_less",
    "function_shared", "function_differing", "modals_differing", "persons_differing",
    "order_words", "order_content", "start_shared", "length", "length_ratio",
    "same_first", "same_last", "same_kind", "names_shared", "names_unmatched",
    "rarity_shared_total", "rarest_shared", "sentences", "quantities_differ", "rule_broken",
    "cues_unmatched", "cues_shared", "cues_order", "cues_opening",
)  # fmt: skip
SIMILARITY = FEATURES.index("similarity")
CUES = slice(FEATURES.index("cues_unmatched"), len(FEATURES))

_T = TypeVar("_T")


def key_of(cue: str) -> int:
    """The key of a cue or a stem in a table: CRC-32, so that the words themselves stay out."""
    return crc32(cue.encode())


@dataclass(frozen=True, slots=True)
class CueTable:
    """What training found: how rare words are, and what cues are worth.

    Attributes:
        rarity: inverse document frequency, ln((N+1)/(n+1)), of stems by ``key_of``.
        unknown: the rarity of any other stem.
        weights: log-odds that the pair asks the same, by the cue's ``key_of``.
    """

    rarity: Mapping[int, float]
    unknown: float
    weights: Mapping[int, float]

    def rarity_of(self, stem: str) -> float:
        """How rare a stem is."""
        return self.rarity.get(crc32(stem.encode()), self.unknown)

    def weight_of(self, cues: Iterable[str]) -> float:
        """What all ``cues`` together are worth."""
        weights = self.weights
        return fsum([weights.get(crc32(cue.encode()), 0.0) for cue in cues])


def features(
    a: Question, b: Question, similarity: float, table: CueTable, *, broken: bool
) -> list[float]:
    """The values of ``FEATURES`` for a pair, in that order.

    ``similarity`` is a cosine; ``broken`` whether a hard rule keeps the pair apart.
    """
    stems_a, stems_b = frozenset(a.stems), frozenset(b.stems)
    content_a, content_b = frozenset(a.content), frozenset(b.content)
    only_a, only_b = content_a - stems_b, content_b - stems_a
    bigrams_a, bigrams_b = _bigrams(a.stems), _bigrams(b.stems)
    rare_a = [table.rarity_of(x) for x in only_a] or [0.0]
    rare_b = [table.rarity_of(x) for x in only_b] or [0.0]
    unmatched_a, unmatched_b = fsum(rare_a), fsum(rare_b)
    rare_shared = [table.rarity_of(x) for x in content_a & content_b] or [0.0]
    shared = 2.0 * fsum(rare_shared)
    rarest_a, rarest_b = max(rare_a), max(rare_b)
    differing = a.function ^ b.function
    length_a, length_b = len(a.stems), len(b.stems)
    return [
        similarity,
        _jaccard(stems_a, stems_b),
        _jaccard(content_a, content_b),
        shared / (shared + unmatched_a + unmatched_b or 1.0),
        _jaccard(a.grams, b.grams),
        len(a.grams & b.grams) / (min(len(a.grams), len(b.grams)) or 1),
        _jaccard(bigrams_a, bigrams_b),
        min(_nearest(only_a, content_b), _nearest(only_b, content_a)),
        max(unmatched_a, unmatched_b),
        min(unmatched_a, unmatched_b),
        max(rarest_a, rarest_b),
        min(rarest_a, rarest_b),
        float(max(len(only_a), len(only_b))),
        float(min(len(only_a), len(only_b))),
        _jaccard(a.function, b.function),
        float(len(differing)),
        float(len(differing & MODALS)),
        float(len(differing & PERSONS)),
        _order(a.stems, b.stems),
        _order(a.content, b.content),
        _start(a.content, b.content),
        float(min(length_a, length_b)),
        min(length_a, length_b) / (max(length_a, length_b) or 1),
        float(a.stems[:1] == b.stems[:1]),
        float(a.content[-1:] == b.content[-1:]),
        float(a.kind == b.kind),
        float(len(a.names & b.names)),
        float(len(unmatched_names(a, b)) + len(unmatched_names(b, a))),
        shared / 2.0,
        max(rare_shared),
        float(max(a.sentences, b.sentences)),
        float(a.quantities != b.quantities),
        float(broken),
        *[table.weight_of(some) for some in cues(a, b)],
    ]


def cues(a: Question, b: Question) -> tuple[list[str], ...]:
    """What may tell for or against: words one has alone, words shared, bigrams alone, openings."""
    stems_a, stems_b = frozenset(a.stems), frozenset(b.stems)
    openings = []
    for n in (1, 2, 3):
        one, other = " ".join(a.words[:n]), " ".join(b.words[:n])
        openings.append(f"{one}|{other}" if one < other else f"{other}|{one}")
    return (
        ["-" + stem for stem in stems_a ^ stems_b],
        ["+" + stem for stem in stems_a & stems_b],
        [f"-{one} {other}" for one, other in _bigrams(a.stems) ^ _bigrams(b.stems)],
        openings,
    )


def _jaccard(a: frozenset[_T], b: frozenset[_T]) -> float:
    both = len(a & b)
    return both / (len(a) + len(b) - both or 1)


def _bigrams(stems: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    return frozenset(pairwise(stems))


def _order(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """Length of the longest common subsequence as a share of the longer text.

    Bit-parallel: one big-integer step a word of ``b`` (Hyyrö, "Bit-parallel LCS-length
    computation revisited", 2004).
    """
    if not a or not b:
        return float(a == b)
    places: dict[str, int] = {}
    for at, stem in enumerate(a):
        places[stem] = places.get(stem, 0) | 1 << at
    full = (1 << len(a)) - 1
    free = full
    for stem in b:
        used = free & places.get(stem, 0)
        free = (free + used) | (free - used)
    return (len(a) - (free & full).bit_count()) / max(len(a), len(b))


def _start(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """How much of the longer text's beginning is the same."""
    same = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        same += 1
    return same / (max(len(a), len(b)) or 1)


def _nearest(words: Collection[str], others: Iterable[str]) -> float:
    """How like the others, by its letters, the least matched word is (Dice); 1 if none is left."""
    if not words:
        return 1.0
    candidates = [(_letters(other), len(other) - 1) for other in others]
    least = 1.0
    for word in words:
        letters, n = _letters(word), len(word) - 1
        best = 0.0
        for other, m in candidates:
            both = len(letters & other)
            if both and 2 * both > best * (n + m):
                best = 2 * both / (n + m)
        least = min(least, best)
    return least


@lru_cache(maxsize=16_384)
def _letters(word: str) -> frozenset[str]:
    return frozenset([word[i : i + 2] for i in range(len(word) - 1)])
