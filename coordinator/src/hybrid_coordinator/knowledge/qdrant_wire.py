"""How the Qdrant server is spoken to: its client, how much goes into a request, errors in words.

Not here: what is asked of it, and qdrant-client's local mode, which has no wire.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx
from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from hybrid_coordinator.knowledge.store import Point

SERVER_ERRORS: Final = (ApiException, QdrantException)
"""What the client raises for a server that is away or refuses."""

_ONE_REQUEST_EACH: Final = httpx.Limits(max_keepalive_connections=0)
"""Without TLS: Qdrant writes a large answer in parts, and on a connection used before the second
part waits 40 ms for a delayed acknowledgement (a search 48 ms, on a new connection 5 ms)."""

_KEPT_3_S: Final = httpx.Limits(keepalive_expiry=3.0)
"""With TLS, whose start costs more. Qdrant closes an idle connection after 5 s; a request sent at
that moment would fail."""

_POINTS: Final = 256
_BYTES: Final = 16 * 1024 * 1024
"""Of one request at most; Qdrant refuses above 32 MB (``service.max_request_size_mb``)."""

_DENSE_BYTES: Final = 24
_SPARSE_BYTES: Final = 40
"""JSON of one number of a dense vector, and of one index with its weight; both rounded up."""


def server_client(url: str, api_key: str | None, timeout: float) -> AsyncQdrantClient:
    """A client for the server at ``url``; it connects when it is first used.

    A URL without a port means its scheme's own, as everywhere else, and not
    the client's 6333. ``timeout`` in seconds.
    """
    parsed = httpx.URL(url)
    with warnings.catch_warnings():
        # A key without TLS is how servers on one machine are set up; nobody can act on the warning.
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        return AsyncQdrantClient(
            url=url,
            port=parsed.port or (443 if parsed.scheme == "https" else 80),
            api_key=api_key,
            timeout=max(1, round(timeout)),
            check_compatibility=False,  # it would block the event loop
            limits=_KEPT_3_S if parsed.scheme == "https" else _ONE_REQUEST_EACH,
        )


def batches(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    """The points in order, as many together as fit a request by number and by bytes."""
    start, filled = 0, 0
    for index, point in enumerate(points):
        size = _json_size(point)
        if index > start and (index - start == _POINTS or filled + size > _BYTES):
            yield points[start:index]
            start, filled = index, 0
        filled += size
    if points:
        yield points[start:]


def status(error: BaseException) -> int | None:
    """The HTTP status of a server's refusal; ``None`` for every other error."""
    return error.status_code if isinstance(error, UnexpectedResponse) else None


def in_words(error: BaseException) -> str:
    """Why an operation failed, in a sentence without its full stop."""
    code = status(error)
    if isinstance(error, UnexpectedResponse):
        said = _said(error.content) or error.reason_phrase or "no reason given"
        if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return f"it refuses the key (status {code}: {said}); check qdrant.api_key_file"
        return f"status {code}: {said}"
    if isinstance(error, ResponseHandlingException):
        error = error.source
    return _one_line(str(error)) or type(error).__name__


def _said(content: bytes) -> str:
    """The sentence in a refusal's body: JSON of Qdrant's, or plain text of a proxy's."""
    text = content.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
        return _one_line(str(body["status"]["error"]))
    except (ValueError, KeyError, TypeError):
        return _one_line(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(".")


def _json_size(point: Point) -> int:
    """About what the point takes in a request, never less: escaped text is longer than UTF-8."""
    vectors = _DENSE_BYTES * point.dense.size + _SPARSE_BYTES * len(point.sparse.indices)
    return vectors + len(json.dumps(point.payload))
