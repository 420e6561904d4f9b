"""Bytes of the two chat protocols to canonical types and back; no I/O, no policy.

``openai`` and ``anthropic`` are the dialects; ``EventSplitter`` cuts the
streams of both into events; ``schemas.openapi_components`` describes both.
"""

from hybrid_coordinator.wire import anthropic, openai, schemas
from hybrid_coordinator.wire.faults import ProtocolError, StreamError
from hybrid_coordinator.wire.sse import EventSplitter, ServerSentEvent

__all__ = [
    "EventSplitter",
    "ProtocolError",
    "ServerSentEvent",
    "StreamError",
    "anthropic",
    "openai",
    "schemas",
]
