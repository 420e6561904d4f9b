"""What a scrubber does with what is found: placeholders, counts, switches, values, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.learning_settings import ScrubSettings
from hybrid_coordinator.scrubbing import Kind, tokens
from hybrid_coordinator.scrubbing.kinds import Found
from hybrid_coordinator.scrubbing.placeholders import PLACEHOLDER, placeholder
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.scrubbing.scrubbing_parts import (
    EMAIL,
    EVERYTHING,
    KEY,
    PASSWORD,
    PHONE,
    TOKEN,
    VALUE_OF,
    count,
    scrubber,
)

FRAGMENTS = st.sampled_from(
    [
        *VALUE_OF.values(),
        *(
            "password",
            "token",
            "api_key",
            "secret",
            "key",
            "Bearer ",
            "://",
            "@",
            ":",
            "=",
            '"',
            "'",
        ),
        *(" ", "\n", "is ", "[EMAIL_", "]", "[EMAIL_0123456789ab]", "-----BEGIN ", "PRIVATE KEY"),
        *("-----", "eyJ", ".", "sk-", "1", "00", "+", "(", ")", "-", "/", "::", "fe80::1", "\\n"),
        *("Abc123xyz", "curl -u a:", "İ", "\ud800", "é", "aws", "discord ", "AC", "{", "}", "$"),
    ]
)
TEXTS = st.one_of(
    st.lists(FRAGMENTS, max_size=30).map("".join),
    st.text(st.characters(exclude_categories=()), max_size=200),
    st.lists(st.one_of(FRAGMENTS, st.text(max_size=6)), max_size=30).map("".join),
)


def test_each_kind_is_replaced_by_a_placeholder_that_names_it() -> None:
    scrubbed = scrubber().scrub(EVERYTHING)
    for kind, value in VALUE_OF.items():
        assert value not in scrubbed
        assert f"[{kind.upper()}_" in scrubbed
    assert PLACEHOLDER.sub("…", scrubbed) == (
        'Hello, I am …, call …. My card is ….\npassword: "…"\nGITHUB_TOKEN=…\n…\nssh root@…\n'
    )


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    scrub = scrubber().scrub
    once = scrub(text)
    assert scrub(once) == once


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_the_same_text_is_scrubbed_to_the_same_by_another_scrubber(text: str) -> None:
    assert scrubber().scrub(text) == scrubber().scrub(text)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(categories=["L", "Zs"]), max_size=300))
def test_letters_and_spaces_alone_are_never_changed(text: str) -> None:
    assert scrubber().scrub(text) == text


def test_plain_prose_stays_byte_for_byte() -> None:
    text = (
        "Naïve café — “quoted” text, 3 tabs\t\t\t, CRLF\r\n, a nul \x00 and an emoji 🎉.\n"
        "The password has to be 12 characters long; a token is about 4 of them.\n"
    )
    assert scrubber().scrub(text) == text


def test_two_mentions_of_one_value_are_one_placeholder_and_two_values_are_two() -> None:
    other = "john" + "@" + "acme.io"
    scrubbed = scrubber().scrub(f"{EMAIL} wrote to {other}; {EMAIL.upper()} did")
    first, second, third = PLACEHOLDER.findall(scrubbed)
    assert first == third != second


def test_one_phone_number_written_in_two_ways_is_one_placeholder() -> None:
    scrubbed = scrubber().scrub(f"call {PHONE} or (212) 555-0123")
    assert len(set(PLACEHOLDER.findall(scrubbed))) == 1
    assert len(PLACEHOLDER.findall(scrubbed)) == 2


def test_another_key_gives_other_placeholders() -> None:
    one, other = scrubber().scrub(EVERYTHING), scrubber(key=b"o" * 32).scrub(EVERYTHING)
    assert not set(PLACEHOLDER.findall(one)) & set(PLACEHOLDER.findall(other))
    assert PLACEHOLDER.split(one) == PLACEHOLDER.split(other)


def test_a_placeholder_is_a_keyed_digest_of_kind_and_value() -> None:
    assert placeholder(Kind.EMAIL, "a", KEY) != placeholder(Kind.PHONE, "a", KEY)
    assert placeholder(Kind.EMAIL, "a", KEY) != placeholder(Kind.EMAIL, "b", KEY)
    assert PLACEHOLDER.fullmatch(placeholder(Kind.IP_ADDRESS, "\ud800", KEY))


@pytest.mark.parametrize("key", [b"", b"x" * 65])
def test_a_key_of_an_impossible_length_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        scrubber(key=key)


def test_a_password_that_one_sentence_gives_away_is_replaced_where_it_stands_alone() -> None:
    scrubbed = scrubber().scrub(f"My password is {PASSWORD}. Is {PASSWORD} strong enough?")
    assert PASSWORD not in scrubbed
    assert len(set(PLACEHOLDER.findall(scrubbed))) == 1


def test_a_password_given_away_in_the_question_is_replaced_in_the_answer() -> None:
    value = {"query": f"password: {PASSWORD}", "response": f"{PASSWORD} is weak", "n": [1, None]}
    scrubbed = scrubber().scrub_value(value)
    assert PASSWORD not in str(scrubbed)
    assert scrubber().scrub(f"{PASSWORD} is weak") == f"{PASSWORD} is weak"


def test_a_password_that_is_a_common_word_is_not_looked_for_elsewhere() -> None:
    scrubbed = scrubber().scrub("POSTGRES_PASSWORD=postgres\nimage: postgres\n")
    assert scrubbed.endswith("\nimage: postgres\n")
    assert "PASSWORD=[CREDENTIAL_" in scrubbed


def test_values_keep_their_shape_and_dictionaries_their_keys() -> None:
    value: dict[str, Any] = {EMAIL: [EMAIL, 1, 2.5, True, None, {"x": (TOKEN, "plain")}], "n": 41}
    scrubbed = scrubber().scrub_value(value)
    email, *others, inner = scrubbed[EMAIL]
    assert PLACEHOLDER.fullmatch(email)
    assert others == [1, 2.5, True, None]
    assert PLACEHOLDER.fullmatch(inner["x"][0])
    assert inner["x"][1] == "plain"
    assert scrubbed == {EMAIL: [email, *others, {"x": (inner["x"][0], "plain")}], "n": 41}
    assert value[EMAIL][0] == EMAIL


def test_every_replacement_is_counted_by_kind_and_a_second_scrubbing_counts_nothing() -> None:
    metrics = Metrics()
    made = scrubber(metrics=metrics)
    once = made.scrub(f"{EVERYTHING}\n{EMAIL}")
    before = {kind: count(metrics, kind) for kind in Kind}
    assert before == {kind: (2.0 if kind is Kind.EMAIL else 1.0) for kind in Kind}
    made.scrub(once)
    assert {kind: count(metrics, kind) for kind in Kind} == before


@pytest.mark.parametrize(
    ("switch", "kinds"),
    [
        ("secrets", {Kind.PRIVATE_KEY, Kind.API_KEY, Kind.CREDENTIAL}),
        ("emails", {Kind.EMAIL}),
        ("phones", {Kind.PHONE}),
        ("cards", {Kind.CARD}),
        ("ip_addresses", {Kind.IP_ADDRESS}),
    ],
)
def test_each_switch_leaves_its_kinds_and_no_others(switch: str, kinds: set[Kind]) -> None:
    chosen = ScrubSettings(ip_addresses=True).model_copy(update={switch: False})
    scrubbed = scrubber(chosen).scrub(EVERYTHING)
    assert {kind for kind, value in VALUE_OF.items() if value in scrubbed} == kinds


def test_switched_off_it_changes_and_counts_nothing() -> None:
    metrics = Metrics()
    off = scrubber(ScrubSettings(enable=False), metrics=metrics)
    assert off.scrub(EVERYTHING) == EVERYTHING
    assert off.scrub_value([EVERYTHING]) == [EVERYTHING]
    assert all(count(metrics, kind) == 0 for kind in Kind)


def test_ip_addresses_stay_unless_they_are_asked_for() -> None:
    assert VALUE_OF[Kind.IP_ADDRESS] in scrubber(ScrubSettings()).scrub(EVERYTHING)


def test_numbers_without_a_country_code_are_of_the_regions_that_are_set() -> None:
    text = "Telefon 089/1234567, call (212) 555-0123"
    german = scrubber(ScrubSettings(regions=("DE",))).scrub(text)
    american = scrubber(ScrubSettings(regions=("US",))).scrub(text)
    assert "089" not in german
    assert "(212) 555-0123" in german
    assert "089/1234567" in american
    assert "(212)" not in american


def test_a_piece_in_which_every_round_finds_something_is_replaced_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: list[str] = []

    def the_last_letter(text: str, folded: str) -> Iterator[Found]:
        searched.append(text)
        yield Found(len(text) - 1, len(text), Kind.API_KEY, text[-1])

    monkeypatch.setattr(tokens, "find", the_last_letter)
    scrubbed = scrubber().scrub("x" * 1_000)
    assert len(searched) == 13
    assert PLACEHOLDER.sub("", scrubbed) == ""
    assert scrubber().scrub(scrubbed) == scrubbed


def test_lone_surrogates_are_scrubbed_around_and_kept() -> None:
    scrubbed = scrubber().scrub(f"\ud83d {EMAIL} \udc00 password='\ud800{PASSWORD}'")
    assert scrubbed.startswith("\ud83d [EMAIL_")
    assert " \udc00 " in scrubbed
    assert PASSWORD not in scrubbed


def test_a_text_whose_lower_case_is_longer_is_cut_in_the_right_places() -> None:
    scrubbed = scrubber().scrub(f"İİİİ password={PASSWORD} İİ")
    assert PLACEHOLDER.sub("…", scrubbed) == "İİİİ password=… İİ"


def test_many_threads_get_what_one_gets_and_lose_no_count() -> None:
    metrics = Metrics()
    shared = scrubber(metrics=metrics)
    expected = scrubber().scrub(EVERYTHING)
    together = threading.Barrier(8)

    def work(_: int) -> set[str]:
        together.wait()
        return {shared.scrub(EVERYTHING) for _ in range(20)}

    with ThreadPoolExecutor(8) as pool:
        results = set().union(*pool.map(work, range(8)))
    assert results == {expected}
    assert count(metrics, Kind.EMAIL) == 8 * 20
