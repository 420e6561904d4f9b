"""The benchmark's replay: what is measured is neither taught nor stored."""

from __future__ import annotations

import pytest

from hybrid_coordinator.cache.pair_data import JudgedPair
from tests.benchmarks.learning_replay import Case, Stream, groups, loners, plain, two_answers


def pair(a: str, b: str, *, same: bool) -> JudgedPair:
    return JudgedPair(a, b, same, 0.5)


PAIRS = [
    *(
        pair("What is Nix?", f"What is Nix {word}?", same=True)
        for word in ["one", "two", "six", "ten"]
    ),
    pair("What is Nix?", "what is nix", same=True),
    pair("What is Nix?", "Who made Nix?", same=False),
    pair("Is it good?", "Is it bad?", same=True),
    pair("Is it bad?", "Is it evil?", same=True),
    pair("Is it good?", "Is it evil?", same=False),
]


@pytest.mark.parametrize("leak", ["taught!", "Right", "other"])
def test_a_measured_question_that_is_known_otherwise_is_refused(leak: str) -> None:
    with pytest.raises(ValueError, match="1 measured questions"):
        Stream("x", (Case("right", "wrong", ("taught",), ("new", leak)),), ("other",))


def test_groups_say_each_question_once_and_leave_contradictions_out() -> None:
    [group] = groups(PAIRS, 1)
    assert len(group) == 5
    assert len({plain(question) for question in group}) == 5


def test_a_group_is_split_into_stored_taught_and_measured() -> None:
    [case] = two_answers(groups(PAIRS, 1), loners(PAIRS, 1)).cases
    parts = {case.right, case.wrong, *case.taught, *case.measured}
    assert len(parts) == 5
    assert len(case.taught) == 1
    assert len(case.measured) == 2


def test_the_same_seed_gives_the_same_stream() -> None:
    assert groups(PAIRS, 4) == groups(list(reversed(PAIRS)), 4)
    assert loners(PAIRS, 4) == ["Who made Nix?"]
