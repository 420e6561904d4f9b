"""What the training data cannot say about a request, set by hand, each with its reason.

The data are exam questions (multiple choice, and word problems): short,
single-turn, without tools. For everything else this file holds a prior in
log-odds of "the local answer is as good as the remote one". Two tables:
``CHAT`` stands in for the experts where a question is no exam question,
``REQUEST`` adds to either what lies outside the question's text. The numbers
were set so that one strong sign of difficulty, or several weak ones, bring an
everyday question (``EVERYDAY``) below 0.7; tests hold them to lists of
prompts, the longer of which no number was moved for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from hybrid_coordinator.routing.features import RequestFeatures


@dataclass(frozen=True, slots=True)
class Term:
    """``weight · min(max(value − floor, 0), cap)``, added to the log-odds."""

    feature: str
    weight: float
    reason: str
    floor: float = 0.0
    cap: float = 2.0


EVERYDAY = 2.2
"""Log-odds for an everyday question: 0.9. On the data's own everyday part (MMLU's
"miscellaneous") only the strong model is right in 8 % of the questions."""

CHAT: tuple[Term, ...] = (
    Term("proof_words", -1.9, "a proof is wrong as soon as one step is; small models lose steps"),
    Term("build_words", -1.05, "design and implementation need a plan that holds together"),
    Term("system_words", -0.95, "systems, concurrency and theory need depth, not recall"),
    Term("analysis_words", -1.05, "weighing and comparing several things in one answer"),
    Term("constraint_words", -0.5, "each condition is one more that the answer can break"),
    Term("step_words", -0.35, "several steps: errors multiply"),
    Term("maths_words", -0.75, "calculation: on GSM8K paying gains 21 %, on average 13 %"),
    Term("maths_symbols", -0.25, "formulas", floor=math.log(3.0)),
    Term("log_numbers", -0.25, "numbers to be worked with", floor=math.log(3.0)),
    Term("list_items", -0.35, "an enumerated task has several parts"),
    Term("code_lines", -0.35, "code to be read and changed", floor=math.log(2.0)),
    Term("code_characters", -0.2, "as above, in languages whose lines look otherwise", floor=1.5),
    Term("log_words", -0.7, "a long question has many parts", floor=math.log(25.0), cap=3.0),
    Term("log_sentences", -0.4, "as above", floor=math.log(3.0)),
    Term("commas", -0.4, "what is listed in a sentence is to be dealt with", floor=math.log(2.0)),
    Term(
        "easy_words", 0.5, "translating, rephrasing, looking up: what small models do well", cap=1
    ),
    Term("non_ascii_share", -0.6, "small models know other scripts and languages less"),
)

REQUEST: tuple[Term, ...] = (
    Term("tools", -0.5, "choosing a tool and filling its arguments fails more on small models"),
    Term("structured", -0.2, "a schema is one more way to fail; grammars make it a small one"),
    Term("images", -0.3, "reading an image is where small vision models lag most"),
    Term("log_turns", -0.3, "long conversations drift", floor=math.log(4.0)),
    Term("log_system_chars", -0.2, "long instructions are followed in part", floor=math.log(2000)),
    Term(
        "log_prompt_tokens",
        -0.4,
        "small models lose what stands in the middle of a long context (Liu et al. 2023)",
        floor=math.log(3000.0),
    ),
    Term(
        "context_score",
        2.0,
        "stored knowledge that covers the question leaves reading, not knowing",
        floor=0.55,
        cap=0.35,
    ),
)


def log_odds(terms: Sequence[Term], features: RequestFeatures) -> float:
    """The sum of ``terms`` for ``features``."""
    return sum(
        term.weight * min(max(_value(features, term.feature) - term.floor, 0.0), term.cap)
        for term in terms
    )


def is_exam_question(features: RequestFeatures) -> bool:
    """Whether the question is of the kind that the data hold.

    Multiple choice; or a word problem, which is some sentences with at least
    three quantities, in figures or words, and nothing to build or to prove.
    """
    if features.multiple_choice:
        return True
    quantities = math.expm1(features.log_numbers) + math.expm1(features.count_words)
    other = (
        features.build_words
        + features.proof_words
        + features.system_words
        + features.analysis_words
        + features.code_lines
        + features.code_fence
        + features.list_items
    )
    return other == 0.0 and quantities > 2.5 and features.log_words >= _SOME_SENTENCES


_SOME_SENTENCES = math.log1p(15) - 1e-9
_GETTERS = {term.feature: attrgetter(term.feature) for term in CHAT + REQUEST}


def _value(features: RequestFeatures, name: str) -> float:
    value: float = _GETTERS[name](features)
    return value
