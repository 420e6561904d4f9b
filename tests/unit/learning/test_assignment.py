"""Which unit gets which variant: the same always, in the declared proportions, independently."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.conversation import Caller, ChatRequest, Dialect
from hybrid_coordinator.learning.assignment import takes_part, unit_of, variant_of
from hybrid_coordinator.learning_settings import Unit

UNITS = [f"unit {number}".encode() for number in range(20_000)]
WEIGHTS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.floats(0.01, 100.0), min_size=2, max_size=4
)


def request(*messages: tuple[str, object], caller: str = "me") -> ChatRequest:
    body = {"messages": [{"role": role, "content": content} for role, content in messages]}
    return ChatRequest(Dialect.OPENAI, body, Caller(caller, caller), "id")


def within(share: float, expected: float, count: int, sigmas: float = 5.0) -> bool:
    return abs(share - expected) <= sigmas * math.sqrt(expected * (1 - expected) / count)


@given(unit=st.binary(max_size=64), weights=WEIGHTS)
def test_a_unit_gets_the_same_variant_in_whatever_order_they_are_declared(
    unit: bytes, weights: dict[str, float]
) -> None:
    turned = dict(reversed(weights.items()))
    assert variant_of("x", unit, weights) == variant_of("x", unit, turned)


def test_assignments_outlive_a_release() -> None:
    """Changing a hash moves everybody: the numbers of a running experiment would be mixed up."""
    variants = (
        *("wordy", "wordy", "control", "wordy", "wordy", "terse"),
        *("wordy", "wordy", "control", "wordy", "wordy", "wordy"),
    )
    weights = {"control": 1.0, "terse": 1.0, "wordy": 2.0}
    units = [b"%d" % number for number in range(12)]
    assert tuple(variant_of("tone", unit, weights) for unit in units) == variants
    assert [unit for unit in units if takes_part("tone", unit, 0.5)] == [b"0", b"1", b"3", b"5"]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_as_many_take_part_as_declared(share: float) -> None:
    taking = sum(takes_part("x", unit, share) for unit in UNITS)
    assert within(taking / len(UNITS), share, len(UNITS))


@given(unit=st.binary(max_size=64))
def test_a_share_of_all_takes_everybody_and_a_share_of_nothing_nobody(unit: bytes) -> None:
    assert takes_part("x", unit, 1.0)
    assert not takes_part("x", unit, 0.0)


def test_a_larger_share_keeps_everybody_who_took_part() -> None:
    for unit in UNITS[:2_000]:
        assert takes_part("x", unit, 0.6) or not takes_part("x", unit, 0.3)


@pytest.mark.parametrize(
    "weights",
    [{"a": 1.0, "b": 1.0}, {"a": 0.9, "b": 0.1}, {"a": 3.0, "b": 2.0, "c": 0.05}],
)
def test_variants_get_their_weight(weights: dict[str, float]) -> None:
    counts = Counter(variant_of("x", unit, weights) for unit in UNITS)
    for variant, weight in weights.items():
        expected = weight / sum(weights.values())
        assert within(counts[variant] / len(UNITS), expected, len(UNITS))


def test_a_variant_that_is_added_takes_units_and_moves_none_between_the_others() -> None:
    before = {"a": 1.0, "b": 1.0}
    after = {**before, "c": 1.0}
    moved = 0
    for unit in UNITS[:3_000]:
        old, new = variant_of("x", unit, before), variant_of("x", unit, after)
        assert new in (old, "c")
        moved += new == "c"
    assert within(moved / 3_000, 1 / 3, 3_000)


def test_experiments_assign_independently_of_each_other_and_of_who_takes_part() -> None:
    """Pearson's chi-square on 2 × 2 tables; 10.83 is exceeded once in 1,000 such tables."""
    halves = {"a": 1.0, "b": 1.0}
    questions: dict[str, Callable[[bytes], bool]] = {
        "another experiment": lambda unit: variant_of("y", unit, halves) == "a",
        "its own share": lambda unit: takes_part("x", unit, 0.5),
        "another's share": lambda unit: takes_part("y", unit, 0.5),
    }
    for name, other in questions.items():
        table = Counter((variant_of("x", unit, halves) == "a", other(unit)) for unit in UNITS)
        assert chi_square(table) < 10.83, name


def chi_square(table: Counter[tuple[bool, bool]]) -> float:
    total = sum(table.values())
    answer = 0.0
    for row in (True, False):
        for column in (True, False):
            expected = (
                (table[row, True] + table[row, False])
                * (table[True, column] + table[False, column])
                / total
            )
            answer += (table[row, column] - expected) ** 2 / expected
    return answer


def test_a_caller_is_one_unit_whatever_is_asked() -> None:
    one, other = request(("user", "Why?")), request(("system", "Be brief."), ("user", "How?"))
    assert unit_of(one, Unit.CALLER) == unit_of(other, Unit.CALLER)
    assert unit_of(one, Unit.CALLER) != unit_of(request(("user", "Why?"), caller="x"), Unit.CALLER)


def test_every_turn_of_a_conversation_is_the_same_unit() -> None:
    start = [("system", "Be brief."), ("user", "What is a flake?")]
    later = [*start, ("assistant", "A project."), ("user", "And a lock file?")]
    # Clients put marks for prompt caches on parts, and notes for the model in between.
    marked = [
        ("system", [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]),
        ("user", [{"type": "text", "text": "What is a flake?"}]),
        ("assistant", "A project."),
        ("developer", "The user is in a hurry."),
        ("user", "And a lock file?"),
    ]
    units = {unit_of(request(*turns), Unit.CONVERSATION) for turns in (start, later, marked)}
    assert len(units) == 1


def test_conversations_of_other_callers_prompts_or_beginnings_are_other_units() -> None:
    units = {
        unit_of(asked, Unit.CONVERSATION)
        for asked in (
            request(("system", "Be brief."), ("user", "What is a flake?")),
            request(("system", "Be brief."), ("user", "What is a flake?"), caller="you"),
            request(("system", "Be long."), ("user", "What is a flake?")),
            request(("system", "Be brief."), ("user", "What is a lock file?")),
            request(("user", "Be brief.What is a flake?")),
            request(("system", "Be brief.What is a flake?"), ("user", "")),
            request(("system", "Be brief.What is a flake?")),
        )
    }
    # A conversation without a user's message is one whose user says nothing.
    assert len(units) == 6


@given(text=st.text(st.characters(codec=None), max_size=30))
def test_any_text_makes_a_unit(text: str) -> None:
    assert len(unit_of(request(("user", text)), Unit.CONVERSATION)) == 32
