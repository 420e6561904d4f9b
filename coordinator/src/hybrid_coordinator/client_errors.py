"""An error that a coordinator answered with, as it was raised there; for programs that ask one.

Statuses and codes are those of ``errors``. Not for backends' answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
import orjson

from hybrid_coordinator import errors
from hybrid_coordinator.errors import HybridError


def error_in(response: httpx.Response) -> HybridError:
    """The error that the coordinator answered with, as it was raised there."""
    status = response.status_code
    message, field, code = f"the coordinator answered with status {status}", None, ""
    try:
        told: Any = orjson.loads(response.content)["error"]
        message, field, code = str(told["message"]), told.get("param"), str(told.get("code"))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        code = "no_error_object"  # Not a coordinator's: a proxy in between answered.
    after = response.headers.get("retry-after", "")
    kind = _KINDS.get(code, HybridError)
    error = kind(message, field=field, retry_after=float(after) if after.isdecimal() else None)
    error.status, error.code = status, code
    return error


class _NoBackend(errors.NoBackend):
    """What was tried is in the message."""

    def __init__(
        self, message: str, *, field: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)


_KINDS: Final[Mapping[str, Callable[..., HybridError]]] = {
    kind.code: kind
    for kind in (
        errors.InvalidRequest,
        errors.Unprocessable,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.UnknownModel,
        errors.Conflict,
        errors.MethodNotAllowed,
        errors.RequestTimeout,
        errors.RequestTooLarge,
        errors.UnsupportedMediaType,
        errors.ContextTooLong,
        errors.Unsupported,
        errors.AnswerRejected,
        _NoBackend,
        errors.StoreUnavailable,
        errors.CollectionMismatch,
        errors.OutboxFull,
        errors.EmbeddingError,
    )
}
"""Errors by their code; those of single backends stay ``HybridError`` with status and code."""
