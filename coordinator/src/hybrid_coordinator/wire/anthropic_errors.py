"""Anthropic's error object, for every error of this package."""

from __future__ import annotations

from typing import Final

import orjson

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import HybridError

_TYPES: Final[dict[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUSES: Final = {kind: status for status, kind in _TYPES.items()}


def error_type(status: int) -> str:
    """Anthropic's ``type`` for an HTTP status."""
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def status_of(kind: object) -> int | None:
    """The HTTP status an error type stands for; overloaded is 529."""
    return _STATUSES.get(kind) if isinstance(kind, str) else None


def error_body(error: HybridError, request_id: str | None = None) -> bytes:
    """``{"type": "error", "error": {type, message}, "request_id"}``.

    The dialect has no place for the field at fault, so the message begins with it.
    """
    told = error.field is None or error.field in error.message
    message = error.message if told else f"{error.field}: {error.message}"
    body: Json = {
        "type": "error",
        "error": {"type": error_type(error.status), "message": message},
    }
    if request_id is not None:
        body["request_id"] = request_id
    return orjson.dumps(body)
