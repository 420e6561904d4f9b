"""The Anthropic dialect, under one name: ``from hybrid_coordinator.wire import anthropic``."""

from hybrid_coordinator.wire.anthropic_answers import encode_message, parse_message
from hybrid_coordinator.wire.anthropic_errors import error_body, error_type, status_of
from hybrid_coordinator.wire.anthropic_events import MESSAGE_STOP, PING, EventEncoder
from hybrid_coordinator.wire.anthropic_from_chat import (
    API_VERSION,
    accepts_sampling,
    chat_to_messages,
    native_call,
)
from hybrid_coordinator.wire.anthropic_requests import (
    validate_count_tokens_request,
    validate_messages_request,
)
from hybrid_coordinator.wire.anthropic_stream import EventParser
from hybrid_coordinator.wire.anthropic_to_chat import messages_to_chat

__all__ = [
    "API_VERSION",
    "MESSAGE_STOP",
    "PING",
    "EventEncoder",
    "EventParser",
    "accepts_sampling",
    "chat_to_messages",
    "encode_message",
    "error_body",
    "error_type",
    "messages_to_chat",
    "native_call",
    "parse_message",
    "status_of",
    "validate_count_tokens_request",
    "validate_messages_request",
]
