"""Checks the bodies of Anthropic requests before anything relies on them."""

from __future__ import annotations

from typing import Final

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.wire.anthropic_schemas import CountTokensRequest, MessagesRequest
from hybrid_coordinator.wire.request_check import RequestCheck

MESSAGES_CHECK: Final = RequestCheck(MessagesRequest)
COUNT_TOKENS_CHECK: Final = RequestCheck(CountTokensRequest)


def validate_messages_request(body: bytes, max_depth: int) -> Json:
    """The body of POST /v1/messages, unknown fields and all.

    Raises:
        InvalidRequest: with the path of the field at fault.
    """
    return MESSAGES_CHECK.parse(body, max_depth)


def validate_count_tokens_request(body: bytes, max_depth: int) -> Json:
    """The body of POST /v1/messages/count_tokens; like messages, without ``max_tokens``.

    Raises:
        InvalidRequest: with the path of the field at fault.
    """
    return COUNT_TOKENS_CHECK.parse(body, max_depth)
