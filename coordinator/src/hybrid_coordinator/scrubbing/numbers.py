"""Finds phone and payment card numbers among the many other numbers of a text.

A phone number is what the ``phonenumbers`` library (Google's libphonenumber)
takes for valid and whose surroundings do not say that it is something else. A
card number has a length and a beginning that its issuer uses (ISO/IEC 7812-1,
the networks' published ranges) and the check digit of Luhn's formula (there,
annex B).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import phonenumbers

from hybrid_coordinator.scrubbing.kinds import Found, Kind

_CARD = re.compile(r"(?<![\w./+-])\d(?:[ -]?\d){11,18}(?![\w/+=]|[.-]\w)")
_GROUPS = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1), (6, 13)}
_ISSUERS = (
    # Beginnings as a range of their first digits, and the lengths.
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),  # American Express
    ("6011", "6011", (16, 17, 18, 19)),  # Discover
    ("644", "659", (16, 17, 18, 19)),  # Discover
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("300", "305", (14, 16)),  # Diners Club
    ("36", "36", (14, 16)),  # Diners Club
    ("38", "39", (14, 16)),  # Diners Club
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("5018", "5018", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5020", "5020", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("5038", "5038", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6304", "6304", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6759", "6763", (12, 13, 14, 15, 16, 17, 18, 19)),
)


def find_cards(text: str) -> Iterator[Found]:
    """Payment card numbers; spaces and dashes between the digits do not change the identity."""
    for match in _CARD.finditer(text):
        written = match.group()
        groups = re.split(r"[ -]", written)
        digits = "".join(groups)
        if len(groups) > 1 and tuple(map(len, groups)) not in _GROUPS:
            continue
        if _issued(digits) and _luhn(digits) and len(set(digits)) > 1:
            yield Found(match.start(), match.end(), Kind.CARD, digits)


def _issued(digits: str) -> bool:
    return any(
        first <= digits[: len(first)] <= last and len(digits) in lengths
        for first, last, lengths in _ISSUERS
    )


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(int(d) for d in digits[-1::-2]) + sum(doubled)) % 10 == 0


_SEPARATOR = r"(?:[ ]?[(/.-][ ]?|\)[ ]?[-/]?|[ ])?"
_PHONE = re.compile(
    rf"(?<![\w.,/+#-])(?:\+[ ]?|\(\+?)?\d{_SEPARATOR}(?:\d{_SEPARATOR}){{5,14}}\d"
    r"(?![\w/]|[.,:-]\d)"
)
_SHORTEST_PHONE = 7
_CALLED = re.compile(
    r"(?:\btel(?:[.:]|\b|e)|phone|\bcall|mobile|\bcell|\bfax|\bsms|whatsapp|signal|\bhandy|telefon|\bring\b|\bdial|\btext|"
    r"hotline|contact|reach (?:me|us)|number)[^\n\d]{0,24}\Z",
    re.IGNORECASE,
)
_OTHERWISE = re.compile(
    r"(?:\b(?:order|invoice|ticket|ref|reference|id|isbn|issn|doi|case|account|acct|iban|serial|part|"
    r"sku|tracking|version|build|commit|port|pid|bug|issue|zip|tax|vat|ssn|request|article|"
    r"item|lot|batch|pages?|pp|bytes|offset|range|coordinates|lat|lon|timestamp|rfc|error|code|hex|sum|"
    r"total|size|price|date)|_id|[#№$€£=]|\d:)[^\n\d]{0,12}\Z",
    re.IGNORECASE,
)
_OTHER_NUMBER = re.compile(
    r"(?:19|20)\d\d[ ./-][01]?\d[ ./-][0-3]?\d|[0-3]?\d[./-][0-3]?\d[./-](?:19|20)\d\d|"
    r".*[ ](?:-\d|(?:19|20)\d\d-)|"
    r"(?=.*[.])(?!\(?\d{2,}[.)][ ]?(?:\d{2,}[.])+\d{2,}\Z)|\d{1,3}(?:[.]\d{1,3}){3}\Z"
)
"""Dates, negative numbers in a row, IP addresses, and points that do not separate groups."""
_PAIR = re.compile(r"\d+-\d+\Z")
"""A range, a postal code with a suffix, a standard with its year: or a number after "call"."""


# Without a country code: as North America writes it, or with the digit of long-distance calls.
_NORTH_AMERICAN = re.compile(
    r"(?:1[ .-]?)?(?:\([2-9]\d\d\)[ -]?|[2-9]\d\d[ ]?[ ./-][ ]?)[2-9]\d\d[ .-]\d{4}\Z"
)
_TRUNK = re.compile(r"\(?0(?:0[1-9]|[1-9])")
_MAX_SHORTENED = 3


class PhoneFinder:
    """Finds phone numbers; those without a country code are of one of ``regions``."""

    def __init__(self, regions: Sequence[str]) -> None:
        """``regions`` are country codes of ISO 3166-1, two letters each."""
        self._all = tuple(regions)
        codes = {r: phonenumbers.country_code_for_region(r) for r in regions}
        self._north_american = tuple(r for r in regions if codes[r] == 1)
        self._others = tuple(r for r in regions if codes[r] != 1)
        self._without_trunk = tuple(
            r for r in self._others if not phonenumbers.ndd_prefix_for_region(r, True)
        )

    def find(self, text: str) -> Iterator[Found]:
        """Phone numbers; one number has one identity, however it is written."""
        for match in _PHONE.finditer(text):
            written = match.group()
            start = match.start()
            regions: tuple[str | None, ...] = (None,)
            if "+" not in written[:2]:
                called = _CALLED.search(text, max(start - 40, 0), start) is not None
                regions = self._regions_of(written, called)
                if not regions or _OTHER_NUMBER.match(written):
                    continue
                if _OTHERWISE.search(text, max(start - 32, 0), start):
                    continue
            if number := _first_number(written, regions):
                length, identity = number
                yield Found(start, start + length, Kind.PHONE, identity)

    def _regions_of(self, written: str, called: bool) -> tuple[str, ...]:
        """Where a number so written can be from; nowhere where it is none by its looks."""
        if not called and (written.isdigit() or _PAIR.match(written)):
            return ()
        if _NORTH_AMERICAN.match(written):
            return self._north_american
        if _TRUNK.match(written):
            return self._others
        return self._all if called else self._without_trunk


def _first_number(written: str, regions: Sequence[str | None]) -> tuple[int, str] | None:
    """The length of the number that a candidate begins with, and its form of ITU-T E.164.

    A candidate may run on into a second number after a space.
    """
    for _ in range(_MAX_SHORTENED):
        for region in regions:
            try:
                number = phonenumbers.parse(written, region)
            except phonenumbers.NumberParseException:
                continue
            # The length alone is quickly told, and settles most.
            if phonenumbers.is_possible_number(number) and phonenumbers.is_valid_number(number):
                form = phonenumbers.PhoneNumberFormat.E164
                return len(written), str(phonenumbers.format_number(number, form))
        written = written.rpartition(" ")[0].rstrip(" (/.-")
        if len(written) < _SHORTEST_PHONE:
            break
    return None
