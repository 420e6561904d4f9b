"""The OpenAI chat dialect, under one name: ``from hybrid_coordinator.wire import openai``."""

from hybrid_coordinator.wire.openai_answers import encode_completion, parse_completion
from hybrid_coordinator.wire.openai_errors import error_body, error_type
from hybrid_coordinator.wire.openai_requests import (
    validate_chat_request,
    validate_embeddings_request,
)
from hybrid_coordinator.wire.openai_stream import DONE, ChunkEncoder, parse_chunk, strip_usage

__all__ = [
    "DONE",
    "ChunkEncoder",
    "encode_completion",
    "error_body",
    "error_type",
    "parse_chunk",
    "parse_completion",
    "strip_usage",
    "validate_chat_request",
    "validate_embeddings_request",
]
