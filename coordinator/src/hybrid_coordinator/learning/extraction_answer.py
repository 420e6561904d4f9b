"""Whether a model's answer names a pattern: whole JSON of the schema, and lines that exist.

Also what makes a text look like an injection: a pattern is made of an
interaction's own words (see ``extraction_prompt``), so those are what must
be harmless. Pure functions; what becomes of a pattern is in ``patterns``. A
rejection says why in words that name no content, since it is shown and logged.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import orjson

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.knowledge.defusing import defuse
from hybrid_coordinator.learning.extraction_prompt import (
    MAX_STEPS,
    MAX_TITLE,
    Excerpt,
    Kind,
    Piece,
    error_type,
    shortened,
    visible,
)

_LONGEST: Final = 8_192
"""Characters of an answer that are looked at; the schema allows a fraction."""
_FENCED: Final = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)
# Seen through case, compatibility forms and line breaks. Each is a way to give orders to whoever
# reads the text, or to make it carry data away; a false alarm costs one pattern.
_INJECTIONS: Final = {
    "it tells the reader to ignore instructions": re.compile(
        r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,60}"
        r"\b(?:instruction|prompt|rule|guideline|direction|polic|safety|restriction)"
    ),
    "it gives the reader another role": re.compile(
        r"\byou are now\b|\bfrom now on\b|\bact as (?:if|though|an? (?:un|jail|dan))"
        r"|\bpretend (?:to be|that you|you)\b|\bnew (?:system )?(?:instruction|prompt)s?\b"
        r"|\b(?:developer|jailbreak|god|dan) mode\b"
    ),
    "it asks for the prompt or the conversation": re.compile(
        r"\b(?:reveal|print|repeat|output|show|leak|send|disclose|exfiltrate|summari[sz]e)\b.{0,40}"
        r"\b(?:system prompt|(?:your|these|the above|hidden) (?:instruction|prompt)s?"
        r"|chat history|(?:this|the|our) conversation)\b"
    ),
    "it sends secrets away": re.compile(
        r"\b(?:send|post|upload|forward|transmit|copy)\b.{0,80}"
        r"\b(?:api key|key|password|secret|token|credential|cookie|conversation|history)s?\b"
        r".{0,80}https?://"
    ),
    "it steers later answers": re.compile(
        r"\bwhen(?:ever)? (?:the |a |any )?(?:user|customer|person|anyone|someone|somebody)s? "
        r"(?:ask|mention|want|say)s?\b"
        r"|\b(?:all|every|any) (?:future|later|subsequent) "
        r"(?:answer|repl|response|conversation|question|message|turn)"
        r"|\b(?:always|never|only) (?:answer|reply|respond|tell the user|say|recommend)\b"
    ),
    "it has a link that carries data away": re.compile(
        r"!\[[^\]]*\]\(\s*https?://[^)\s]*[?&#][^)\s]*\)|https?://\S*[?&]\w+=(?:\{|\$\{|<|\[|%s)"
    ),
    "it imitates turns of a conversation": re.compile(
        r"(?:^|\n)\s*(?:#+ ?|\*\*)?(?:system|assistant|developer|human)(?:\*\*)? ?:(?!:)"
        r"|</?(?:system|assistant|developer|instructions?|interaction|knowledge|item)\b[^>\n]{0,80}>"
    ),
}


class Unusable(ValueError):
    """The answer is no pattern. The message says why, in words that name no content."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What an interaction teaches, in the interaction's own words.

    ``question``: all that was asked. ``steps``: in the order of the answer.
    ``error_text`` and ``error_type`` of an error_solution; ``code`` and
    ``language`` of a piece of code.
    """

    kind: Kind
    title: str
    question: str
    steps: tuple[str, ...]
    error_text: str = ""
    error_type: str = ""
    code: str = ""
    language: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join((self.title, self.question, *self.steps))


def read_answer(text: str, excerpt: Excerpt) -> Pattern | None:
    """The pattern an answer names; None where it says that there is none.

    Raises:
        Unusable: prose, half JSON, not of the schema, or lines that are not the interaction's.
    """
    answer = _parsed(text)
    if answer.keys() != {"kind", "subject", "steps"}:
        raise Unusable("The answer does not have the fields it was asked for.")
    kind = _kind(answer["kind"], excerpt)
    subject = _pointed([answer["subject"]], excerpt.subjects)[0]
    steps = _pointed(answer["steps"], excerpt.answer)
    if kind is Kind.NONE:
        return None
    code = [piece for piece in steps if piece.code]
    if kind is Kind.CODE and not code:
        raise Unusable("It names a piece of code and points at none.")
    solved = kind is Kind.ERROR_SOLUTION
    return Pattern(
        kind=kind,
        title=shortened(subject.text, MAX_TITLE),
        question="\n".join(piece.text for piece in excerpt.question),
        steps=tuple(piece.text for piece in steps),
        error_text=subject.text if solved else "",
        error_type=error_type(subject.text) if solved else "",
        code="\n\n".join(piece.text for piece in code) if kind is Kind.CODE else "",
        language=next((piece.language for piece in code if piece.language), ""),
    )


def injection_in(text: str) -> str | None:
    """What makes a text look like orders to its reader, in words; None where nothing does."""
    shown = visible(text)
    if any(0xE0000 <= ord(c) <= 0xE0FFF for c in text):
        return "it has hidden text"
    if defuse(shown, "\0") != shown:
        return "it has control tokens of a chat template"
    even = unicodedata.normalize("NFKC", shown).casefold()
    flat = " ".join(even.split())
    for why, pattern in _INJECTIONS.items():
        # Role markers stand at the beginning of a line; everything else may be wrapped.
        if pattern.search(flat) or pattern.search(even):
            return why
    return None


def _parsed(text: str) -> Json:
    fenced = _FENCED.match(text[:_LONGEST])
    try:
        answer = orjson.loads(fenced[1] if fenced else text[:_LONGEST])
    except orjson.JSONDecodeError:
        raise Unusable("The answer is not JSON, or half of it.") from None
    if not isinstance(answer, dict):
        raise Unusable("The answer is JSON, but no object.")
    return answer


def _kind(value: object, excerpt: Excerpt) -> Kind:
    if not isinstance(value, str) or value not in excerpt.kinds:
        raise Unusable("The kind is none that this interaction can be.")
    return Kind(value)


def _pointed(value: object, pieces: tuple[Piece, ...]) -> list[Piece]:
    """The pieces whose numbers are given, each once and in their order."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_STEPS:
        raise Unusable(f"The steps are no list of 1 to {MAX_STEPS} numbers.")
    if any(type(number) is not int for number in value):
        raise Unusable("A step is no number.")
    if set(value) - {piece.number for piece in pieces}:
        raise Unusable("It points at a line that it may not choose.")
    return [piece for piece in pieces if piece.number in value]
