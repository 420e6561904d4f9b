"""Replaces what the finders find by placeholders, in one text or in many that belong together.

What is a secret is decided in the finders; what a placeholder looks like in
``placeholders``. Nothing here logs, and only counts leave it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

from hybrid_coordinator.learning_settings import ScrubSettings
from hybrid_coordinator.scrubbing import contacts, credentials, numbers, private_keys, tokens
from hybrid_coordinator.scrubbing.kinds import PRECEDENCE, Found, Kind
from hybrid_coordinator.scrubbing.placeholders import PLACEHOLDER, placeholder
from hybrid_coordinator.telemetry.metrics import Metrics

Json = TypeVar("Json")

_SHORTEST = 6
"""Nothing shorter is found (``a@b.co``)."""

_MAX_ROUNDS = 12
"""How often what is left of a piece is searched again, which bounds the time for any text.

Two rounds do for what people write. A piece that after so many still has something
to find was made to have it, and is replaced whole.
"""

_MAX_ECHOES = 64
"""So many different credentials of a text are looked for where nothing gives them away."""


class Scrubber:
    """Scrubs texts. Safe to use from any number of threads; holds no text.

    Scrubbing a second time changes nothing: placeholders are left alone, and
    what is left between them has been searched by itself.
    """

    def __init__(self, settings: ScrubSettings, key: bytes, metrics: Metrics) -> None:
        """``key`` (1 to 64 bytes) decides the placeholders' digits: see ``load_key``."""
        if not 1 <= len(key) <= 64:
            raise ValueError(f"a key of {len(key)} bytes: it has to have 1 to 64")
        self._settings = settings
        self._key = key
        self._scrubbed = metrics.learning.scrubbed
        self._phones = numbers.PhoneFinder(settings.regions)

    def scrub(self, text: str) -> str:
        """``text`` with placeholders for what is secret or personal in it."""
        return self.scrub_all([text])[0]

    def scrub_all(self, texts: Sequence[str]) -> list[str]:
        """The same for texts that belong together, in their order.

        A credential that one of them gives away is replaced in the others too,
        where it stands alone.
        """
        if not self._settings.enable:
            return list(texts)
        counts: Counter[Kind] = Counter()
        credentials_seen: dict[str, None] = {}
        scrubbed = [self._clean(text, counts, credentials_seen) for text in texts]
        if credentials_seen:
            echo = _echoes(credentials_seen)
            scrubbed = [self._without_echoes(text, echo, counts) for text in scrubbed]
        for kind, count in counts.items():
            self._scrubbed.labels(kind=kind).inc(count)
        return scrubbed

    def scrub_value(self, value: Json) -> Json:
        """A JSON-like value with its strings scrubbed together; keys and other values stay.

        Raises:
            RecursionError: it is nested deeper than Python's limit.
        """
        strings: list[str] = []
        _collect(value, strings)
        return cast("Json", _rebuilt(value, iter(self.scrub_all(strings))))

    def _clean(self, text: str, counts: Counter[Kind], seen: dict[str, None]) -> str:
        done: list[str] = []
        waiting = [(piece, 1) for piece in reversed(_pieces(text))]
        while waiting:
            piece, round_ = waiting.pop()
            found = [] if PLACEHOLDER.fullmatch(piece) else self._find(piece)
            if not found:
                done.append(piece)
                continue
            if round_ > _MAX_ROUNDS:
                found = [Found(0, len(piece), Kind.CREDENTIAL, piece)]
            # What is left between two findings is searched again by itself, as a second
            # scrubbing would: a finding can give away its neighbour, and hide it before.
            parts: list[str] = []
            position = 0
            for start, end, kind, identity in found:
                parts += (piece[position:start], placeholder(kind, identity, self._key))
                position = end
                counts[kind] += 1
                if kind is Kind.CREDENTIAL and len(seen) < _MAX_ECHOES:
                    seen[identity] = None
            parts.append(piece[position:])
            waiting.extend((part, round_ + 1) for part in reversed(parts) if part)
        return "".join(done)

    def _without_echoes(self, text: str, echo: re.Pattern[str], counts: Counter[Kind]) -> str:
        if not echo.search(text):
            return text
        parts: list[str] = []
        for piece in _pieces(text):
            if PLACEHOLDER.fullmatch(piece):
                parts.append(piece)
                continue
            position = 0
            for match in echo.finditer(piece):
                parts += (
                    piece[position : match.start()],
                    placeholder(Kind.CREDENTIAL, match.group(), self._key),
                )
                position = match.end()
                counts[Kind.CREDENTIAL] += 1
            parts.append(piece[position:])
        return self._clean("".join(parts), counts, {})

    def _find(self, piece: str) -> list[Found]:
        if len(piece) < _SHORTEST:
            return []
        found = sorted(self._all(piece), key=lambda f: f.start)
        return _without_overlaps(found)

    def _all(self, piece: str) -> Iterator[Found]:
        settings = self._settings
        if settings.secrets:
            folded = _folded(piece)
            yield from private_keys.find(piece)
            yield from tokens.find(piece, folded)
            yield from credentials.find(piece, folded)
        if settings.emails and "@" in piece:
            yield from contacts.find_emails(piece)
        if settings.cards:
            yield from numbers.find_cards(piece)
        if settings.phones:
            yield from self._phones.find(piece)
        if settings.ip_addresses:
            yield from contacts.find_ip_addresses(piece)


def _pieces(text: str) -> list[str]:
    """The text cut at its placeholders, which are pieces of their own."""
    pieces: list[str] = []
    position = 0
    for match in PLACEHOLDER.finditer(text):
        pieces += (text[position : match.start()], match.group())
        position = match.end()
    pieces.append(text[position:])
    return [piece for piece in pieces if piece]


def _without_overlaps(found: list[Found]) -> list[Found]:
    """Of findings in the order of their starts, those that stay: the kind decides, then length."""
    kept: list[Found] = []
    for one in found:
        if kept and one.start < kept[-1].end:
            if _rank(one) < _rank(kept[-1]):
                kept[-1] = one
        else:
            kept.append(one)
    return kept


def _rank(found: Found) -> tuple[int, int]:
    return PRECEDENCE[found.kind], found.start - found.end


def _folded(text: str) -> str:
    """The text in lower case and as long: İ alone would become two characters."""
    return text.replace("İ", "i").lower()


def _echoes(values: dict[str, None]) -> re.Pattern[str]:
    telling = [v for v in values if not (v.isdigit() or (v.isalpha() and v.islower()))]
    longest_first = sorted(telling, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)")


def _collect(value: object, strings: list[str]) -> None:
    match value:
        case str():
            strings.append(value)
        case dict():
            for item in value.values():
                _collect(item, strings)
        case list() | tuple():
            for item in value:
                _collect(item, strings)


def _rebuilt(value: object, strings: Iterator[str]) -> object:
    match value:
        case str():
            return next(strings)
        case dict():
            return {key: _rebuilt(item, strings) for key, item in value.items()}
        case list():
            return [_rebuilt(item, strings) for item in value]
        case tuple():
            return tuple(_rebuilt(item, strings) for item in value)
        case _:
            return value
