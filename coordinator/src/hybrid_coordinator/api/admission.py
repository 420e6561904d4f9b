"""Which requests are let in at all, judged by their headers alone: Host, Origin, duplicates.

A web page in the user's own browser can reach a server on loopback. The Host
check stops DNS rebinding, the Origin check stops cross-site requests that a
browser sends without asking first (RFC 6454, RFC 9110 §7.2, the Fetch
standard's CORS protocol). Keys are the matter of ``auth``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from hybrid_coordinator.errors import Forbidden, InvalidRequest
from hybrid_coordinator.settings import LOOPBACK_HOSTS, Settings

Headers = list[tuple[bytes, bytes]]

_READ = frozenset(
    {
        b"host",
        b"origin",
        b"authorization",
        b"x-api-key",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"cache-control",
        b"x-hybrid-agent-type",
        b"access-control-request-method",
        b"accept",
        b"traceparent",
        b"tracestate",
        b"cookie",
        b"sec-fetch-site",
        b"x-hybrid-csrf",
        b"x-forwarded-proto",
        b"if-none-match",
    }
)
_LISTS = frozenset(
    {
        b"cache-control",
        b"accept",
        b"content-encoding",
        b"traceparent",
        b"tracestate",
        b"if-none-match",
        b"x-forwarded-proto",
    }
)
"""Headers whose repetition means the same as one with commas (RFC 9110 §5.3).

A repeated ``traceparent`` is none that way, and no reason to refuse a request.
"""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?::\d{1,5})?")

EXPOSED_HEADERS = (
    b"x-hybrid-interaction-id, x-hybrid-cache, x-hybrid-route, x-hybrid-reason, retry-after"
)


def collect(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that are read here, each once.

    Raises ``InvalidRequest`` for one that is repeated though it may stand only
    once: two parties that read different copies is how checks are got around.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _READ:
            if name not in found:
                found[name] = value
            elif name in _LISTS:
                found[name] = found[name] + b", " + value
            else:
                text = name.decode("ascii")
                raise InvalidRequest(
                    f"The header '{text}' is there twice: send it once.", field=text
                )
    return found


class Admission:
    """The Host and Origin rules of one server."""

    def __init__(self, settings: Settings) -> None:
        self._any_host = "*" in settings.server.allowed_hosts
        self._hosts = frozenset(
            _bare(host) for host in (*LOOPBACK_HOSTS, settings.host, *settings.server.allowed_hosts)
        )
        self._origins = frozenset(o.lower().rstrip("/") for o in settings.server.allowed_origins)
        # The same few Host values come with every request; strangers' cannot fill the memory.
        self._judge_host = lru_cache(maxsize=64)(self._host_problem)

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise ``InvalidRequest`` or ``Forbidden`` for a request that may not come in."""
        host = headers.get(b"host")
        if host is None:
            raise InvalidRequest("The Host header is missing: send one.", field="host")
        problem = self._judge_host(host)
        if problem == "malformed":
            raise InvalidRequest("The Host header is not a host name with a port.", field="host")
        if problem is not None:
            raise Forbidden(
                "This Host name is not served here: add it to server.allowed_hosts "
                "if it is meant to be.",
                field="host",
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._origin_allowed(origin, host):
            raise Forbidden(
                "Web pages of this origin may not call: add it to server.allowed_origins "
                "if they are meant to.",
                field="origin",
            )

    def is_preflight(self, method: str, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a browser asks for permission before a request (CORS preflight)."""
        return (
            method == "OPTIONS"
            and b"origin" in headers
            and b"access-control-request-method" in headers
        )

    def response_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """What a browser must be told so that an allowed origin's page may read the answer."""
        origin = headers.get(b"origin")
        if origin is None or not self._listed(origin):
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED_HEADERS),
            (b"vary", b"origin"),
        ]

    def preflight_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """The permission for an allowed origin; nothing for the server's own pages."""
        allowed = self.response_headers(headers)
        if not allowed:
            return []
        return [
            *allowed,
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (
                b"access-control-allow-headers",
                # The wildcard does not cover authorization; client libraries send many others.
                b"authorization, *",
            ),
            (b"access-control-max-age", b"600"),
        ]

    def _host_problem(self, raw: bytes) -> str | None:
        match = _HOST.fullmatch(raw.decode("latin-1").lower())
        if match is None:
            return "malformed"
        if self._any_host or _bare(match["name"]) in self._hosts:
            return None
        return "unknown"

    def _listed(self, origin: bytes) -> bool:
        return "*" in self._origins or origin.decode("latin-1").lower() in self._origins

    def _origin_allowed(self, origin: bytes, host: bytes) -> bool:
        # The Host was checked before, so a page from that very host is the server's own.
        scheme, separator, authority = origin.lower().partition(b"://")
        own = bool(separator) and scheme in (b"http", b"https") and authority == host.lower()
        return own or self._listed(origin)


def _bare(host: str) -> str:
    match = _HOST.fullmatch(host.strip().lower())
    name = match["name"] if match else host.strip().lower()
    return name.removeprefix("[").removesuffix("]")
