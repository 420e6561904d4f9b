"""Scrubbing takes time in proportion to a text's length, whatever the text is made of."""

from __future__ import annotations

import time

import pytest

from tests.benchmarks.scrubbing import code, prose
from tests.unit.scrubbing.scrubbing_parts import EVERYTHING, scrubber

ADVERSARIAL = [
    *("a", "0", "9 ", "1-", "(1", "+1 ", "030 12345 ", "4111 1111 ", "@", "a@", "a@b."),
    *("eyJ", "eyJ-", "eyJ.", "eyJa.", "sk-", " sk-", "sk-a1", "AC", "SK0", "xoxb-1-", "hf_"),
    *("key", "key=", "api_key=", 'api_key="', "password=", "token ", "secret is ", 'pass"\\"'),
    *(
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----\n",
        "PRIVATE KEY",
        "://",
        "://a:",
    ),
    *("AAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY", "PuTTY-User-Key-File-2: a\n"),
    *(":", "1:", "a::", "fe80::1 ", "aws key '", "ibm_api_key=", "cloudant", "12345678:AA"),
    *(
        "bearer ",
        "basic a:",
        "discord MMMMMMMMMMMMMMMMMMMMMMMM",
        "[EMAIL_",
        "\\",
        '"',
        "auth=('a',",
    ),
    *("password" + " " * 40, "AKCaaaaaaaaaaaaa ", "glagent-", "-us", "İ", "\ud800", "curl -u a:"),
]


def processor_seconds(text: str, repetitions: int = 2) -> float:
    """The least processor time of this thread over some repetitions."""
    scrub = scrubber().scrub
    took = []
    for _ in range(repetitions):
        started = time.thread_time()
        scrub(text)
        took.append(time.thread_time() - started)
    return min(took)


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_a_text_made_to_be_slow_takes_time_in_proportion_to_its_length(unit: str) -> None:
    short, long = 8_000, 64_000
    one = processor_seconds((unit * short)[:short])
    eight = processor_seconds((unit * long)[:long])
    # Eight times the length: squared growth would be 64 times the time.
    assert eight <= 24 * one + 0.02
    assert eight < 5.0


def test_five_megabytes_take_no_more_than_in_proportion() -> None:
    text = (prose() + code() + EVERYTHING) * 40
    short, long = text[:625_000], text[:5_000_000]
    assert len(long) == 5_000_000
    assert processor_seconds(long, 1) <= 16 * processor_seconds(short) + 0.1


def test_four_kilobytes_of_prose_take_milliseconds_at_most() -> None:
    """The aim is a millisecond; the bound leaves room for a machine under load."""
    assert processor_seconds(prose()[:4_096], 20) < 0.005
