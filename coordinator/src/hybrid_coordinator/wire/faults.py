"""What can be wrong with the bytes a backend sends. ``inference`` turns both into its errors."""

from __future__ import annotations


class ProtocolError(ValueError):
    """The bytes are not the protocol they should be; the message is a sentence that says why."""


class StreamError(Exception):
    """The backend reported an error inside a stream that had begun with status 200.

    Attributes:
        message: what it said.
        status: the HTTP status it named, or that its error type stands for, if any.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
