"""Who is calling: keys in, ``Caller`` out, everything else refused.

A key is kept only as its SHA-256, so that neither a memory dump nor a log can
show one, and so that every comparison is between strings of one length. Which
paths need a key is decided in ``edge``; where the keys are read from, in the
configuration.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hybrid_coordinator.api_keys import ApiKey, digest_of, parse_keys
from hybrid_coordinator.conversation import LOOPBACK_CALLER, OPERATOR_CALLER, Caller
from hybrid_coordinator.errors import SettingsError, Unauthorized


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    caller: Caller
    ends: float = float("inf")
    """Epoch seconds from which on it is refused."""


class KeyRing:
    """The keys that are accepted, each a caller of its own.

    ``text`` is that of a keys file (``api_keys``). None means that no key is
    configured: whoever can connect is ``LOOPBACK_CALLER``. Raises ``SettingsError``
    for a line that is not a key, for a name or key given twice, and for a text
    without any key. ``now`` gives epoch seconds, by which keys expire.

    ``operator`` is the key of ``OPERATOR_CALLER``, which jobs and commands of this
    machine have. Only the key makes an operator: no name in ``text`` does.
    """

    def __init__(
        self,
        text: str | None = None,
        *,
        operator: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._operator: tuple[_Entry, ...] = ()
        if operator is not None:
            self._operator = (_Entry(digest_of(operator.encode()), OPERATOR_CALLER),)
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
        self._entries = (*self._operator, *_entries(text))

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller behind ``authorization: Bearer`` or ``x-api-key``.

        Raises ``Unauthorized`` for no key, an unknown or expired one, or two that differ.
        """
        if self._entries is None:
            return LOOPBACK_CALLER
        presented = _presented(headers)
        digest = digest_of(presented)
        found: _Entry | None = None
        # Every entry is compared, so the time says nothing about which one matched.
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                found = entry
        if found is None:
            raise Unauthorized("The API key is not known here: check the key your client sends.")
        if self._now() >= found.ends:
            raise Unauthorized("The API key has expired: ask for another one.")
        return found.caller

    def knows(self, caller: Caller) -> bool:
        """Whether a caller that was identified before still has a key here."""
        now = self._now()
        return any(e.caller == caller and now < e.ends for e in self._entries or ())


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


def _entries(text: str) -> tuple[_Entry, ...]:
    keys = parse_keys(text)
    if not keys:
        raise SettingsError(
            "The API keys file holds no key: add a line name:key, or run "
            "'hybrid-coordinator keys create'."
        )
    return tuple(_entry(key) for key in keys)


def _entry(key: ApiKey) -> _Entry:
    return _Entry(key.digest, Caller(id=key.caller_id, name=key.name), key.ends)
