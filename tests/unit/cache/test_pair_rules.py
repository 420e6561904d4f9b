"""What the hard rules let pass: differences that do not change the answer.

What they must stop is in ``test_guard_safety``.
"""

from __future__ import annotations

import pytest

from hybrid_coordinator.cache.pair_alike import are_alike
from hybrid_coordinator.cache.pair_opposites import are_opposites, same_kind
from hybrid_coordinator.cache.pair_rules import RULES, broken_rule
from hybrid_coordinator.cache.pair_stem import stem
from hybrid_coordinator.cache.pair_text import read

PASSED = """
How do I use five cores? | How do I use 5 cores?
What is the 2nd line? | What is the second line?
Who won World War 2? | Who won World War II?
How do I allocate 5GB? | How do I allocate five gigabytes?
Why can't I log in? | Why can I not log in?
What is `nginx`? | What is nginx?
What is "systemd"? | what is systemd
What is NixOS? | what is nixos
What is Kubernetes? | What is k8s?
Can I repair a Mac Book? | Can I repair a Macbook?
What is machine learning? | What is ML?
What does the CPU do? | What does the central processing unit do?
Who leads NixOS in São Paulo? | Who leads NixOS in Sao Paulo?
What is the difference between bash and zsh? | What is the difference between zsh and bash?
Is bash or zsh faster? | Which is faster, zsh or bash?
In Python, how do I sort a list? | How do I sort a list in Python?
How far is it from Paris to Rome? | How far is it from Rome to Paris?
How do I increase or decrease the limit? | How do I decrease or increase the limit?
What are the pros and cons of Nix? | What are the cons and pros of Nix?
What is the reason for a 502 error? | Why is there a 502 error?
How do I get the history of NixOS? | How do I get the NixOS history?
Was ist NixOS? | was ist nixos
How many files are open? | What is the number of open files?
"""


def pairs(table: str) -> list[tuple[str, str]]:
    lines = [line.split(" | ") for line in table.strip().splitlines()]
    return [(one, other) for one, other in lines]


@pytest.mark.parametrize(("one", "other"), pairs(PASSED))
def test_a_difference_that_does_not_change_the_answer_breaks_no_rule(one: str, other: str) -> None:
    assert broken_rule(read(one), read(other)) is None
    assert broken_rule(read(other), read(one)) is None


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_is_broken_by_a_question_and_itself(rule: str) -> None:
    for text in [text for pair in pairs(PASSED) for text in pair]:
        assert not RULES[rule](read(text), read(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("enable", "disable"),
        ("mount", "unmount"),
        ("include", "exclude"),
        ("careful", "careless"),
        ("employer", "employee"),
        ("overload", "underload"),
        ("synchronous", "asynchronous"),
        ("increase", "reduce"),
        ("enabling", "disabled"),
    ],
)
def test_opposites_are_known_by_list_and_by_form(one: str, other: str) -> None:
    assert are_opposites(stem(one), stem(other))
    assert are_opposites(stem(other), stem(one))


@pytest.mark.parametrize(
    ("one", "other"), [("open", "launch"), ("able", "table"), ("install", "setup"), ("up", "upon")]
)
def test_words_that_oppose_nothing_are_no_opposites(one: str, other: str) -> None:
    assert not are_opposites(stem(one), stem(other))


def test_members_of_one_kind_exclude_each_other_and_not_themselves() -> None:
    assert same_kind(stem("bash"), stem("zsh"))
    assert same_kind(stem("postgres"), stem("mysql"))
    assert not same_kind(stem("bash"), stem("bash"))
    assert not same_kind(stem("bash"), stem("mysql"))


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("What is NixOS?", "what exactly is the NixOS", True),
        ("How do I mount a disk?", "How can I mount disks?", True),
        ("How do I mount a disk?", "how to mount a disk", True),
        ("In Python, how do I sort a list?", "How can I sort a list in Python?", True),
        ("Compare bash and zsh", "Compare zsh and bash", True),
        ("What is a build?", "What is building?", False),
        ("How do I mount a disk?", "How should I mount a disk?", False),
        ("What is NixOS?", "What was NixOS?", False),
        ("What is NixOS?", "What does NixOS do?", False),
        ("Do men like women?", "Do women like men?", False),
        ("", "", True),
        ("", "What is NixOS?", False),
    ],
)
def test_wordings_of_one_question_are_told_from_others(one: str, other: str, alike: bool) -> None:
    assert are_alike(read(one), read(other)) is alike
    assert are_alike(read(other), read(one)) is alike
