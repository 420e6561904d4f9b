"""Stored text that cannot act as anything but text in a prompt (lesson 23).

Tags that look like those around stored knowledge, control tokens of chat
templates and characters that people do not see lose their effect; also where
they are disguised by look-alike characters or by marks between the letters.
Everything else stays as it is, code above all. It cannot make a sentence
harmless: "ignore previous instructions" stays readable, and what it stands in
says that it is data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# Control and format characters except tab, line feed and what emoji need (U+200D, U+FE0E, U+FE0F):
# they hide text from people and not from models (bidirectional overrides, tag characters, fillers,
# variation selectors, lone surrogates).
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff"
    "\uffa0\ufff0-\ufffb\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_MARK: Final = (
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u200d\u20d0-\u20ff\ufe0e\ufe0f\ufe20-\ufe2f]"
)
"""What may stand between the letters of a word without making another word of it."""


def _word(word: str) -> str:
    return "".join(f"{re.escape(letter)}{_MARK}*+" for letter in word)


def _any_of(*words: str) -> str:
    return "(?:" + "|".join(_word(word) for word in words) + ")"


# Possessive throughout, so that no text makes the search go back: it takes time in proportion to
# the text's length.
_GAP: Final = rf"(?:\s|{_MARK})*+"
_OURS: Final = _any_of("knowledge", "item")
_TOKENS: Final = _any_of(
    *("s", "bos", "eos", "pad", "unk", "bos_token", "eos_token"),  # SentencePiece, Cohere
    *("start_of_turn", "end_of_turn", "start_of_image", "end_of_image"),  # Gemma
    *("end_of_utterance", "tool_call", "tool_response", "tools", "think"),  # SmolLM, Hermes, Qwen
)
# Mistral's, Llama 2's and GLM's; the tokenizers know them in this case only, and "x[inst]" is code.
_BRACKETED: Final = "(?-i:{})".format(
    _any_of("INST", "SYSTEM_PROMPT", "AVAILABLE_TOOLS", "TOOL_CALLS", "TOOL_RESULTS", "gMASK")
)

_DANGEROUS: Final = re.compile(
    rf"""<(?={_GAP}/{_GAP}{_OURS}(?!\w))        # our own tags: closing,
       | <(?={_MARK}*+{_OURS}(?!\w))           # opening, and with a gap if it goes on as they do:
       | <(?={_GAP}{_OURS}{_GAP}(?:>|-[0-9a-f]))       # "i < item.size" is code
       | <(?={_GAP}(?:/{_GAP})?\|)             # <|im_start|>, <|eot_id|>, DeepSeek's, Cohere's
       | <(?={_GAP}(?:/{_GAP})?{_TOKENS}{_GAP}>)
       | <(?={_GAP}(?:/{_GAP})?<{_GAP}{_word("sys")}{_GAP}>)   # Llama 2's
       | \[(?={_GAP}(?:/{_GAP})?{_BRACKETED}{_GAP}\])
    """,
    re.IGNORECASE | re.VERBOSE,
)

_REPLACEMENT: Final = {"<": "&lt;", "[": "&#91;"}

# Look-alikes that are no compatibility forms of what they look like.
_DRAWN: Final = {
    "<": "‹〈⟨❮❬˂ᐸ≺⧼⦑〈《«",
    ">": "›〉⟩❯❭˃ᐳ≻⧽⦒〉》»",
    "[": "⟦〚【〖⁅",
    "]": "⟧〛】〗⁆",
    "/": "⁄∕╱⧸⟋",
    "|": "│┃∣ǀ❘❙❚׀",
    "_": "▁ˍ",
    "a": "аɑα",
    "b": "Ьв",
    "c": "сϲ",
    "d": "ԁɗ",
    "e": "еєε",
    "g": "ɡց",
    "i": "іɩıι",
    "k": "кκ",
    "l": "ӏⅼ",
    "m": "мϻ",
    "n": "ոη",
    "o": "оοօ",
    "p": "рρ",
    "r": "гⲅ",
    "s": "ѕꜱ",
    "t": "тτ",
    "u": "υսц",
    "w": "ԝωѡ",
    "x": "хχ",
    "y": "уγ",
}

_COMPATIBLE: Final = (
    (0x02B0, 0x02B9),  # small letters above the line
    (0x1D2C, 0x1D6B),
    (0x2070, 0x209D),  # superscripts and subscripts
    (0x2100, 0x2150),  # letter-like symbols
    (0x2460, 0x2500),  # enclosed letters
    (0xFE30, 0xFE70),  # small forms
    (0xFF01, 0xFF5F),  # full-width forms
    (0x1D400, 0x1D800),  # mathematical letters
    (0x1F130, 0x1F14A),  # squared letters
)
"""Blocks of characters that Unicode knows as another form of an ASCII one (NFKC)."""


def _pairs() -> Iterator[tuple[int, str]]:
    for first, end in _COMPATIBLE:
        for code in range(first, end):
            plain = unicodedata.normalize("NFKC", chr(code))
            if len(plain) == 1 and plain.isascii():
                yield code, plain
    for plain, drawn in _DRAWN.items():
        for character in drawn:
            yield ord(character), plain
            upper = character.upper()
            if plain.isalpha() and len(upper) == 1 and not upper.isascii():
                yield ord(upper), plain


_LOOKS_LIKE: Final = dict(_pairs())
"""One character for one, so that what is found in the plain spelling is where it was."""

_DISGUISES: Final = frozenset(map(chr, _LOOKS_LIKE))


def defuse(text: str, nonce: str) -> str:
    """An item's text with everything that could act as markup or invisible steering removed.

    Tags of ours and control tokens of chat templates lose their first
    character to an entity; the nonce, control characters and Unicode's format
    characters are dropped. Code otherwise stays as it is.
    """
    visible = _INVISIBLE.sub("", text)
    while nonce in visible:
        visible = visible.replace(nonce, "")
    disguised = not visible.isascii() and not _DISGUISES.isdisjoint(visible)
    plain = visible.translate(_LOOKS_LIKE) if disguised else visible
    parts = []
    after = 0
    for match in _DANGEROUS.finditer(plain):
        parts += [visible[after : match.start()], _REPLACEMENT[plain[match.start()]]]
        after = match.end()
    return "".join([*parts, visible[after:]])
