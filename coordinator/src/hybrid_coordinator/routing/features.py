"""What can be read off a request before any model sees it, as one typed vector.

Pure functions of the request: no model, no I/O, no clock. The cost is bounded:
of a long question only a head and a tail are examined (``HEAD_CHARS`` and
``TAIL_CHARS``), its length is taken whole. What the numbers mean for the
decision is the classifier's business, not this file's.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import pairwise
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from hybrid_coordinator.conversation import ChatRequest

FloatArray = npt.NDArray[np.float32]

HEAD_CHARS = 2000
TAIL_CHARS = 1000
CHARS_PER_TOKEN = 4.0
"""English prose; only used where the caller has no token count."""

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)?")
_NUMBER = re.compile(r"\d+")
_CAPITAL = re.compile(r"\b[A-Z]")
_SENTENCE_END = re.compile(r"[.!?]\s")
_OPTION = re.compile(r"^\(?([A-H])[.):] (\S[^\n]*)", re.MULTILINE)
_LIST_ITEM = re.compile(r"\n[ \t]*(?:\d{1,2}[.)]|[-*•]) ")
_CODE_LINE = re.compile(
    r"^\s*(?:def |class |import |from \w+ import|return |#include|fn |func |public |private |let "
    r"|const |var |SELECT |INSERT |UPDATE |CREATE |\$ |>>> |File \")",
    re.MULTILINE,
)
_MATHS_CHARACTERS = "^=+*/<>\\$∑∫√≤≥≠≈∞∈∀∃π±×÷²³"
_CODE_CHARACTERS = "{};`_"


class Topic(StrEnum):
    """A group of words whose count is one feature."""

    MATHS = "maths_words"
    PROOF = "proof_words"
    STEP = "step_words"
    BUILD = "build_words"
    ANALYSIS = "analysis_words"
    SYSTEM = "system_words"
    CONSTRAINT = "constraint_words"
    EASY = "easy_words"
    COUNT = "count_words"
    NEGATION = "negations"
    SUPERLATIVE = "superlatives"


_LEXICON: dict[str, Topic] = {
    word: topic
    for topic, words in {
        Topic.MATHS: "theorem lemma integral integrate derivative differentiate equation equations "
        "solve probability matrix eigenvalue eigenvalues eigenvector eigenvectors polynomial "
        "calculate compute sum remainder percent ratio average triangle converges convergence "
        "asymptotic np-hard np-complete formula modulo prime integers integer",
        Topic.PROOF: "prove proof proofs derive derivation rigorous rigorously formally induction "
        "counterexample contradiction proving proven provably iff axiom axioms bijection",
        Topic.STEP: "then afterwards finally first firstly second secondly third thirdly next step "
        "steps phase phases stage stages additionally also each",
        Topic.BUILD: "design architect architecture implement implementing implementation refactor "
        "refactoring migrate migration optimize optimise optimizing debug debugging build develop "
        "rewrite plan roadmap strategy specification end-to-end parallelize production "
        "production-ready pipeline framework",
        Topic.ANALYSIS: "analyze analyse analysis compare contrast evaluate assess critique "
        "critically trade-offs trade-off tradeoffs justify argue diagnose synthesize implications "
        "forecast detailed comprehensive thorough thoroughly essay reconcile",
        Topic.SYSTEM: "distributed scalable scalability consistency consensus raft paxos "
        "kubernetes microservice microservices throughput latency sharding replication "
        "multi-region idempotent idempotency deadlock deadlocks concurrency concurrent lock-free "
        "kernel compiler cryptographic encryption transactions backpressure quantum bayesian "
        "stochastic algorithm complexity schema fault-tolerant asynchronous",
        Topic.CONSTRAINT: "must should ensure constraint constraints requirements require requires "
        "assuming assume given subject handle handles handling support supports include including "
        "avoid considering without",
        Topic.EASY: "translate summarize summarise rephrase spell spelled synonym synonyms "
        "antonym meaning capital hello hi hey thanks thank joke recipe weather convert typo "
        "grammar recommend suggest name",
        Topic.COUNT: "many much total remaining altogether combined twice half double triple times "
        "two three four five six seven eight nine ten twelve dozen third quarter",
        Topic.NEGATION: "not except never neither nor least incorrect false cannot",
        Topic.SUPERLATIVE: "best most primarily likely strongest greatest main primary",
    }.items()
    for word in words.split()
}


@dataclass(frozen=True, slots=True)
class RequestFeatures:
    """Features of one request, all finite floats.

    ``log_…`` are ``ln(1 + count)``; ``…_share`` lie in 0…1; flags are 0 or 1.
    The order of the fields is the order of ``vector``. Fields up to
    ``superlatives`` depend on the question's text alone; those after it on
    the rest of the request, which the training data cannot inform.
    """

    log_chars: float
    log_words: float
    word_length: float
    log_sentences: float
    digit_share: float
    log_numbers: float
    upper_share: float
    non_ascii_share: float
    multiple_choice: float
    option_length: float
    numeric_options: float
    fill_in: float
    statements: float
    list_items: float
    maths_symbols: float
    code_lines: float
    code_characters: float
    code_fence: float
    questions: float
    quotes: float
    commas: float
    maths_words: float
    proof_words: float
    step_words: float
    build_words: float
    analysis_words: float
    system_words: float
    constraint_words: float
    easy_words: float
    count_words: float
    negations: float
    superlatives: float
    tools: float
    structured: float
    images: float
    log_turns: float
    log_system_chars: float
    log_prompt_tokens: float
    context_score: float

    def vector(self) -> FloatArray:
        """All fields in order, float32, shape ``(len(FEATURE_NAMES),)``."""
        return np.array(_VALUES(self), dtype=np.float32)


FEATURE_NAMES = tuple(f.name for f in fields(RequestFeatures))
_VALUES = attrgetter(*FEATURE_NAMES)
TEXT_FEATURES = FEATURE_NAMES[: FEATURE_NAMES.index("superlatives") + 1]
"""The features the training data can inform: read from the question's text alone."""


