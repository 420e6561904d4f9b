"""Whether a text in a credential's place is one, or code, a stand-in, or a word of prose.

Pure rules over the value; where it was found is a ``Place``. Some are
detect-secrets' own heuristics, as functions of the value alone.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from detect_secrets.filters.heuristic import (
    is_not_alphanumeric_string,
    is_potential_uuid,
    is_sequential_string,
    is_templated_secret,
)


class Place(Enum):
    """What leads to a value."""

    URL = auto()
    ENVIRONMENT = auto()
    """``NAME=value`` as in environment files."""
    QUOTED = auto()
    """A string literal that is given to a name."""
    HEADER = auto()
    """After an authentication scheme."""
    LOOSE = auto()
    """Without quotes, in prose, or an argument: it has to look like a secret by itself."""


_SHORTEST = {"pass": 6, "token": 12}
_SHORTEST_OTHER = 8
_TELLING = 48
"""So much of a value tells whether it stands for another: bounds the time for long ones."""

_STAND_IN = re.compile(
    r"""
      your[-_ ]?\w | \bmy[-_ ]?(?:pass|key|token|secret|api) | (?:\b|_)(?:example|sample|dummy|fake|
      mock|placeholder|redacted|removed|hidden|masked|insert|todo|tbd|fixme|foo|bar|foobar|goes|here|
      none|null|nil|undefined|true|false|required|optional|string|value|changeme|change|replace|
      enter|some|test|empty|default|not)(?:\b|_) | x{4,} | \*{3} | \.{3} | …
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PASSWORD_WORD = re.compile(r"(?:pass|pwd|secret|token|key|credential|auth)", re.IGNORECASE)
_ALGORITHM = re.compile(
    r"(?:base|sha|md|utf|oauth|argon|aes|rsa|ed|hs|rs|es|ps|pbkdf|hmac|hmac-sha|blake|ecdsa|ipv|http|"
    r"v|int|uint|float|varchar|char|str|arg|step|page|line|top|item|node|level|day|week|part)"
    r"[-_]?\d{1,5}(?:[-_./:][\w.()-]*|[a-z]{1,2})?",
    re.IGNORECASE,
)
_QUANTITY = re.compile(
    r"[-+~]?\d[\d.,:/_-]*(?:[-_ ]?(?:[kKMGTP]?i?[bB](?:it|yte)?s?|[munkKM]?s|[kM]?Hz|min|hr?|d|px|"
    r"r?em|x|%|chars?|characters?|bits?|seconds?|minutes?|hours?|days?|weeks?|months?|years?|digits?|"
    r"words?|letters?|tokens?|times?|st|nd|rd|th))?(?:/[a-zA-Z]{1,8})?"
)
_DOTTED = re.compile(
    r"[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)+(?:\(.*|\[.*|!|\?)?", re.DOTALL
)
_CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_WORDS = re.compile(r"[A-Za-z]+(?:[-_][A-Za-z]+)*")
# 40 characters of base64 (AWS IAM, "Manage access keys"): some begin like a path.
_AWS_SECRET = re.compile(r"(?=.*[A-Z])(?=.*\d)[A-Za-z0-9/+]{40}")
_SYMBOL = re.compile(r"[!@#$%^&*+?~]")
_CODE = re.compile(r"[()\[\]{}|\\]")
_SPACE = re.compile(r"\s")
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_VARIABLE = re.compile(
    r"%s\b|%\(|\A\$[A-Za-z_]|\$[{(]|\{\{|%[A-Z_]{3,}%|@\{|#\{|\{[a-z_]*\}|<[^>]*>|!Ref\b|\bENC\["
)


def credible(value: str, place: Place, name: str) -> bool:
    """Whether ``value`` is to be taken for a credential.

    ``name`` is the root of the name it belongs to: "pass" for the passwords,
    else "token", "key", "secret" or "credential".
    """
    beginning = value[:_TELLING]
    if place is Place.URL:
        return not (_stands_in(beginning) or _generic(value))
    if len(value) < (4 if place is Place.ENVIRONMENT else _SHORTEST.get(name, _SHORTEST_OTHER)):
        return False
    if is_templated_secret(value) or _stands_in(beginning):
        return False
    if is_not_alphanumeric_string(value) and not (name == "pass" and place is not Place.LOOSE):
        return False
    if (
        "://" in value
        or (value.startswith(("/", ".", "~", "arn:")) and not _AWS_SECRET.fullmatch(value))
        or _SPACE.search(value)
    ):
        return False
    if is_sequential_string(value) and not value.isdigit():
        return False
    if is_potential_uuid(beginning) and name not in ("key", "secret", "token"):
        return False
    if _DOTTED.fullmatch(value) or _CONSTANT.fullmatch(value) or _ALGORITHM.fullmatch(value):
        return False
    if place is Place.ENVIRONMENT:
        return len(value) >= 6 and name == "pass" if value.isdigit() else not _generic(value)
    if place is Place.HEADER:
        return _mixed(value)
    if place is Place.QUOTED:
        return _fits_quoted(value, name)
    return _fits_loose(value)


def _stands_in(value: str) -> bool:
    return bool(_VARIABLE.search(value) or _STAND_IN.search(value))


def _fits_quoted(value: str, name: str) -> bool:
    if _generic(value):
        return False
    if _WORDS.fullmatch(value):
        # One word in lower case may be a password; a token is no word, a label has a capital.
        if name == "pass":
            return value.islower() and value.isalpha()
        return len(value) >= 16 and not value.islower() and value.isalpha()
    return name == "pass" or _mixed(value)


def _fits_loose(value: str) -> bool:
    if _generic(value) or _CODE.search(value) or _QUANTITY.fullmatch(value):
        return False
    if value.count("/") > 1 and not any(c in "+=" for c in value):
        return False
    return _mixed(value) or bool(
        _SYMBOL.search(value) and _LETTER.search(value) and "=" not in value
    )


def _generic(value: str) -> bool:
    """Whether it names a credential instead of being one: ``db_password``, ``token2``."""
    return bool(_PASSWORD_WORD.search(value)) and bool(
        re.fullmatch(r"[\[\]A-Za-z_.-]+\d?=*", value)
    )


def _mixed(value: str) -> bool:
    return bool(_DIGIT.search(value) and _LETTER.search(value))
