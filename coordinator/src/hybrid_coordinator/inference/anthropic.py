"""Anthropic's API: ``/v1/messages``, and its own count of tokens.

A client that speaks Anthropic's dialect has its own body sent; any other call
is translated by ``wire.anthropic``, where all knowledge of the dialect is.
"""

from __future__ import annotations

import time
from typing import Final

import orjson

from hybrid_coordinator.conversation import Completion, Delta, Dialect, Json, ModelCall
from hybrid_coordinator.errors import BackendProtocolError
from hybrid_coordinator.inference.http_backend import COUNT_SECONDS, HttpBackend, StreamReader
from hybrid_coordinator.wire import anthropic
from hybrid_coordinator.wire.sse import ServerSentEvent

MESSAGES_PATH: Final = "/v1/messages"
_COUNTED: Final = ("model", "messages", "system", "tools", "tool_choice", "thinking")


class AnthropicBackend(HttpBackend):
    """Anthropic, or what speaks its dialect."""

    @property
    def _path(self) -> str:
        return MESSAGES_PATH

    def _body(self, call: ModelCall) -> Json:
        if call.native is not None and call.native_dialect is Dialect.ANTHROPIC:
            return anthropic.native_call(call.native, call.api_model)
        limit = next(
            (m.max_output_tokens for m in self.settings.models if m.name == call.api_model),
            self.settings.models[0].max_output_tokens,
        )
        return anthropic.chat_to_messages(call.body, call.api_model, limit)

    def _parse(self, body: bytes) -> Completion:
        return anthropic.parse_message(body, created=int(time.time()))

    def _reader(self) -> StreamReader:
        return _Reader()

    async def count_tokens(self, call: ModelCall) -> int | None:
        message = self._body(call)
        body = orjson.dumps({key: message[key] for key in _COUNTED if key in message})
        path = f"{MESSAGES_PATH}/count_tokens"
        reply = await self._transport.post_within(path, body, limit=COUNT_SECONDS)
        try:
            return int(orjson.loads(reply.body)["input_tokens"])
        except (ValueError, KeyError, TypeError) as error:
            raise BackendProtocolError(
                f"backend '{self.name}' gave no count of tokens", backend=self.name
            ) from error


class _Reader(StreamReader):
    """Complete at ``message_stop``, and at nothing less."""

    def __init__(self) -> None:
        self._parser = anthropic.EventParser()
        self._done = False

    @property
    def complete(self) -> bool:
        return self._done

    @property
    def may_end(self) -> bool:
        return self._done

    def read(self, event: ServerSentEvent) -> Delta | None:
        self._done = self._done or event.event == "message_stop"
        return self._parser.parse(event)
