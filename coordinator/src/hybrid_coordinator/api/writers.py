"""Which bytes of an answer go out: the backend's own where the dialect fits, else encoded ones.

The encoders are those of ``wire``; this chooses between them and ``raw`` for
whole answers and, increment by increment, for streams.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from hybrid_coordinator.conversation import ChatRequest, Completion, Delta, Dialect
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.wire import anthropic, openai


class StreamWriter(Protocol):
    """Turns the increments of one answer into the bytes of one stream."""

    def encode(self, delta: Delta) -> bytes:
        """The events for an increment; empty where the client would see nothing of it."""

    def finish(self) -> bytes:
        """The events that end a complete answer."""

    def error(self, error: HybridError) -> bytes:
        """The event that ends an answer which cannot be completed."""


def encode(completion: Completion, dialect: Dialect) -> bytes:
    """A whole answer in the client's dialect."""
    if completion.raw is not None and completion.raw_dialect is dialect:
        return completion.raw
    if dialect is Dialect.ANTHROPIC:
        return anthropic.encode_message(completion)
    return openai.encode_completion(completion)


def stream_writer(request: ChatRequest, now: Callable[[], float] = time.time) -> StreamWriter:
    """The writer for a request's dialect. ``now`` gives epoch seconds."""
    if request.dialect is Dialect.ANTHROPIC:
        return _AnthropicWriter(request)
    return _OpenAIWriter(request, now)


class _OpenAIWriter:
    def __init__(self, request: ChatRequest, now: Callable[[], float]) -> None:
        self._request = request
        self._include_usage = request.include_usage
        self._now = now
        self._encoder: openai.ChunkEncoder | None = None
        self._passed_on = b""

    def encode(self, delta: Delta) -> bytes:
        if delta.raw is not None and delta.raw_dialect is Dialect.OPENAI:
            self._passed_on = delta.raw
            if delta.usage is None or self._include_usage:
                return delta.raw
            return openai.strip_usage(delta.raw) or b""
        if self._encoder is None:
            self._encoder = openai.ChunkEncoder(
                delta.id or f"chatcmpl-{self._request.interaction_id}",
                delta.model or self._request.model,
                int(self._now()),
                self._include_usage,
            )
        return self._encoder.encode(delta)

    def finish(self) -> bytes:
        if self._passed_on and self._encoder is None:
            return b"" if self._passed_on.endswith(openai.DONE) else openai.DONE
        if self._encoder is None:
            self.encode(Delta())
        return b"" if self._encoder is None else self._encoder.finish()

    def error(self, error: HybridError) -> bytes:
        return b"data: " + openai.error_body(error) + b"\n\n"


class _AnthropicWriter:
    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._encoder: anthropic.EventEncoder | None = None
        self._passed_on = b""

    def encode(self, delta: Delta) -> bytes:
        if delta.raw is not None and delta.raw_dialect is Dialect.ANTHROPIC:
            self._passed_on = delta.raw
            return delta.raw
        if self._encoder is None:
            self._encoder = anthropic.EventEncoder(
                delta.id or f"msg_{self._request.interaction_id}",
                delta.model or self._request.model,
            )
        return self._encoder.encode(delta)

    def finish(self) -> bytes:
        if self._passed_on and self._encoder is None:
            stopped = b"event: message_stop" in self._passed_on
            return b"" if stopped else anthropic.MESSAGE_STOP
        if self._encoder is None:
            self.encode(Delta())
        return b"" if self._encoder is None else self._encoder.finish()

    def error(self, error: HybridError) -> bytes:
        body = anthropic.error_body(error, self._request.interaction_id)
        return b"event: error\ndata: " + body + b"\n\n"
