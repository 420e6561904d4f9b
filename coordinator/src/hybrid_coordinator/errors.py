"""Every error this package raises on purpose, as one tree.

Each carries what the edge needs to answer a client: an HTTP status, a stable
machine-readable code, the request field at fault where there is one, and a
sentence that says what is wrong and what to do. The dialects in ``api``
render them; nothing here knows a wire format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class HybridError(Exception):
    """Base of all deliberate errors.

    Attributes:
        status: the HTTP status an API client sees.
        code: a stable identifier for programs.
        field: path of the request field or setting at fault (``messages[0].role``), if any.
        message: one or two sentences: what is wrong, what to do.
        retry_after: seconds after which a retry is worth it, if known.
    """

    status: int = 500
    code: str = "internal_error"

    def __init__(
        self, message: str, *, field: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after


class SettingsError(HybridError):
    """A setting is unknown, of the wrong type, or impossible together with another."""

    code = "invalid_settings"


class ResourceBusy(SettingsError):
    """What the settings name (a port, a directory) is not to be had now; later it may be."""

    code = "resource_busy"


# What the client did wrong.


class RequestError(HybridError):
    """The client's request cannot be served as it stands; always a 4xx."""

    status = 400
    code = "invalid_request"


class InvalidRequest(RequestError):
    """Malformed JSON, a wrong type, a missing or impossible field."""


class Unprocessable(RequestError):
    """Well-formed, but a value does not fit what is stored (a vector of another size, say)."""

    status = 422
    code = "unprocessable"


class Unauthorized(RequestError):
    """No key, or one that is not known."""

    status = 401
    code = "invalid_api_key"


class Forbidden(RequestError):
    """The Host header or the caller is not allowed here."""

    status = 403
    code = "forbidden"


class NotFound(RequestError):
    """No such path, collection, or interaction."""

    status = 404
    code = "not_found"


class UnknownModel(RequestError):
    """The ``model`` is neither ``auto`` nor one that a backend offers."""

    status = 404
    code = "model_not_found"


class Conflict(RequestError):
    """Something else was said before; ``replace`` says that this is meant."""

    status = 409
    code = "conflict"


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(RequestError):
    """The body did not arrive in time."""

    status = 408
    code = "request_timeout"


class RequestTooLarge(RequestError):
    """The body is over ``server.max_body_bytes``."""

    status = 413
    code = "request_too_large"


class UnsupportedMediaType(RequestError):
    """The body is not JSON."""

    status = 415
    code = "unsupported_media_type"


class ContextTooLong(RequestError):
    """The conversation is longer than the context of every backend that could serve it."""

    code = "context_length_exceeded"


class Unsupported(RequestError):
    """No configured backend has a capability the request needs (images, tools)."""

    code = "unsupported"


# What a backend did wrong.


@dataclass(frozen=True, slots=True)
class Attempt:
    """One backend that was tried, or passed over, and why it gave no answer."""

    backend: str
    why: str


class BackendError(HybridError):
    """A backend gave no usable answer.

    ``retryable`` says whether the same backend may be asked again at once.
    """

    status = 502
    code = "backend_error"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        backend: str,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, field=field, retry_after=retry_after)
        self.backend = backend


class BackendUnavailable(BackendError):
    """Refused, reset, 5xx, breaker open, or not ready."""

    status = 503
    code = "backend_unavailable"
    retryable = True


class BackendOverloaded(BackendUnavailable):
    """429 or a full queue; ``retry_after`` is the backend's own wish where it gave one."""

    code = "backend_overloaded"


class BackendTimeout(BackendError):
    """No first byte, or no next byte, within the backend's limit."""

    status = 504
    code = "backend_timeout"
    retryable = True


class BackendRejected(BackendError):
    """The backend understood and refused: a 4xx of its own, passed to the client as it is.

    ``upstream_status`` is the status the backend gave.
    """

    code = "backend_rejected"

    def __init__(
        self, message: str, *, backend: str, upstream_status: int, field: str | None = None
    ) -> None:
        super().__init__(message, backend=backend, field=field)
        self.status = upstream_status
        self.upstream_status = upstream_status


class BackendProtocolError(BackendError):
    """The backend's bytes are not the protocol it was declared to speak."""

    code = "backend_protocol_error"


class AnswerRejected(HybridError):
    """Validation rejected the answer and no further backend could be asked."""

    status = 502
    code = "answer_rejected"


class NoBackend(HybridError):
    """Nothing that could answer is able to; ``attempts`` names each and why."""

    status = 503
    code = "no_backend"

    def __init__(
        self, message: str, *, attempts: Sequence[Attempt] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.attempts = tuple(attempts)


# What a store or the embedder did wrong; the pipeline skips the step and says so.


class StoreUnavailable(HybridError):
    """A store (Redis, Qdrant, the embedded ones) cannot be reached or refused the operation."""

    status = 503
    code = "store_unavailable"


class CollectionMismatch(HybridError):
    """A collection's vector size or distance is not the embedder's; needs ``reindex``."""

    status = 503
    code = "collection_mismatch"


class OutboxFull(HybridError):
    """The outbox holds as much as it may; ``retry_after`` says when to try again."""

    status = 503
    code = "outbox_full"


class EmbeddingError(HybridError):
    """The embedder failed; nothing is stored or searched in its place."""

    status = 503
    code = "embedding_failed"
