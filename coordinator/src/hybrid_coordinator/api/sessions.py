"""Sessions of the dashboard's page: a cookie instead of a key, for a browser.

A session is made by a key (``login``), ends by its age, by idleness, by logout
or with its key. Its id is random and known to the browser only: here is its
SHA-256. What changes something needs the session's second secret as a header,
which a page of another origin can neither read nor send. They are in this
process' memory: a restart ends them all. Not here: keys (``auth``).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from pydantic import Field

from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.api.faults import TooManyLogins
from hybrid_coordinator.api.schemas import Body
from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.errors import Forbidden, Unauthorized

COOKIE: Final = "hybrid-session"
SECURE_COOKIE: Final = "__Host-hybrid-session"
"""With this prefix a browser takes it from this very host over https only (RFC 6265bis §4.1.3)."""
CSRF_HEADER: Final = b"x-hybrid-csrf"

MAX_AGE: Final = 12 * 3_600.0
IDLE: Final = 2 * 3_600.0
"""Seconds a session lives at most, and without a request."""
MOST: Final = 256
MOST_OF_ONE: Final = 16
"""Sessions at the same time, in all and of one caller; one more ends the oldest."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN_BYTES: Final = 32
_LONGEST_COOKIES: Final = 4_096


class LoginRequest(Body):
    """An API key, in exchange for a session."""

    key: Annotated[str, Field(min_length=1, max_length=512)] = Field(description="The API key.")


class SessionView(Body):
    """Who the page's user is. ``login``: ``none`` is needed here, ``needed``, or ``done``."""

    login: Literal["none", "needed", "done"]
    name: str = ""
    operator: bool = False
    csrf: str = Field("", description="To be sent as `x-hybrid-csrf` with what changes something.")


@dataclass(frozen=True, slots=True)
class Session:
    """A session. Times are of a monotonic clock, in seconds."""

    caller: Caller
    csrf: str
    secure: bool
    begun: float
    used: float


class Sessions:
    """All sessions of a process; they outlive a reload of the settings.

    ``clock`` gives monotonic seconds, ``token`` a fresh secret of URL-safe text.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(_TOKEN_BYTES),
    ) -> None:
        self._clock = clock
        self._token = token
        # In the order of their begin.
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self.attempts = LoginAttempts(clock)

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, caller: Caller, *, secure: bool) -> tuple[str, Session]:
        """A new session with an id nobody had before; whatever id came is not used."""
        self._let_go(caller)
        id_ = self._token()
        now = self._clock()
        session = Session(caller, self._token(), secure, now, now)
        self._sessions[_hashed(id_)] = session
        return id_, session

    def find(self, headers: Mapping[bytes, bytes], keys: KeyRing) -> Session | None:
        """The session of a request's cookie, if it still holds."""
        presented = cookie_of(headers)
        if presented is None:
            return None
        id_, secure = presented
        hashed = _hashed(id_)
        session = self._sessions.get(hashed)
        # One that was begun over https is not taken from a cookie that another site could set.
        if session is None or session.secure is not secure:
            return None
        now = self._clock()
        if _is_over(session, now) or not keys.knows(session.caller):
            del self._sessions[hashed]
            return None
        self._sessions[hashed] = session = replace(session, used=now)
        return session

    def end(self, headers: Mapping[bytes, bytes]) -> None:
        """End the session of a request's cookie, if there is one."""
        presented = cookie_of(headers)
        if presented is not None:
            self._sessions.pop(_hashed(presented[0]), None)

    def _let_go(self, caller: Caller) -> None:
        """End what is over, and the oldest where there would be too many."""
        now = self._clock()
        for hashed in [h for h, s in self._sessions.items() if _is_over(s, now)]:
            del self._sessions[hashed]
        own = [hashed for hashed, session in self._sessions.items() if session.caller == caller]
        for hashed in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            del self._sessions[hashed]
        while len(self._sessions) >= MOST:
            self._sessions.popitem(last=False)


def check_request(session: Session, method: str, headers: Mapping[bytes, bytes]) -> None:
    """Raise ``Forbidden`` for what the page itself would not have sent.

    A cookie comes with every request of its browser, whoever caused it, so
    more is asked of it than of a key: that the browser says it is of this very
    origin (Fetch Metadata), and, for what changes something, the second secret.
    """
    check_origin(headers)
    if method in _SAFE:
        return
    given = headers.get(CSRF_HEADER, b"")
    if not hmac.compare_digest(_hashed_bytes(given), _hashed(session.csrf)):
        raise Forbidden(
            "A session changes something only from the dashboard's own page: send its "
            "x-hybrid-csrf, or use an API key.",
            field="x-hybrid-csrf",
        )


