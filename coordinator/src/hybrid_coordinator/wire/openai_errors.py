"""OpenAI's error object, for every error of this package."""

from __future__ import annotations

from typing import Final

import orjson

from hybrid_coordinator.errors import HybridError

_TYPES: Final[dict[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_type(status: int) -> str:
    """OpenAI's ``type`` for an HTTP status."""
    if status >= 500:
        return "server_error"
    return _TYPES.get(status, "invalid_request_error")


def error_body(error: HybridError) -> bytes:
    """``{"error": {message, type, param, code}}``."""
    return orjson.dumps(
        {
            "error": {
                "message": error.message,
                "type": error_type(error.status),
                "param": error.field,
                "code": error.code,
            }
        }
    )
