"""A backend that answers at once, or after a fixed wait, so that what is left is the gateway.

Speaks just enough HTTP/1.1 to be an OpenAI-compatible server: keep-alive, fixed
bodies, server-sent events. The wait is in the path: ``/0/v1/…`` answers at
once, ``/20/v1/…`` after 20 ms. Run as a process of its own:
``python -m tests.benchmarks.stub_upstream PORT``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from typing import cast

import uvloop

MODEL = "stub-model"
CHUNKS = 20

_TEXT = "This is a fixed answer of the stub, long enough to look like one. "


def _completion() -> bytes:
    return json.dumps(
        {
            "id": "chatcmpl-stub",
            "object": "chat.completion",
            "created": 1700000000,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": _TEXT * 3},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 20, "completion_tokens": 45, "total_tokens": 65},
        }
    ).encode()


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    body = {
        "id": "chatcmpl-stub",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _response(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


COMPLETION = _response(_completion())
_EVENTS = [
    _chunk({"role": "assistant", "content": ""}),
    *(_chunk({"content": f"word{n} "}) for n in range(CHUNKS)),
    _chunk({}, "stop"),
    b"data: [DONE]\n\n",
]
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in _EVENTS)
    + b"0\r\n\r\n"
)
MODELS = _response(json.dumps({"object": "list", "data": [{"id": MODEL}]}).encode())


class Stub(asyncio.Protocol):
    """One connection. Requests come one after the other, as HTTP/1.1 clients send them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            length = 0
            for line in head.split(b"\r\n")[1:]:
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        path = head.split(b" ", 2)[1]
        if path.endswith(b"/models") or path.endswith(b"/health"):
            self._transport.write(MODELS)
            return
        flat = body.replace(b" ", b"")
        answer = STREAM if b'"stream":true' in flat else COMPLETION
        wait = path.split(b"/")[1]
        if wait in (b"0", b"v1"):
            self._transport.write(answer)
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(int(wait) / 1000, partial(self._transport.write, answer))


async def main(port: int) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", port)
    print(f"stub upstream on {port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
