"""What the labelled set for scrubbing is made of: texts, labels, and values that look real.

Every secret is put together at run time from a prefix and seeded chance, so
that no file of the repository holds one.
"""

from __future__ import annotations

import base64
import json
import random
import string
from typing import NamedTuple

from hybrid_coordinator.scrubbing import Kind

ALNUM = string.ascii_letters + string.digits
URL_SAFE = ALNUM + "-_"
HEX = "0123456789abcdef"


class Label(NamedTuple):
    """A value that has to be replaced, and as what."""

    kind: Kind
    value: str


class Sample(NamedTuple):
    """A text and the values in it that have to go; none for a negative."""

    text: str
    labels: tuple[Label, ...] = ()


def sample(kind: Kind, template: str, *values: str) -> Sample:
    """``{}`` stands for a value, ``{0}`` for a certain one."""
    text = template
    for at, value in enumerate(values):
        text = text.replace("{" + str(at) + "}", value)
    for value in values:
        text = text.replace("{}", value, 1)
    return Sample(text, tuple(Label(kind, value) for value in values))


class Fakes:
    """Values that look real, from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def chars(self, alphabet: str, length: int) -> str:
        """``length`` characters with a digit and a letter among them."""
        while True:
            value = "".join(self._random.choices(alphabet, k=length))
            if any(c.isdigit() for c in value) and any(c.isalpha() for c in value):
                return value

    def digits(self, length: int) -> str:
        return "".join(self._random.choices(string.digits, k=length))

    def jwt(self) -> str:
        def part(value: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

        body = {"sub": self.digits(10), "name": "J. Doe", "iat": 1_700_000_000}
        return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(body)}.{self.chars(URL_SAFE, 43)}"

    def card(self, prefix: str, length: int) -> str:
        """A number with Luhn's check digit."""
        body = prefix + self.digits(length - len(prefix) - 1)
        total = 0
        for at, digit in enumerate(reversed(body)):
            doubled = int(digit) * (2 if at % 2 == 0 else 1)
            total += doubled - 9 if doubled > 9 else doubled
        return body + str(-total % 10)

    def pem(self, name: str, lines: int) -> str:
        body = "\n".join(self.chars(ALNUM + "+/", 64) for _ in range(lines))
        return f"-----BEGIN {name}-----\n{body}\n{self.chars(ALNUM, 22)}==\n-----END {name}-----"
