"""A question, read: its words, numbers, identifiers, names, negations and what kind of question.

Everything that one text says on its own is found here once and remembered (a bounded number of
texts), so that comparing a pair is set operations. What a difference means is decided in
``pair_rules`` and ``pair_features``. Written for English; other languages are only recognised.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from hybrid_coordinator.cache import pair_words as w
from hybrid_coordinator.cache.pair_numbers import Quantity, read_quantities
from hybrid_coordinator.cache.pair_stem import fold, stem

MAX_CHARACTERS = 512
"""Longer texts are not compared: the questions that the bars were set on are not longer."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one text says.

    Attributes:
        characters: the length after normalisation, which can make a text longer.
        words: folded words in order, contractions written out, fillers removed.
        stems: their stems, as many.
        content: the stems that are not function words, in order.
        core: the words without articles, forms of "to be" and softeners; plurals as singulars;
            "how do I" and its like as "how to".
        function: the function words used.
        quantities: numbers in order, each with its unit.
        literals: identifiers, paths, flags, addresses, code and quotations, as written.
        operators: symbols such as ``==`` or ``->``, in order.
        names: folded capitalised words inside a sentence.
        negations: how many negating words there are.
        kind: the question word that decides the answer ("how", "why", "how many", "yes/no"…).
        script: the alphabet ("latin", "cyrillic"…); ``language`` "en" unless it clearly is not.
        sentences: how many sentences there are.
        grams: character trigrams of the words.
    """

    characters: int
    words: tuple[str, ...]
    stems: tuple[str, ...]
    content: tuple[str, ...]
    core: tuple[str, ...]
    function: frozenset[str]
    quantities: tuple[Quantity, ...]
    literals: frozenset[str]
    operators: tuple[str, ...]
    names: frozenset[str]
    negations: int
    kind: str
    script: str
    language: str
    sentences: int
    grams: frozenset[str]


_LITERAL = re.compile(
    r"""
      (?P<code>```.+?```|`[^`\n]+`)
    | (?P<quote>"{1,2}[^"\n]{1,200}"{1,2}|(?<![\w'])'[^'\n]{2,200}'(?![\w']))
    | (?P<url>\b(?:[a-z][a-z0-9+.-]{0,15}://|www\.)[^\s"<>]+)
    | (?P<mail>(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+)
    | (?P<path>(?<![\w/])(?:~|\.{1,2})?/[\w.@+~*-]+(?:/[\w.@+*-]*)*|\b[A-Za-z]:\\[^\s"]+
        |(?<![\w/.])[\w.-]+(?:/[\w.-]+)*/[\w-]+\.\w+|<[\w./-]+>)
    | (?P<flag>(?<![\w-])--?[A-Za-z][\w-]*(?:=\S+)?)
    | (?P<variable>[$@%#]\{?[A-Za-z_][\w.:]*\}?)
    | (?P<dotted>\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\(\)|\b[A-Za-z_]\w+(?:(?:\.|::)[A-Za-z_]\w+)+
        |(?<!\w)\.[a-z]\w{1,9}\b)
    | (?P<snake>\b\w*[A-Za-z0-9]_\w+\b|\b_\w+\b)
    | (?P<camel>\b[a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)+\b|\b[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+\b)
    | (?P<operator>[<>=!&|^~+*%:?\\-]{2,}|[<>=^+\\]|(?<=\s)[*%|](?=\s)
        |(?<=[\w)])\s?[*/-]\s?(?=\d)|[^\w\s\x00-\x7f])
    """,
    re.VERBOSE | re.DOTALL,
)
# What most questions consist of; there is no literal in them, which saves the search.
_PLAIN = re.compile(
    r"(?:(?:[A-Z]?[a-z]+(?:'[a-z]{1,2})?|[A-Z]+|[0-9]+(?:[.,][0-9]+)*)[,.;:?!]*(?:\s++|$))++"
)
_ONLY_PUNCTUATION = re.compile(r"[!?*:-]+|[.]{2,}|\?+!*|--+|\\+|[:;]-?[)(]")
_TOKEN = re.compile(
    r"""
      (?P<number>[$€£¥₹]?\d+(?:[.,]\d+)*)
    | (?P<abbreviation>(?:[^\W\d_]\.){2,})
    | (?P<language>\b[CFcf](?:\+\+|\#))
    | (?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)
    | (?P<sign>[%°$€£¥₹&]|w/o?\b)
    | (?P<end>[.?!:;](?=\s|$)|\n)
    """,
    re.VERBOSE,
)
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_NUMERONYMS = {"k8s": "kubernetes", "i18n": "internationalization", "l10n": "localization"}
_NUMERONYM = re.compile(rf"\b(?:{'|'.join(_NUMERONYMS)})\b", re.IGNORECASE)
# Possessive throughout: these run on whatever people send, and must not backtrack.
_OPENING = re.compile(rf"(?:(?>{'|'.join(w.OPENINGS)})\b ?)++(?=\S)")
_CLOSING = re.compile(rf"(?: (?>{'|'.join(w.CLOSINGS)}))++$")


# Numbers are compared as quantities, not as words.
_NO_CONTENT = w.FUNCTION_WORDS.union(
    w.NUMBER_WORDS, w.MAGNITUDES, w.QUANTITIES, w.CURRENCY_SIGNS, (r.lower() for r in w.ROMAN)
)


@lru_cache(maxsize=2_048)
def read(text: str) -> Question:
    """What ``text`` says; of one over ``MAX_CHARACTERS``, what its beginning says."""
    text = unicodedata.normalize("NFKC", text[: MAX_CHARACTERS + 1]).translate(_QUOTES)
    characters, text = len(text), text[:MAX_CHARACTERS]
    text = _INVISIBLE.sub("", text)
    text = _NUMERONYM.sub(lambda found: _NUMERONYMS[found.group().lower()], text)
    literals, operators = _literals(text)
    tokens = _tokens(text)
    words, names = _words(tokens)
    words = _without_fillers(words)
    stems = tuple([stem(word) for word in words])
    joined = f" {' '.join(words)} "
    return Question(
        characters=characters,
        words=words,
        stems=stems,
        content=_content(words, stems),
        core=_core(words, stems),
        function=w.FUNCTION_WORDS.intersection(words),
        quantities=read_quantities(tokens),
        literals=literals,
        operators=operators,
        names=names,
        negations=sum(word in w.NEGATORS for word in words),
        kind=_kind(words, stems),
        script=_script(text),
        language=_language(words),
        sentences=_sentences(tokens),
        grams=frozenset([joined[i : i + 3] for i in range(len(joined) - 2)]),
    )


def _content(words: tuple[str, ...], stems: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        [
            stem
            for word, stem in zip(words, stems, strict=True)
            if word not in _NO_CONTENT and not word[-1].isdecimal()
        ]
    )


def _literals(text: str) -> tuple[frozenset[str], tuple[str, ...]]:
    if _PLAIN.fullmatch(text):
        return frozenset(), ()
    found: list[str] = []
    operators: list[str] = []
    for match in _LITERAL.finditer(text):
        literal = match.group().strip()
        if match.lastgroup == "operator":
            if literal.isascii():
                says = not _ONLY_PUNCTUATION.fullmatch(literal) or literal in ("::", "**")
            else:
                says = unicodedata.category(literal[0])[0] == "S"  # a sign or an emoji
            if says:
                operators.append(literal)
            continue
        if match.lastgroup == "code":
            literal = literal.strip("`").strip()
        elif match.lastgroup == "quote":
            literal = literal.strip("\"'").strip(" .,?!")
        else:
            literal = literal.rstrip(".,;:?!)('")
        if literal:
            found.append(literal)
    return frozenset(found), tuple(operators)