def check_origin(headers: Mapping[bytes, bytes]) -> None:
    """Raise ``Forbidden`` where a browser says that another origin's page caused the request."""
    site = headers.get(b"sec-fetch-site")
    origin = headers.get(b"origin")
    own = origin is None or origin.lower().partition(b"://")[2] == headers[b"host"].lower()
    if not own or site not in (None, b"same-origin", b"none"):
        raise Forbidden("Only the dashboard's own page may use its session.", field="origin")


def cookie_of(headers: Mapping[bytes, bytes]) -> tuple[str, bool] | None:
    """The session id in a request's cookies, and whether it is under the secure name.

    None for no cookie of ours, and for one that is there twice: who can set
    cookies of a neighbouring name or path could otherwise choose which is read.
    """
    raw = headers.get(b"cookie", b"")
    if len(raw) > _LONGEST_COOKIES:
        return None
    found: dict[str, list[str]] = {}
    for pair in raw.decode("latin-1").split(";"):
        name, separator, value = pair.strip().partition("=")
        if separator:
            found.setdefault(name, []).append(value)
    for name, secure in ((SECURE_COOKIE, True), (COOKIE, False)):
        values = found.get(name)
        if values is not None:
            return (values[0], secure) if len(values) == 1 else None
    return None


def set_cookie(id_: str, *, secure: bool) -> bytes:
    """The header's value that gives a browser its session."""
    name = SECURE_COOKIE if secure else COOKIE
    ending = "; Secure" if secure else ""
    text = f"{name}={id_}; Path=/; Max-Age={MAX_AGE:.0f}; HttpOnly; SameSite=Strict{ending}"
    return text.encode()


def drop_cookie(*, secure: bool) -> bytes:
    """The header's value that takes it away."""
    name = SECURE_COOKIE if secure else COOKIE
    ending = "; Secure" if secure else ""
    return f"{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{ending}".encode()


class Doorkeeper:
    """Who a request's caller is: by a key, or, where there is none, by a session."""

    def __init__(self, keys: KeyRing, sessions: Sessions) -> None:
        self.keys = keys
        self.sessions = sessions

    def identify(self, method: str, headers: Mapping[bytes, bytes]) -> tuple[Caller, bool]:
        """The caller, and whether it is one by a session.

        Raises ``Unauthorized``, and ``Forbidden`` for a session's request that
        is not of the dashboard's page.
        """
        with_key = b"authorization" in headers or b"x-api-key" in headers
        if with_key or self.keys.is_open or cookie_of(headers) is None:
            return self.keys.identify(headers), False
        session = self.sessions.find(headers, self.keys)
        if session is None:
            raise Unauthorized("The session is over: log in again.")
        check_request(session, method, headers)
        return session.caller, True


class LoginAttempts:
    """Limits how often a wrong key may be tried: by address, and in all.

    A bucket of ``_BURST`` tries fills by one each ``_EVERY`` seconds. The right
    key does not count; but it is not looked at while the bucket is empty, or
    guessing would cost nothing.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raise ``TooManyLogins`` where no try is left."""
        for who, burst, every in self._buckets(address):
            left = self._left(who, burst, every)
            if left < 1.0:
                raise TooManyLogins(retry_after=(1.0 - left) * every)

    def failed(self, address: str) -> None:
        """Count a wrong key."""
        now = self._clock()
        for who, burst, every in self._buckets(address):
            self._of[who] = (self._left(who, burst, every) - 1.0, now)
            self._of.move_to_end(who)
        while len(self._of) > _ADDRESSES:
            self._of.popitem(last=False)

    @staticmethod
    def _buckets(address: str) -> tuple[tuple[str, float, float], ...]:
        return (address, _BURST, _EVERY), ("", _BURST_OF_ALL, _EVERY_OF_ALL)

    def _left(self, who: str, burst: float, every: float) -> float:
        left, at = self._of.get(who, (burst, 0.0))
        return min(burst, left + max(0.0, self._clock() - at) / every)


_BURST: Final = 5.0
_EVERY: Final = 20.0
_BURST_OF_ALL: Final = 60.0
_EVERY_OF_ALL: Final = 2.0
_ADDRESSES: Final = 1_024
"""Tries an address has, and after how many seconds it has another; the same of all together."""


def _is_over(session: Session, now: float) -> bool:
    return now - session.begun >= MAX_AGE or now - session.used >= IDLE


def _hashed(text: str) -> bytes:
    return _hashed_bytes(text.encode("utf-8", "surrogatepass"))


def _hashed_bytes(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
