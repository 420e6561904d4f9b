"""What an answered question is worth: the value score, with all five parts measured (lesson 16).

The formula is the one of the architecture page, "Value score":
0.4·outcome quality + 0.2·user feedback + 0.2·reusability + 0.1·complexity +
0.1·novelty. The parts are pure functions; ``Scorer`` measures for them what
only the store knows. When a score is computed and what follows from it is in
``sink``.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hybrid_coordinator.knowledge import SHARED, Knowledge
from hybrid_coordinator.knowledge.items import InteractionHistory, PatternStatus
from hybrid_coordinator.knowledge.store import Filter, Vector
from hybrid_coordinator.learning.records import Outcome
from hybrid_coordinator.settings import Collection

WEIGHTS: Final[Mapping[str, float]] = {
    "outcome_quality": 0.4,
    "user_feedback": 0.2,
    "reusability": 0.2,
    "complexity": 0.1,
    "novelty": 0.1,
}

_DECIMALS: Final = 9
"""Of a score: so that what adds up to 0.7 on paper is not below 0.7."""

_REUSE_SCALE: Final = 3.0
"""Earlier questions of the kind after which reusability is 1 − 1/e."""
_MOST_EARLIER: Final = 32
"""Earlier questions that are counted; 1 − exp(−32/3) is 1 to four decimals."""

_STEPS: Final = 5
_CODE_BLOCKS: Final = 3
_TOOL_CALLS: Final = 3
_FURTHER_TURNS: Final = 4
"""From these numbers on a sign of complexity says no more."""

_NEAREST: Final = 16
"""Known patterns looked at: more than one interaction teaches."""

_COSINE_DECIMALS: Final = 4
"""Engines add up float32 in any order: the seventh digit of a cosine differs from run to run."""

_QUALITY: Final[Mapping[Outcome, float]] = {
    Outcome.SUCCESS: 1.0,
    Outcome.PARTIAL: 0.5,
    Outcome.FAILURE: 0.0,
}

# What may stand before a step or a fence: quotes, indentation, a bullet, a heading, emphasis.
_LEAD: Final = re.compile(r"[\s>]*(?:[-*+][ \t]+)?(?:#{1,6}[ \t]+)?[*_]{0,3}")
# "1." or "1)" or "(1)", not 3.14 and no year; "Step 1" in whatever way it goes on.
_STEP: Final = re.compile(
    r"""\(?[0-9]{1,2}[.)]\)?[*_]{0,3}(?:[ \t]+|$)
      | step[ \t]+[0-9]{1,2}\b[*_]{0,3}[:.)\-–—]?[ \t]*
    """,
    re.IGNORECASE | re.VERBOSE,
)
_QUOTE: Final = re.compile(r"[\s>]*")
_FENCE: Final = re.compile(r"(`{3,}|~{3,})(.*)")


@dataclass(frozen=True, slots=True)
class ValueScore:
    """A value score and its parts, each 0 to 1."""

    score: float
    outcome_quality: float
    user_feedback: float
    reusability: float
    complexity: float
    novelty: float

    def parts(self) -> dict[str, float]:
        """The parts by name, as they are stored beside the score."""
        return {name: getattr(self, name) for name in WEIGHTS}


def value_score(
    outcome_quality: float,
    user_feedback: float,
    reusability: float,
    complexity: float,
    novelty: float,
) -> ValueScore:
    """The weighted sum of the parts (architecture page, "Value score"), to nine decimals."""
    parts = (outcome_quality, user_feedback, reusability, complexity, novelty)
    total = math.fsum(w * part for w, part in zip(WEIGHTS.values(), parts, strict=True))
    return ValueScore(min(1.0, max(0.0, round(total, _DECIMALS))), *parts)


def outcome_quality(outcome: Outcome) -> float:
    """Success 1, partial ½, failure 0. Raises ``ValueError`` for an unknown outcome."""
    if outcome is Outcome.UNKNOWN:
        raise ValueError("An interaction is scored once its outcome is known.")
    return _QUALITY[outcome]


def user_feedback(feedback: int | None) -> float:
    """Positive 1, neutral or none ½, negative 0."""
    return 0.5 if feedback is None else (feedback + 1) / 2


def reusability(earlier: int) -> float:
    """1 − exp(−n/3) for n earlier questions of the kind."""
    return 1.0 - math.exp(-earlier / _REUSE_SCALE)


def complexity(response: str, tool_calls: int, turns: int) -> float:
    """The mean of four signs of a solution in several steps, each saturating.

    min(1, x/k) for numbered steps (k 5), code blocks (3), tool calls (3) and
    turns after the first (4).
    """
    steps, blocks = structure(response)
    signs = (
        steps / _STEPS,
        blocks / _CODE_BLOCKS,
        tool_calls / _TOOL_CALLS,
        max(0, turns - 1) / _FURTHER_TURNS,
    )
    return sum(min(1.0, sign) for sign in signs) / len(signs)


def novelty(highest: float | None) -> float:
    """1 − the highest cosine to a known pattern; 1 where there is none or all point elsewhere."""
    return 1.0 if highest is None else 1.0 - min(1.0, max(0.0, highest))


def structure(text: str) -> tuple[int, int]:
    """How many numbered steps and how many fenced code blocks a text has.

    Fences as in CommonMark 0.31, §4.5, also within quotes and lists: three or
    more backticks or tildes, closed by at least as many of the same; one that
    is never closed reaches to the end. Numbers within code are no steps. A
    fence that is never closed and has nothing after it is no block.
    """
    steps = blocks = 0
    fence = ""
    filled = False
    for line in text.splitlines():
        if fence:
            bare = line[_end(_QUOTE, line) :].rstrip()
            if len(bare) >= len(fence) and set(bare) == {fence[0]}:
                blocks += 1
                fence = ""
            elif bare:
                filled = True
            continue
        start = _end(_LEAD, line)
        step = _STEP.match(line, start)
        if step is not None:
            steps += 1
            start = step.end()
        opened = _FENCE.match(line, start)
        # Backticks after the opening ones: code within a line.
        if opened is not None and not (opened[1][0] == "`" and "`" in opened[2]):
            fence, filled = opened[1], False
    return steps, blocks + bool(fence and filled)


def _end(pattern: re.Pattern[str], line: str) -> int:
    found = pattern.match(line)
    return 0 if found is None else found.end()


class Scorer:
    """Scores interactions by what the store knows of others like them."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    async def score(
        self,
        interaction_id: str,
        caller: str,
        item: InteractionHistory,
        outcome: Outcome,
        feedback: int | None,
    ) -> ValueScore:
        """The score of one interaction with a known outcome.

        Raises ``ValueError`` for an unknown outcome, ``EmbeddingError``,
        ``StoreUnavailable``.
        """
        quality = outcome_quality(outcome)
        vector = await self._knowledge.embedder.embed_query(item.query)
        earlier = await self._earlier(interaction_id, caller, item, vector)
        highest = await self._nearest_pattern(interaction_id, caller, item.query, vector)
        return value_score(
            quality,
            user_feedback(feedback),
            reusability(earlier),
            complexity(item.response, item.tool_calls, item.turns),
            novelty(highest),
        )

    async def _earlier(
        self, interaction_id: str, caller: str, item: InteractionHistory, vector: Vector
    ) -> int:
        """Earlier questions of the caller at or above the embedder's bar, rejected ones apart."""
        history = Collection.INTERACTION_HISTORY
        where = Filter(any_of={"caller": (caller,)}, below={"timestamp": item.timestamp})
        # Twice as many: an answer that validation turned down is stored beside the accepted one.
        near = await self._knowledge.similar(
            history, item.query, where, 2 * _MOST_EARLIER, vector=vector
        )
        bar = self._knowledge.calibration.bar(history)
        count = sum(
            cosine >= bar and point.id != interaction_id and not point.payload.get("parent")
            for point, cosine in near
        )
        return min(count, _MOST_EARLIER)

    async def _nearest_pattern(
        self, interaction_id: str, caller: str, query: str, vector: Vector
    ) -> float | None:
        """The highest cosine to a pattern that others, too, gave rise to.

        Of the code only what was learned counts: an ingested file is no pattern.
        """
        owners = (SHARED,) if caller == SHARED else (SHARED, caller)
        retired = {"status": (PatternStatus.RETIRED.value,)}
        answers = await asyncio.gather(
            *(
                self._knowledge.similar(
                    collection,
                    query,
                    Filter(any_of={"caller": owners, **only}, none_of=retired),
                    _NEAREST,
                    vector=vector,
                )
                for collection, only in _PATTERNS.items()
            )
        )
        known = [
            cosine
            for answer in answers
            for point, cosine in answer
            if point.payload.get("source_interactions") != [interaction_id]
        ]
        return round(max(known), _COSINE_DECIMALS) if known else None


_PATTERNS: Final[Mapping[Collection, Mapping[str, tuple[bool, ...]]]] = {
    Collection.SKILLS_PATTERNS: {},
    Collection.ERROR_SOLUTIONS: {},
    Collection.BEST_PRACTICES: {},
    Collection.CODEBASE_CONTEXT: {"learned": (True,)},
}
"""Where patterns are, and what else they must have."""
