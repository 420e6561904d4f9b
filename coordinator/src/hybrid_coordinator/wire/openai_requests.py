"""Checks the bodies of OpenAI requests before anything relies on them."""

from __future__ import annotations

from typing import Final

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.wire.openai_schemas import ChatCompletionRequest, EmbeddingsRequest
from hybrid_coordinator.wire.request_check import RequestCheck

CHAT_CHECK: Final = RequestCheck(ChatCompletionRequest)
EMBEDDINGS_CHECK: Final = RequestCheck(EmbeddingsRequest)


def validate_chat_request(body: bytes, max_depth: int) -> Json:
    """The body of a chat completion, unknown fields and all.

    Raises:
        InvalidRequest: with the path of the field at fault.
    """
    return CHAT_CHECK.parse(body, max_depth)


def validate_embeddings_request(body: bytes, max_depth: int) -> Json:
    """The body of an embeddings request; ``input`` is a text or a list of texts.

    Raises:
        InvalidRequest: with the path of the field at fault.
    """
    return EMBEDDINGS_CHECK.parse(body, max_depth)