def excerpt(question: str) -> str:
    """The part of a question that is examined: all of it, or its head and its tail."""
    if len(question) <= HEAD_CHARS + TAIL_CHARS:
        return question
    return f"{question[:HEAD_CHARS]}\n{question[-TAIL_CHARS:]}"


def text_features(question: str) -> tuple[float, ...]:
    """The values of ``TEXT_FEATURES`` for a question's text."""
    total = len(question)
    text = excerpt(question)
    seen = max(len(text), 1)
    words = _WORD.findall(text.lower())
    word_count = max(len(words), 1)
    numbers = _NUMBER.findall(text)
    options = _options(text)
    count = Counter(map(_LEXICON.get, words))
    ascii_only = text.isascii()
    log = math.log1p
    return (
        log(total),
        log(len(words)),
        len("".join(words)) / word_count,
        log(len(_SENTENCE_END.findall(text))),
        len("".join(numbers)) / seen,
        log(len(numbers)),
        min(len(_CAPITAL.findall(text)) / word_count, 1.0),
        0.0 if ascii_only else 1.0 - len(text.encode("ascii", "ignore")) / seen,
        float(bool(options)),
        log(len("".join(options)) / len(options)) if options else 0.0,
        sum(1 for o in options if any(map(str.isdigit, o))) / max(len(options), 1),
        float("___" in text),
        float("Statement 1" in text or "Statement I" in text or "Scenario 1" in text),
        log(len(_LIST_ITEM.findall(text))),
        log(sum(map(text.count, _MATHS_CHARACTERS[:8] if ascii_only else _MATHS_CHARACTERS))),
        log(len(_CODE_LINE.findall(text))),
        log(sum(map(text.count, _CODE_CHARACTERS))),
        float("```" in text),
        log(text.count("?")),
        log(text.count('"') + text.count("“")),
        log(text.count(",")),
        *(log(count[topic]) for topic in Topic),
    )


def extract(
    request: ChatRequest,
    *,
    prompt_tokens: int = 0,
    best_context_score: float | None = None,
) -> RequestFeatures:
    """The features of ``request``.

    ``prompt_tokens`` is the length of the whole conversation; 0 where nobody
    counted, in which case the question's length stands for it.
    ``best_context_score`` is the highest similarity (0…1) among the retrieved
    items, ``None`` where nothing was retrieved.
    """
    question = request.question
    system_chars = len(request.system_text)
    tokens = prompt_tokens or int((len(question) + system_chars) / CHARS_PER_TOKEN)
    values = (
        *text_features(question),
        float(request.uses_tools),
        float(request.wants_structure),
        float(request.has_images),
        math.log1p(max(request.turns - 1, 0)),
        math.log1p(system_chars),
        math.log1p(tokens),
        _unit(best_context_score),
    )
    return RequestFeatures(*values)


def _options(text: str) -> list[str]:
    """The texts of lettered answers, if two of them follow each other in the alphabet."""
    if "\n" not in text:
        return []
    found = _OPTION.findall(text)
    letters = [ord(letter) for letter, _ in found]
    if not any(b - a == 1 for a, b in pairwise(letters)):
        return []
    return [answer for _, answer in found]


def _unit(value: float | None) -> float:
    if value is None or not math.isfinite(value):
        return 0.0
    return min(max(value, 0.0), 1.0)
