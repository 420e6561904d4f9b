"""What a backend's HTTP status and error body mean for us.

One place decides which of a backend's complaints are the client's business
(a malformed tool schema), which are the operator's (a wrong API key), and
which only mean "ask somebody else". Connection failures are mapped in
``transport``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from hybrid_coordinator.errors import (
    BackendError,
    BackendOverloaded,
    BackendRejected,
    BackendUnavailable,
)

_MAX_MESSAGE: Final = 500
_OVERLOADED: Final = frozenset({429, 503, 529})
_TRANSIENT_4XX: Final = frozenset({408, 425})
_CONTEXT_CODES: Final = frozenset({"context_length_exceeded", "exceed_context_size_error"})
# Errors inside a stream carry no code, and Anthropic has none for it: the servers' own words.
_CONTEXT_WORDS: Final = (
    "prompt is too long",
    "exceed context limit",
    "exceeds the available context size",
    "maximum context length",
)


class BackendUnreachable(BackendUnavailable):
    """No connection could be opened: the server is not there."""


class BackendLacks(BackendRejected):
    """This backend cannot serve the call, another one may: no such model there."""


class BackendContextTooLong(BackendLacks):
    """The prompt is longer than this backend's context."""


def upstream_error(
    backend: str,
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    *,
    secret: str | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> BackendError:
    """The error for an answer of ``status`` ≥ 400. ``secret`` never appears in its message."""
    message, code, field = _read(body)
    if secret:
        message = message.replace(secret, "[redacted]")
    said = f": {message}" if message else ""
    if status in (401, 402, 403):
        return key_refused(backend, status)
    if status in _OVERLOADED:
        return BackendOverloaded(
            f"backend '{backend}' is overloaded (HTTP {status}){said}",
            backend=backend,
            retry_after=retry_after(headers, wall_clock()),
        )
    if status >= 500 or status in _TRANSIENT_4XX:
        failed = BackendUnavailable(
            f"backend '{backend}' failed (HTTP {status}){said}",
            backend=backend,
            retry_after=retry_after(headers, wall_clock()),
        )
        failed.retryable = status != 501
        return failed
    kind: type[BackendRejected] = BackendRejected
    lowered = message.lower()
    if status == 413 or code or any(words in lowered for words in _CONTEXT_WORDS):
        kind = BackendContextTooLong
    elif status == 404:
        kind = BackendLacks
    return kind(
        f"backend '{backend}' rejected the request (HTTP {status}){said}",
        backend=backend,
        upstream_status=status,
        field=field,
    )


def key_refused(backend: str, status: int) -> BackendUnavailable:
    """The backend refused our key: for the operator, never a 401 to the client."""
    error = BackendUnavailable(
        f"backend '{backend}' refused our API key (HTTP {status}): check the file that "
        f"backends.{backend}.api_key_file names, and that the account may use the model",
        backend=backend,
    )
    error.retryable = False
    return error


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds a backend wants to be left alone.

    Reads ``retry-after-ms`` (OpenAI), else ``Retry-After`` as seconds or as a
    date (RFC 9110, section 10.2.3) relative to ``now`` (epoch seconds).
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000.0
    value = headers.get("retry-after")
    if value is None or (seconds := _number(value)) is not None:
        return None if value is None else seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0.0 <= value < float("inf") else None


def _read(body: bytes) -> tuple[str, str, str | None]:
    """Message, code (one of ``_CONTEXT_CODES``, else empty) and field of any error body."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        # An HTML page of a proxy helps nobody; one line of plain text may.
        text = body[: _MAX_MESSAGE * 4].decode("utf-8", "replace").strip()
        return ("" if text.startswith("<") else text[:_MAX_MESSAGE]), "", None
    error = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(error, dict):
        return str(error)[:_MAX_MESSAGE], "", None
    message = error.get("message") or error.get("detail") or ""
    codes = (error.get("code"), error.get("type"))
    code = next((c for c in codes if isinstance(c, str) and c in _CONTEXT_CODES), "")
    field = error.get("param")
    return str(message)[:_MAX_MESSAGE], code, field if isinstance(field, str) else None
