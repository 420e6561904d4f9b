"""The value score: its parts, worked by hand, and what of it the store knows."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.knowledge import Knowledge, NewItem
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.records import Outcome
from hybrid_coordinator.learning.scoring import (
    WEIGHTS,
    Scorer,
    complexity,
    novelty,
    outcome_quality,
    reusability,
    structure,
    user_feedback,
    value_score,
)
from hybrid_coordinator.settings import Collection
from tests.unit.learning.history import KnowledgeRoom

S, P, F = Outcome.SUCCESS, Outcome.PARTIAL, Outcome.FAILURE


def answer(steps: int, blocks: int) -> str:
    """An answer with so many numbered steps, then so many blocks of code."""
    lines = [f"{n}. do this" for n in range(1, steps + 1)]
    return "\n".join(["Like this:", *lines, *["```sh\nmake\n```"] * blocks])


# Worked by hand. 1 − exp(−n/3): n 1: .283469, 2: .486583, 3: .632121, 4: .736403, 5: .811124,
# 6: .864665, 9: .950213, 12: .981684, 32: .999977. Complexity is the mean of steps/5, blocks/3,
# tools/3 and (turns − 1)/4, each 1 at most.
# outcome, feedback, earlier, steps, blocks, tools, turns, cosine
#   -> quality, feedback, reusability, complexity, novelty, score
TABLE = [
    ((S, 1, 0, 0, 0, 0, 1, None), (1, 1, 0, 0, 1, 0.7)),
    ((S, None, 0, 0, 0, 0, 1, None), (1, 0.5, 0, 0, 1, 0.6)),
    ((S, 0, 0, 0, 0, 0, 1, None), (1, 0.5, 0, 0, 1, 0.6)),
    ((S, -1, 0, 0, 0, 0, 1, None), (1, 0, 0, 0, 1, 0.5)),
    ((P, 1, 0, 0, 0, 0, 1, None), (0.5, 1, 0, 0, 1, 0.5)),
    ((P, None, 0, 0, 0, 0, 1, None), (0.5, 0.5, 0, 0, 1, 0.4)),
    ((P, -1, 0, 0, 0, 0, 1, None), (0.5, 0, 0, 0, 1, 0.3)),
    ((F, 1, 0, 0, 0, 0, 1, None), (0, 1, 0, 0, 1, 0.3)),
    ((F, None, 0, 0, 0, 0, 1, None), (0, 0.5, 0, 0, 1, 0.2)),
    ((F, -1, 0, 0, 0, 0, 1, None), (0, 0, 0, 0, 1, 0.1)),
    ((F, -1, 0, 0, 0, 0, 1, 1.0), (0, 0, 0, 0, 0, 0.0)),
    ((S, 1, 32, 5, 3, 3, 5, None), (1, 1, 0.999977, 1, 1, 0.999995)),
    # Novelty alone.
    ((S, 1, 0, 0, 0, 0, 1, 0.25), (1, 1, 0, 0, 0.75, 0.675)),
    ((S, 1, 0, 0, 0, 0, 1, -0.3), (1, 1, 0, 0, 1, 0.7)),
    ((S, 1, 0, 0, 0, 0, 1, 1.0), (1, 1, 0, 0, 0, 0.6)),
    # Reusability alone.
    ((S, 1, 1, 0, 0, 0, 1, None), (1, 1, 0.283469, 0, 1, 0.756694)),
    ((S, None, 1, 0, 0, 0, 1, None), (1, 0.5, 0.283469, 0, 1, 0.656694)),
    ((S, None, 2, 0, 0, 0, 1, None), (1, 0.5, 0.486583, 0, 1, 0.697317)),
    ((S, None, 3, 0, 0, 0, 1, None), (1, 0.5, 0.632121, 0, 1, 0.726424)),
    ((S, None, 6, 0, 0, 0, 1, None), (1, 0.5, 0.864665, 0, 1, 0.772933)),
    ((P, 1, 6, 0, 0, 0, 1, None), (0.5, 1, 0.864665, 0, 1, 0.672933)),
    ((P, 1, 9, 0, 0, 0, 1, None), (0.5, 1, 0.950213, 0, 1, 0.690043)),
    ((F, None, 3, 0, 0, 0, 1, None), (0, 0.5, 0.632121, 0, 1, 0.326424)),
    # Complexity alone.
    ((S, 1, 0, 5, 0, 0, 1, None), (1, 1, 0, 0.25, 1, 0.725)),
    ((S, 1, 0, 10, 0, 0, 1, None), (1, 1, 0, 0.25, 1, 0.725)),
    ((S, 1, 0, 1, 0, 0, 1, None), (1, 1, 0, 0.05, 1, 0.705)),
    ((S, 1, 0, 2, 0, 0, 1, None), (1, 1, 0, 0.1, 1, 0.71)),
    ((S, 1, 0, 0, 1, 0, 1, None), (1, 1, 0, 0.083333, 1, 0.708333)),
    ((S, 1, 0, 0, 3, 0, 1, None), (1, 1, 0, 0.25, 1, 0.725)),
    ((S, 1, 0, 0, 7, 0, 1, None), (1, 1, 0, 0.25, 1, 0.725)),
    ((S, 1, 0, 0, 0, 1, 1, None), (1, 1, 0, 0.083333, 1, 0.708333)),
    ((S, 1, 0, 0, 0, 3, 1, None), (1, 1, 0, 0.25, 1, 0.725)),
    ((S, 1, 0, 0, 0, 50, 1, None), (1, 1, 0, 0.25, 1, 0.725)),
    ((S, 1, 0, 0, 0, 0, 2, None), (1, 1, 0, 0.0625, 1, 0.70625)),
    ((S, 1, 0, 0, 0, 0, 3, None), (1, 1, 0, 0.125, 1, 0.7125)),
    ((S, 1, 0, 0, 0, 0, 5, None), (1, 1, 0, 0.25, 1, 0.725)),
    ((S, 1, 0, 0, 0, 0, 99, None), (1, 1, 0, 0.25, 1, 0.725)),
    ((S, 1, 0, 0, 0, 0, 0, None), (1, 1, 0, 0, 1, 0.7)),
    ((S, 1, 0, 5, 3, 0, 1, None), (1, 1, 0, 0.5, 1, 0.75)),
    ((S, 1, 0, 3, 2, 1, 3, None), (1, 1, 0, 0.525, 1, 0.7525)),
    # All of it.
    ((P, 0, 2, 4, 1, 0, 2, 0.6), (0.5, 0.5, 0.486583, 0.345833, 0.4, 0.4719)),
    ((S, 1, 3, 5, 3, 3, 5, 0.9), (1, 1, 0.632121, 1, 0.1, 0.836424)),
    ((S, -1, 12, 2, 0, 0, 1, 0.5), (1, 0, 0.981684, 0.1, 0.5, 0.656337)),
    ((F, -1, 32, 5, 3, 3, 5, None), (0, 0, 0.999977, 1, 1, 0.399995)),
    ((S, None, 4, 0, 0, 0, 1, 0.37), (1, 0.5, 0.736403, 0, 0.63, 0.710281)),
    ((P, 1, 5, 5, 0, 0, 1, 0.05), (0.5, 1, 0.811124, 0.25, 0.95, 0.682225)),
    ((S, 0, 1, 0, 0, 2, 1, 0.8), (1, 0.5, 0.283469, 0.166667, 0.2, 0.59336)),
    ((S, 1, 0, 4, 2, 2, 4, 0.95), (1, 1, 0, 0.720833, 0.05, 0.677083)),
]


@pytest.mark.parametrize(("given_", "worked"), TABLE)
def test_lesson_16_the_score_is_what_was_worked_out_by_hand(
    given_: tuple[Outcome, int | None, int, int, int, int, int, float | None],
    worked: tuple[float, ...],
) -> None:
    outcome, feedback, earlier, steps, blocks, tools, turns, cosine = given_
    scored = value_score(
        outcome_quality(outcome),
        user_feedback(feedback),
        reusability(earlier),
        complexity(answer(steps, blocks), tools, turns),
        novelty(cosine),
    )
    assert (*scored.parts().values(), scored.score) == pytest.approx(worked, abs=1e-6)


def test_the_table_has_at_least_forty_cases_that_differ() -> None:
    assert len({given_ for given_, _ in TABLE}) == len(TABLE) >= 40


part = st.floats(0, 1)
parts = st.tuples(part, part, part, part, part)


@given(parts)
def test_a_score_is_between_0_and_1(values: tuple[float, float, float, float, float]) -> None:
    assert 0 <= value_score(*values).score <= 1


@given(parts, st.integers(0, 4), part)
def test_a_score_never_falls_when_a_part_rises(
    values: tuple[float, float, float, float, float], which: int, other: float
) -> None:
    low, high = list(values), list(values)
    low[which], high[which] = sorted((values[which], other))
    lower, higher = value_score(*low).score, value_score(*high).score
    assert lower <= higher
    if high[which] - low[which] > 1e-6:
        assert lower < higher


@given(st.tuples(*[st.integers(0, 20)] * 5))
def test_what_adds_up_to_the_threshold_on_paper_reaches_it(
    twentieths: tuple[int, int, int, int, int],
) -> None:
    weights = [Fraction(str(weight)) for weight in WEIGHTS.values()]
    paper = sum(w * Fraction(n, 20) for w, n in zip(weights, twentieths, strict=True))
    a, b, c, d, e = (n / 20 for n in twentieths)
    assert value_score(a, b, c, d, e).score == float(paper)


def test_success_and_praise_for_something_new_is_exactly_the_threshold() -> None:
    assert value_score(1, 1, 0, 0, 1).score == 0.7
    assert value_score(1, 0.5, 0.5, 0, 1).score == 0.7
    assert sum(WEIGHTS.values()) == pytest.approx(1)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_question_that_comes_up_more_often_is_never_less_reusable(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 0 <= reusability(low) <= reusability(high) <= 1


@given(st.text(max_size=200), st.integers(0, 2**53), st.integers(0, 2**53))
def test_complexity_is_between_0_and_1_whatever_the_answer(
    text: str, tools: int, turns: int
) -> None:
    assert 0 <= complexity(text, tools, turns) <= 1
    assert complexity(text, tools + 1, turns) >= complexity(text, tools, turns)
    assert complexity(text, tools, turns + 1) >= complexity(text, tools, turns)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_what_is_nearer_to_a_known_pattern_is_never_newer(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= novelty(high) <= novelty(low) <= 1


def test_an_unknown_outcome_has_no_quality() -> None:
    with pytest.raises(ValueError, match="known"):
        outcome_quality(Outcome.UNKNOWN)


STRUCTURES = [
    ("", (0, 0)),
    ("Just do it.", (0, 0)),
    ("1. a\n2. b\n3. c", (3, 0)),
    ("1) a\n2) b", (2, 0)),
    ("(1) a\n(2) b", (2, 0)),
    ("1.) a\n2.) b", (2, 0)),
    ("1. a\n1. b\n1. c", (3, 0)),
    ("Step 1: a\nstep 2 - b\nSTEP 3\nc", (3, 0)),
    ("**Step 1:** a\n**Step 2:** b", (2, 0)),
    ("## Step 1\na\n### 2. b", (2, 0)),
    ("**1.** a\n**2. b**\n__3.__ c", (3, 0)),
    ("- Step 1: a\n- 2. b", (2, 0)),
    ("> 1. a\n> 2. b", (2, 0)),
    ("   1. a\n      2. b\n\t3. c", (3, 0)),
    ("1. a\r\n2. b\r\n", (2, 0)),
    ("3.14 is pi\n2024. was a year\n1.5 GB\nv1. x\nSteps 1 and 2\nstep 100", (0, 0)),
    ("the number is\n1", (0, 0)),
    ("```\nx\n```", (0, 1)),
    ("~~~\nx\n~~~", (0, 1)),
    ("```python\n1. not a step\nStep 2\n```\n1. a", (1, 1)),
    ("~~~\n```\nx\n```\n~~~", (0, 1)),
    ("````\n```\nx\n```\n````", (0, 1)),
    ("```\nx\n`````", (0, 1)),
    ("```\nx\n~~~\n1. y\n```\n2. z", (1, 1)),
    ("```\nx", (0, 1)),
    ("1. a\n```\nx\n2. b", (1, 1)),
    ("```\nx\n```\ndone\n```", (0, 1)),
    ("```\n```", (0, 1)),
    ("``x`` and ```y``` in a line\n1. a", (1, 0)),
    ("```a``` b\n1. c", (1, 0)),
    ("1. ```sh\n   make\n   ```\n2. b", (2, 1)),
    ("- ```sh\n  make\n  ```", (0, 1)),
    ("> ```\n> x\n> ```\n> 1. a", (1, 1)),
    ("``` \n x\n```  \n```js\ny\n```", (0, 2)),
    ("``\nx\n``", (0, 0)),
]


@pytest.mark.parametrize(("text", "found"), STRUCTURES)
def test_steps_and_blocks_of_code_are_recognised(text: str, found: tuple[int, int]) -> None:
    assert structure(text) == found


@given(st.text(alphabet="`~1.) \n>#*xStep", max_size=80))
def test_any_text_has_a_structure_and_no_more_of_it_than_lines(text: str) -> None:
    steps, blocks = structure(text)
    lines = len(text.splitlines())
    assert 0 <= steps <= lines
    assert 0 <= blocks <= lines


def test_a_long_hostile_answer_is_read_in_time_that_grows_with_its_length_only() -> None:
    for piece in ("> ", "* ", "#", "1.", "`", "~", " \t", "(1", "step "):
        assert structure(piece * (32_768 // len(piece))) is not None


# What the store knows.

QUESTION = "How do I undo the last commit in git?"
AGAIN = [
    "How can I undo my last git commit?",
    "git: how to undo the last commit",
    "How to take back the last commit in git?",
]
OTHER = "How long should bread dough rise?"
PATTERN = {
    "skill_name": "Undo the last commit in git",
    "description": "git reset --soft HEAD~1 undoes the last commit.",
    "status": "trusted",
}


@pytest.fixture
async def room(embedder: FastembedEmbedder) -> AsyncIterator[KnowledgeRoom]:
    made = await KnowledgeRoom.open(embedder)
    yield made
    await made.knowledge.aclose()


@pytest.fixture
def knowledge(room: KnowledgeRoom) -> Knowledge:
    return room.knowledge


async def score_of(knowledge: Knowledge, id_: str, caller: str = "anna") -> dict[str, float]:
    item = InteractionHistory(query=QUESTION, response="git reset", timestamp=100.0)
    scored = await Scorer(knowledge).score(id_, caller, item, S, 1)
    return scored.parts()


async def test_lesson_16_reusability_counts_the_callers_earlier_questions_of_the_kind(
    room: KnowledgeRoom,
) -> None:
    own = await room.ask(QUESTION, "anna", 100.0)
    assert (await score_of(room.knowledge, own))["reusability"] == 0
    for number, question in enumerate(AGAIN):
        await room.ask(question, "anna", float(number))
    await room.ask(OTHER, "anna", 5.0)
    await room.ask(QUESTION, "ben", 6.0)
    await room.ask(QUESTION, "anna", 101.0)
    await room.ask(QUESTION, "anna", 7.0, parent=own, rejection="refusal")
    parts = await score_of(room.knowledge, own)
    assert parts["reusability"] == pytest.approx(0.632121, abs=1e-6)


async def test_no_more_than_32_earlier_questions_are_counted(room: KnowledgeRoom) -> None:
    own = await room.ask(QUESTION, "anna", 100.0)
    for number in range(40):
        await room.ask(QUESTION, "anna", float(number))
    assert (await score_of(room.knowledge, own))["reusability"] == reusability(32)


async def test_lesson_16_novelty_falls_with_the_nearest_known_pattern(room: KnowledgeRoom) -> None:
    knowledge = room.knowledge
    own = await room.ask(QUESTION, "anna", 100.0)
    assert (await score_of(knowledge, own))["novelty"] == 1
    bread = {"title": "Dough", "description": "Let bread dough rise for an hour."}
    await knowledge.add(Collection.BEST_PRACTICES, [NewItem(bread)], "anna")
    far = (await score_of(knowledge, own))["novelty"]
    await knowledge.add(Collection.SKILLS_PATTERNS, [NewItem(PATTERN)], "anna")
    near = (await score_of(knowledge, own))["novelty"]
    assert 0.85 < far <= 1
    assert 0 < near < 0.3


@pytest.mark.parametrize(
    ("changed", "owner"),
    [
        ({"status": "retired"}, "anna"),
        ({"source_interactions": ["OWN"], "learned": True}, "anna"),
        ({}, "ben"),
    ],
)
async def test_retired_patterns_own_patterns_and_those_of_others_make_nothing_less_new(
    room: KnowledgeRoom, changed: dict[str, object], owner: str
) -> None:
    own = await room.ask(QUESTION, "anna", 100.0)
    if changed.get("source_interactions"):
        changed = {**changed, "source_interactions": [own]}
    await room.knowledge.add(Collection.SKILLS_PATTERNS, [NewItem({**PATTERN, **changed})], owner)
    assert (await score_of(room.knowledge, own))["novelty"] == 1


async def test_a_pattern_that_others_gave_rise_to_as_well_is_known(room: KnowledgeRoom) -> None:
    own = await room.ask(QUESTION, "anna", 100.0)
    sources = [own, await room.ask(AGAIN[0], "anna", 1.0)]
    pattern = {**PATTERN, "source_interactions": sources, "learned": True}
    await room.knowledge.add(Collection.SKILLS_PATTERNS, [NewItem(pattern)], "anna")
    assert (await score_of(room.knowledge, own))["novelty"] < 0.3


async def test_an_ingested_file_is_no_pattern_and_learned_code_is(room: KnowledgeRoom) -> None:
    own = await room.ask(QUESTION, "anna", 100.0)
    code = {
        "file_path": "git.sh",
        "purpose": "Undo the last commit in git",
        "code_snippet": "git reset --soft HEAD~1",
    }
    await room.knowledge.add(Collection.CODEBASE_CONTEXT, [NewItem(code)], "")
    assert (await score_of(room.knowledge, own))["novelty"] == 1
    learned = {**code, "file_path": "learned.sh", "learned": True}
    await room.knowledge.add(Collection.CODEBASE_CONTEXT, [NewItem(learned)], "")
    assert (await score_of(room.knowledge, own))["novelty"] < 0.5


async def test_a_score_is_the_same_again_however_often_it_is_computed(
    room: KnowledgeRoom,
) -> None:
    own = await room.ask(QUESTION, "anna", 100.0)
    await room.ask(AGAIN[0], "anna", 1.0)
    scores = [await score_of(room.knowledge, own) for _ in range(3)]
    assert all(one == other for one, other in itertools.pairwise(scores))


async def test_an_interaction_without_an_outcome_is_not_scored(knowledge: Knowledge) -> None:
    item = InteractionHistory(query=QUESTION)
    with pytest.raises(ValueError, match="known"):
        await Scorer(knowledge).score("x", "anna", item, Outcome.UNKNOWN, None)
