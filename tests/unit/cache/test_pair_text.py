"""How a question is read."""

from __future__ import annotations

import pytest

from hybrid_coordinator.cache.pair_numbers import Quantity
from hybrid_coordinator.cache.pair_stem import fold, stem
from hybrid_coordinator.cache.pair_text import read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("what's nixos", "what is nixos"),
        ("What’s NixOS???", "what is nixos"),
        ("Hi, could you please tell me what NixOS is? Thanks!", "what nixos is"),
        ("I'd like to know how flakes work", "how flakes work"),
        ("Do you know how flakes work?", "how flakes work"),
        ("Do you know Python?", "do you know python"),
        ("Why can't it build?", "why can not it build"),
        ("Why wont it build", "why will not it build"),
        ("Is the U.S. on IPv6 or not?", "is the usa on ipv 6"),
        ("What is k8s?", "what is kubernetes"),
        ("Where is Anna's file?", "where is anna file"),
        ("What is C++?", "what is c++"),
        ("please", "please"),
        ("", ""),
    ],
)
def test_contractions_politeness_and_punctuation_do_not_matter(text: str, words: str) -> None:
    assert " ".join(read(text).words) == words


@pytest.mark.parametrize(
    ("text", "quantities"),
    [
        ("5 GB", [("5", "gb")]),
        ("5GB", [("5", "gb")]),
        ("five gigabytes", [("5", "gb")]),
        ("$20k", [("20000", "usd")]),
        ("20,000 dollars", [("20000", "usd")]),
        ("two hundred", [("200", "")]),
        ("twenty-five", [("25", "")]),
        ("the 3rd and the third", [("3", ""), ("3", "")]),
        ("v1.10 and 1.1", [("1.10", ""), ("1.1", "")]),
        ("1.2.3 million", [("1.2.3×1000000", "")]),
        ("World War II", [("2", "")]),
        ("in the 1990s", [("1990", "")]),
        ("for 10s", [("10", "s")]),
        ("python3", [("3", "")]),
        ("007", [("7", "")]),
        ("2.5 million", [("2500000", "")]),
        ("millions of rows", [("1000000", "")]),
        ("half a day", [("1/2", "")]),
        ("How does one do it?", []),
        ("50%", [("50", "percent")]),
    ],
)
def test_numbers_are_read_however_they_are_written(
    text: str, quantities: list[tuple[str, str]]
) -> None:
    assert read(text).quantities == tuple(Quantity(*q) for q in quantities)


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("What does `ls -l` do?", {"ls -l"}),
        ("What does get_name do?", {"get_name"}),
        ("What does getName do?", {"getName"}),
        ("What does os.path.join() do?", {"os.path.join"}),
        ("Edit /etc/nix/nix.conf, please.", {"/etc/nix/nix.conf"}),
        ("See https://nixos.org/manual.", {"https://nixos.org/manual"}),
        ("Mail root@example.org!", {"root@example.org"}),
        ("What does --dry-run do?", {"--dry-run"}),
        ('What is "bus error"?', {"bus error"}),
        ("What is “bus error”?", {"bus error"}),
        ("What is 'bus error'?", {"bus error"}),
        ("What is $HOME?", {"$HOME"}),
        ("Isn't it Anna's?", set()),
        ("Is a well-known tool good and/or fast? Yes.", set()),
        ("What is NixOS?", set()),
    ],
)
def test_identifiers_paths_addresses_code_and_quotations_are_found(
    text: str, literals: set[str]
) -> None:
    assert read(text).literals == literals


def test_operators_are_kept_in_order_and_punctuation_is_none() -> None:
    assert read("Is a == b && c != d -> e?").operators == ("==", "&&", "!=", "->")
    assert read("Really?! Well... yes -- no!!").operators == ()


def test_names_are_capitalised_words_inside_a_sentence() -> None:
    question = read("Does Anna live in São Paulo? Docker is what I use.")
    assert question.names == {"anna", "sao", "paulo"}
    assert read("How Do I Learn Machine Learning Today?").names == frozenset()
    assert read("WHAT IS THE CAPITAL OF PERU?").names == frozenset()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("How do I?", "how"),
        ("How many are there?", "how many"),
        ("How come it fails?", "why"),
        ("What is the reason it fails?", "why"),
        ("In what year did it fail?", "when"),
        ("What is the best way to build?", "how"),
        ("What is the number of rows?", "how many"),
        ("Whose is it?", "who"),
        ("Can it fail?", "yes/no"),
        ("dark mode", "none"),
    ],
)
def test_the_kind_of_question_is_what_decides_the_answer(text: str, kind: str) -> None:
    assert read(text).kind == kind


@pytest.mark.parametrize(
    ("text", "language", "script"),
    [
        ("What is NixOS?", "en", "latin"),
        ("What does λ mean?", "en", "latin"),
        ("NixOS", "en", "latin"),
        ("Was ist NixOS?", "de", "latin"),
        ("Pourquoi est-ce que le serveur ne répond pas ?", "fr", "latin"),
        ("¿Cómo se instala el paquete?", "es", "latin"),
        ("Что такое NixOS?", "en", "cyrillic"),
    ],
)
def test_another_language_or_alphabet_is_noticed(text: str, language: str, script: str) -> None:
    question = read(text)
    assert (question.language, question.script) == (language, script)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("installs", "installing"),
        ("installed", "install"),
        ("running", "runs"),
        ("cities", "city"),
        ("classes", "class"),
        ("databases", "database"),
        ("wrote", "writing"),
        ("repo", "repository"),
        ("colour", "colors"),
        ("making", "make"),
    ],
)
def test_inflections_and_spellings_have_one_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("import", "important"),
        ("http", "https"),
        ("window", "windows"),
        ("universe", "university"),
        ("string", "str"),
        ("process", "proceed"),
        ("us", "use"),
    ],
)
def test_different_words_keep_different_stems(one: str, other: str) -> None:
    assert stem(one) != stem(other)


def test_accents_and_case_fold_away() -> None:
    assert fold("São") == "sao"
    assert fold("STRASSE") == fold("Straße")
