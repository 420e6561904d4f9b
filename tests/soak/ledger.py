"""What the service promised during a run, and how a stored interaction is compared with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_VERBS: Final = ("open", "close", "paint", "sharpen", "measure", "repair", "carry", "weigh")
_THINGS: Final = ("lantern", "kettle", "ladder", "barrel", "compass", "saddle", "anvil", "bell")

MOST_NAMED: Final = 20
"""Violations that a summary writes out."""


def question(number: int) -> str:
    """A question for each number; in words, since figures could look like a secret or a phone."""
    spelled = " ".join(_DIGITS[int(digit)] for digit in str(number))
    verb, thing = _VERBS[number % 8], _THINGS[number // 8 % 8]
    return f"How do I {verb} the {thing} of house {spelled}?"


@dataclass(slots=True)
class Promise:
    """One acknowledged interaction. ``response`` is None where the service made it itself."""

    id: str
    query: str
    response: str | None
    outcome: str | None = None
    user_feedback: int | None = None

    def difference(self, payload: Mapping[str, Any]) -> str | None:
        """How a stored interaction is not what was promised; None where it is."""
        expected: dict[str, Any] = {"query": self.query, "outcome": self.outcome or "unknown"}
        if self.response is not None:
            expected["response"] = self.response
        if self.user_feedback is not None:
            expected["user_feedback"] = self.user_feedback
            expected["feedback_given"] = True
        for name, value in expected.items():
            if payload.get(name) != value:
                return f"{self.id}: {name} is {payload.get(name)!r}, promised was {value!r}"
        return None


@dataclass
class Ledger:
    """All that was promised; ``broken`` are sentences, ``counted`` is for the summary."""

    promises: dict[str, Promise] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _number: int = 0

    def next_question(self) -> str:
        """One that was not asked before."""
        self._number += 1
        return question(self._number)

    def keep(self, promise: Promise) -> None:
        """The service acknowledged an interaction."""
        self.promises[promise.id] = promise
        self.counted["interactions acknowledged"] += 1

    def breach(self, sentence: str) -> None:
        """Something is not as it was promised."""
        self.broken.append(sentence)

    def compare(self, promise: Promise, payload: Mapping[str, Any], where: str) -> None:
        """Note a breach where a stored interaction is not what was promised."""
        difference = promise.difference(payload)
        if difference is not None:
            self.breach(f"{where}: {difference}")

    def summary(self) -> str:
        """The counts, and the first breaches."""
        lines = [f"{count:>9,}  {what}" for what, count in sorted(self.counted.items())]
        lines.append(f"{len(self.broken):>9,}  promises broken")
        lines += [f"           {sentence}" for sentence in self.broken[:MOST_NAMED]]
        return "\n".join(lines)