def _tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) of every token; a word cased as written."""
    return [(m.lastgroup or "", m.group()) for m in _TOKEN.finditer(text)]


def _words(tokens: list[tuple[str, str]]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The folded words, and which of them are capitalised inside a sentence."""
    words: list[str] = []
    inside: list[str] = []
    lower = upper = 0
    first = True
    for kind, written in tokens:
        if kind == "end":
            first = True
            continue
        if kind == "abbreviation":
            written = written.replace(".", "")
        word = "usa" if written == "US" else fold(written)  # not the pronoun
        meant = w.CONTRACTIONS.get(word)
        if meant is None and "'" in word:
            meant = _apostrophe(word)
        words.extend(meant.split() if meant else (word,))
        if kind in ("word", "abbreviation", "language"):
            if written[0].isupper() and word != "i" and not written.startswith("I'"):
                if not first:
                    inside.append(words[-1] if meant is None or "'s" in word else word)
                    upper += len(written) > 3
            else:
                lower += len(written) > 3
        first = False
    # Title Case and capitals throughout say nothing.
    if (upper >= 3 and upper > 2 * lower) or not any(token.islower() for _, token in tokens):
        inside = []
    return tuple(words), frozenset(inside) - _NO_NAMES


_NO_NAMES = _NO_CONTENT | {unit for unit in w.UNITS if len(unit) > 1}


