"""The numbers of a question, however they are written: 5 GB, five, 5th, v1.10, 10k, II, $5.

A number is kept as a decimal string, so that version 3.1 is not 3.10. No arithmetic beyond
number words: 5 kg and 5,000 g are different here, which costs a hit and never an answer.
"""

from __future__ import annotations

from typing import NamedTuple

from hybrid_coordinator.cache.pair_words import (
    CURRENCY_SIGNS,
    MAGNITUDES,
    NUMBER_WORDS,
    QUANTITIES,
    ROMAN,
    UNITS,
)


class Quantity(NamedTuple):
    """A number and its unit (a unit's symbol, or "")."""

    value: str
    unit: str


_SUFFIXES = {"k": 10**3, "m": 10**6, "bn": 10**9}
_ORDINAL_ENDINGS = frozenset({"st", "nd", "rd", "th"})


def read_quantities(tokens: list[tuple[str, str]]) -> tuple[Quantity, ...]:
    """Every number in order; tokens are (kind, text) as ``pair_text`` makes them."""
    found: list[Quantity] = []
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        at += 1
        if kind == "number":
            sign = text[0] if text[0] in CURRENCY_SIGNS else ""
            value = _digits(text.lstrip(CURRENCY_SIGNS))
            unit = UNITS.get(sign, "")
        elif kind == "word":
            lower = text.lower()
            if lower in QUANTITIES:
                found.append(Quantity(QUANTITIES[lower], ""))
                continue
            if text in ROMAN:
                found.append(Quantity(str(ROMAN[text]), ""))
                continue
            if lower not in NUMBER_WORDS or lower == "one":
                if lower in MAGNITUDES and _word(tokens, at - 2) not in NUMBER_WORDS:
                    found.append(Quantity(str(MAGNITUDES[lower]), ""))
                continue
            value, unit = str(NUMBER_WORDS[lower]), ""
            following = _word(tokens, at)
            if value in _ROUND and following in NUMBER_WORDS and NUMBER_WORDS[following] < 10:
                value = str(int(value) + NUMBER_WORDS[following])
                at += 1
        else:
            continue
        following = _word(tokens, at)
        while following in MAGNITUDES or following in _SUFFIXES or following in _ORDINAL_ENDINGS:
            value = _times(value, MAGNITUDES.get(following) or _SUFFIXES.get(following, 1))
            at += 1
            following = _word(tokens, at)
        if not unit and following in UNITS:
            decade = following == "s" and len(value) == 4  # the 1990s are not seconds
            unit = "" if decade else UNITS[following]
            at += 1
        found.append(Quantity(value, unit))
    return tuple(found)


_ROUND = frozenset(str(n) for n in range(20, 100, 10))


def _word(tokens: list[tuple[str, str]], at: int) -> str:
    """The token at ``at`` in lower case if it is a word or a sign, else nothing."""
    if 0 <= at < len(tokens) and tokens[at][0] in ("word", "sign"):
        return tokens[at][1].lower()
    return ""


def _digits(text: str) -> str:
    """Digits without thousands separators and leading zeros; a version stays as it is."""
    parts = text.split(",")
    if len(parts) > 1 and all(len(part) == 3 for part in parts[1:-1]) and len(parts[-1]) >= 2:
        text = "".join(parts)  # 1,000 and 1,00,000 alike
    return text.lstrip("0") or "0"


def _times(value: str, factor: int) -> str:
    try:
        number = float(value) * factor
    except ValueError:  # a version such as 1.2.3, which nothing multiplies
        return value if factor == 1 else f"{value}×{factor}"
    if factor == 1:
        return value
    return str(int(number)) if number.is_integer() else str(number)
