"""Every server that speaks OpenAI's chat protocol: Lemonade, Ollama, llama.cpp, OpenAI itself.

They differ in how one asks whether they are ready, which is in ``probes``;
the calls are the same. Bodies are sent as the pipeline made them.
"""

from __future__ import annotations

from typing import Final

from hybrid_coordinator.conversation import Completion, Delta, Json, ModelCall
from hybrid_coordinator.inference.http_backend import HttpBackend, StreamReader
from hybrid_coordinator.wire import openai
from hybrid_coordinator.wire.sse import ServerSentEvent

CHAT_PATH: Final = "/v1/chat/completions"


class OpenAICompatibleBackend(HttpBackend):
    """A server with ``/v1/chat/completions``. It has no cheap way to count tokens."""

    @property
    def _path(self) -> str:
        return CHAT_PATH

    def _body(self, call: ModelCall) -> Json:
        return call.body

    def _parse(self, body: bytes) -> Completion:
        return openai.parse_completion(body)

    def _reader(self) -> StreamReader:
        return _Reader()

    async def count_tokens(self, call: ModelCall) -> int | None:
        return None


class _Reader(StreamReader):
    """Complete at ``[DONE]``, or, where a server leaves that out, after a finish reason."""

    def __init__(self) -> None:
        self._done = False
        self._finished = False

    @property
    def complete(self) -> bool:
        return self._done

    @property
    def may_end(self) -> bool:
        return self._done or self._finished

    def read(self, event: ServerSentEvent) -> Delta | None:
        delta = openai.parse_chunk(event)
        if delta is None:
            self._done = True
        elif delta.finish_reason is not None:
            self._finished = True
        return delta
