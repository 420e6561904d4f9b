"""The embedded backend: llama.cpp on this machine, without a server to install.

Asked like any server that speaks OpenAI's protocol; the server is a child
process, see ``engine_process``. The first probe starts it.
"""

from __future__ import annotations

import orjson

from hybrid_coordinator.conversation import ModelCall
from hybrid_coordinator.errors import BackendProtocolError
from hybrid_coordinator.inference.engine_process import EngineProcess
from hybrid_coordinator.inference.http_backend import COUNT_SECONDS
from hybrid_coordinator.inference.openai_compatible import CHAT_PATH, OpenAICompatibleBackend
from hybrid_coordinator.inference.transport import HttpTransport
from hybrid_coordinator.settings import BackendSettings


class EmbeddedBackend(OpenAICompatibleBackend):
    """llama.cpp in a child process."""

    def __init__(self, name: str, settings: BackendSettings, process: EngineProcess) -> None:
        super().__init__(name, settings, None, process)
        self.process = process

    @property
    def _transport(self) -> HttpTransport:
        return self.process.transport or super()._transport

    async def count_tokens(self, call: ModelCall) -> int | None:
        path = f"{CHAT_PATH}/input_tokens"
        body = orjson.dumps(call.body)
        reply = await self._transport.post_within(path, body, limit=COUNT_SECONDS)
        try:
            return int(orjson.loads(reply.body)["input_tokens"])
        except (ValueError, KeyError, TypeError) as error:
            raise BackendProtocolError(
                f"backend '{self.name}' gave no count of tokens", backend=self.name
            ) from error
