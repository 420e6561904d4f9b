"""Who is calling: keys in, ``Caller`` out, everything else refused.

A key is kept only as its SHA-256, so that neither a memory dump nor a log can
show one, and so that every comparison is between strings of one length. Which
paths need a key is decided in ``edge``; where the keys are read from, in the
configuration.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_coordinator.conversation import LOOPBACK_CALLER, OPERATOR_CALLER, Caller
from hybrid_coordinator.errors import SettingsError, Unauthorized

MIN_KEY_LENGTH = 16
"""Characters; a shorter key can be guessed over a network."""


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    caller: Caller


class KeyRing:
    """The keys that are accepted, each a caller of its own.

    ``text`` has one key a line, ``name:key``; blank lines and lines that begin
    with ``#`` are passed over. None means that no key is configured: whoever can
    connect is ``LOOPBACK_CALLER``. Raises ``SettingsError`` for a line that is
    not a key, for a name or key given twice, and for a text without any key.

    ``operator`` is the key of ``OPERATOR_CALLER``, which jobs and commands of this
    machine have. Only the key makes an operator: no name in ``text`` does.
    """

    def __init__(self, text: str | None = None, *, operator: str | None = None) -> None:
        self._operator: tuple[_Entry, ...] = ()
        if operator is not None:
            self._operator = (_Entry(_digest(operator.encode()), OPERATOR_CALLER),)
        self._entries: tuple[_Entry, ...] | None = None
        if text is not None:
            self.reload(text)

    @property
    def is_open(self) -> bool:
        """Whether no key is needed."""
        return self._entries is None

    def reload(self, text: str) -> None:
        """Replace all keys but the operator's at once; on ``SettingsError`` the old ones stay."""
        # A caller's own entry comes last and wins: nobody is made operator by a copied key.
        self._entries = (*self._operator, *_parse(text))

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller behind ``authorization: Bearer`` or ``x-api-key``.

        Raises ``Unauthorized`` for no key, an unknown one, or two that differ.
        """
        if self._entries is None:
            return LOOPBACK_CALLER
        presented = _presented(headers)
        digest = _digest(presented)
        found: Caller | None = None
        # Every entry is compared, so the time says nothing about which one matched.
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                found = entry.caller
        if found is None:
            raise Unauthorized("The API key is not known here: check the key your client sends.")
        return found

    def knows(self, caller: Caller) -> bool:
        """Whether a caller that was identified before still has a key here."""
        return any(entry.caller == caller for entry in self._entries or ())


def caller_id(key: str) -> str:
    """The stable public id of a key's caller: 16 hexadecimal digits that do not reveal the key."""
    key_hash = hashlib.sha256(key.encode()).hexdigest()
    return hashlib.sha256(f"caller:{key_hash}".encode()).hexdigest()[:16]


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _presented(headers: Mapping[bytes, bytes]) -> bytes:
    bearer: bytes | None = None
    authorization = headers.get(b"authorization")
    if authorization is not None:
        scheme, _, rest = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Unauthorized("The Authorization header must be 'Bearer' and a key.")
        bearer = rest.strip()
    api_key = headers.get(b"x-api-key")
    if bearer is not None and api_key is not None and bearer != api_key:
        raise Unauthorized("Authorization and x-api-key carry different keys: send one of them.")
    key = bearer if bearer is not None else api_key
    if not key:
        raise Unauthorized(
            "An API key is needed: send it as 'Authorization: Bearer' or as 'x-api-key'."
        )
    return key


def _parse(text: str) -> tuple[_Entry, ...]:
    entries: list[_Entry] = []
    names: set[str] = set()
    digests: set[bytes] = set()
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, separator, key = (part.strip() for part in line.partition(":"))
        # Messages name the line and never quote it: it may hold a key.
        if not separator or not name:
            raise SettingsError(f"API keys, line {number}: write it as name:key.")
        if len(key) < MIN_KEY_LENGTH:
            raise SettingsError(
                f"API keys, line {number}: the key of '{name}' is shorter than "
                f"{MIN_KEY_LENGTH} characters; make one with: openssl rand -hex 32"
            )
        if any(not 0x21 <= ord(char) <= 0x7E for char in key):
            raise SettingsError(
                f"API keys, line {number}: the key of '{name}' has a character that a "
                "header cannot carry; use letters, digits and punctuation only."
            )
        digest = _digest(key.encode())
        if name in names:
            raise SettingsError(f"API keys, line {number}: the name '{name}' is given twice.")
        if digest in digests:
            raise SettingsError(f"API keys, line {number}: '{name}' has another caller's key.")
        names.add(name)
        digests.add(digest)
        entries.append(_Entry(digest, Caller(id=caller_id(key), name=name)))
    if not entries:
        raise SettingsError("The API keys file holds no key: add a line name:key.")
    return tuple(entries)