def _apostrophe(word: str) -> str:
    """What a word with an apostrophe stands for; a possessive is its owner."""
    if word.endswith("n't"):
        return f"{word[:-3]} not"
    for ending, meant in (("'re", " are"), ("'ll", " will"), ("'ve", " have"), ("'d", " would")):
        if word.endswith(ending):
            return word[: -len(ending)] + meant
    if word.endswith("'s"):
        return word[:-2] or "s"
    return word.replace("'", "")


def _without_fillers(words: tuple[str, ...]) -> tuple[str, ...]:
    joined = " ".join(words)
    start = _OPENING.match(joined)
    if start is not None:
        joined = joined[start.end() :]
    end = _CLOSING.search(joined)
    if end is not None:
        joined = joined[: end.start()]
    return tuple(joined.split())


def _core(words: tuple[str, ...], stems: tuple[str, ...]) -> tuple[str, ...]:
    core = [
        "" if word in w.WEAK_WORDS else word if word.endswith(("ing", "ed")) else stem
        for word, stem in zip(words, stems, strict=True)
    ]
    how = words.index("how") if "how" in words else len(words)
    if how + 2 < len(words) and words[how + 1] in _HOW_TO:
        subject = words[how + 1] != "to" and words[how + 2] in ("i", "we", "one")
        core[how + 1 : how + (3 if subject else 2)] = ["to"]
    return tuple([word for word in core if word])


_HOW_TO = frozenset({"do", "can", "could", "to"})


def _sentences(tokens: list[tuple[str, str]]) -> int:
    kinds = [kind for kind, _ in tokens]
    ends = sum(x == "end" and y != "end" for x, y in pairwise(kinds))
    return ends + 1


_QUESTION_WORDS = w.words("who whom whose when where why how what which")
_MEASURES = w.words("many much long old often far big tall fast deep high large heavy soon hot")
_ASKED_WHAT = {
    "reason": "why", "cause": "why", "purpos": "why", "time": "when", "year": "when",
    "date": "when", "place": "where", "location": "where", "person": "who", "way": "how",
    "method": "how", "step": "how", "procedur": "how",
}  # fmt: skip
_NUMBER_OF = w.words("number amount count quantity")


def _kind(words: tuple[str, ...], stems: tuple[str, ...]) -> str:
    for at, word in enumerate(words):
        if word not in _QUESTION_WORDS:
            continue
        after = words[at + 1] if at + 1 < len(words) else ""
        if word == "how":
            if after == "come":
                return "why"
            return f"how {after}" if after in _MEASURES else "how"
        if word in ("what", "which"):
            for later in range(at + 1, min(at + 6, len(words))):
                asked = _ASKED_WHAT.get(stems[later])
                if asked is not None:
                    return asked
                if words[later] in _NUMBER_OF:
                    return "how many"
            return "what" if word == "what" else "which"
        return "who" if word in ("whom", "whose") else word
    return "yes/no" if words and words[0] in w.FUNCTION_WORDS else "none"


def _script(text: str) -> str:
    """The alphabet a text is in; by the first word of its letters' Unicode names."""
    if text.isascii():
        return "latin"
    counts: dict[str, int] = {}
    for character in text:
        if character.isalpha():
            name = "LATIN" if character < "\u024f" else unicodedata.name(character, "?").split()[0]
            counts[name] = counts.get(name, 0) + 1
    latin = counts.pop("LATIN", 0)
    other = max(counts, key=lambda name: counts[name], default="LATIN")
    # One or two letters of another alphabet are symbols: λ, π.
    return other.lower() if counts.get(other, 0) > min(latin, 2) else "latin"


_MAYBE_FOREIGN = frozenset(x for its in w.FOREIGN.values() for x in its) - w.NOT_FOREIGN


def _language(words: tuple[str, ...]) -> str:
    """ "en", unless another language's function words outnumber English ones."""
    if _MAYBE_FOREIGN.isdisjoint(words):
        return "en"
    known = set(words) - w.NOT_FOREIGN
    english = len(known & w.FUNCTION_WORDS)
    best, most = "en", english
    for language, its_words in w.FOREIGN.items():
        count = len(known & its_words)
        if count > most:
            best, most = language, count
    return best
