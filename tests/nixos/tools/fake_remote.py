"""A paid API as far as the coordinator can tell: OpenAI-compatible, with a key, on loopback.

It lists its models and answers chat completions, whole or as server-sent events. How long an answer
is and how slowly it comes is in the question: ``[pieces=40 pause=0.25]`` gives 40 pieces, one every
quarter of a second. Where the request asks for JSON by a schema (``response_format``), the answer
is the document that a test gave by ``PUT /structured``. ``GET /seen`` tells a test what arrived. It
runs inside the machine under test with the standard library alone, also as a local model server;
not for judging what a model says, since there is no model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_BODY = 16 * 1024 * 1024
PACE = re.compile(r"\[pieces=(\d{1,4}) pause=(\d+(?:\.\d+)?)\]")
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass
class Seen:
    """What arrived so far."""

    requests: int = 0
    chats: int = 0
    unauthorized: int = 0
    last_question: str = ""
    structured: int = 0
    last_schema: Any = None


@dataclass
class Api:
    """One fake: its models, its key (None: everybody may ask) and what it saw."""

    models: list[str]
    key: str | None
    seen: Seen = field(default_factory=Seen)
    structured: Any = None
    """What it answers where JSON is asked for; None: it cannot."""

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection's requests one after the other until the client closes it."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await _body(reader, headers)
        if path == "/seen":
            _send(writer, 200, vars(self.seen))
        elif f"{method} {path}" == "PUT /structured":
            self.structured = json.loads(body)
            _send(writer, 200, {})
        else:
            self.seen.requests += 1
            await self._answer(writer, f"{method} {path}", headers, body)
        await writer.drain()
        return headers.get("connection", "").lower() != "close"

    async def _answer(
        self, writer: asyncio.StreamWriter, what: str, headers: dict[str, str], body: bytes
    ) -> None:
        presented = headers.get("authorization", "")
        if self.key is not None and not hmac.compare_digest(presented, f"Bearer {self.key}"):
            self.seen.unauthorized += 1
            _send(writer, 401, _error("Incorrect API key provided.", "invalid_api_key"))
        elif what == "GET /v1/models":
            models = [{"id": m, "object": "model", "owned_by": "fake"} for m in self.models]
            _send(writer, 200, {"object": "list", "data": models})
        elif what == "POST /v1/chat/completions":
            await self._chat(writer, json.loads(body))
        else:
            _send(writer, 404, _error(f"Invalid URL ({what})", None))

    async def _chat(self, writer: asyncio.StreamWriter, request: dict[str, Any]) -> None:
        if request.get("model") not in self.models:
            _send(writer, 404, _error("The model does not exist.", "model_not_found"))
            return
        question = _question(request)
        self.seen.chats += 1
        self.seen.last_question = question
        wanted = request.get("response_format") or {}
        if wanted.get("type") == "json_schema" and self.structured is None:
            _send(writer, 400, _error("This model has no structured output.", None))
            return
        found = PACE.search(question)
        count, pause = (int(found[1]), float(found[2])) if found else (5, 0.0)
        pieces = _pieces(count, pause)
        if wanted.get("type") == "json_schema":
            self.seen.structured += 1
            self.seen.last_schema = wanted["json_schema"]["schema"]
            pieces = _document(self.structured)
        usage = {"prompt_tokens": 10, "completion_tokens": count, "total_tokens": 10 + count}
        head = {"id": f"chatcmpl-{self.seen.chats}", "created": 0, "model": request["model"]}
        if request.get("stream"):
            await _stream(writer, head, pieces, usage)
            return
        text = "".join([piece async for piece in pieces])
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        _send(
            writer,
            200,
            {**head, "object": "chat.completion", "choices": [choice], "usage": usage},
        )


async def _pieces(count: int, pause: float) -> AsyncIterator[str]:
    """The answer's text, piece by piece: a reader can tell that none is missing."""
    for number in range(count):
        if pause:
            await asyncio.sleep(pause)
        yield f"piece-{number} "


async def _document(document: Any) -> AsyncIterator[str]:
    """A document's text in two pieces, neither of which is JSON by itself."""
    text = json.dumps(document)
    yield text[: len(text) // 2]
    yield text[len(text) // 2 :]


async def _stream(
    writer: asyncio.StreamWriter,
    head: dict[str, Any],
    pieces: AsyncIterator[str],
    usage: dict[str, int],
) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )

    async def event(data: str) -> None:
        encoded = f"data: {data}\n\n".encode()
        writer.write(b"%x\r\n%b\r\n" % (len(encoded), encoded))
        await writer.drain()

    def chunk(delta: dict[str, str], reason: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]})

    await event(chunk({"role": "assistant", "content": ""}, None))
    async for piece in pieces:
        await event(chunk({"content": piece}, None))
    await event(chunk({}, "stop"))
    last = {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}
    await event(json.dumps(last))
    await event("[DONE]")
    writer.write(b"0\r\n\r\n")


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts = []
        while size := int((await reader.readline()).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readline()
        return b"".join(parts)
    length = int(headers.get("content-length", "0"))
    if length > MAX_BODY:
        raise ConnectionError(f"a body of {length} bytes is more than a test sends")
    return await reader.readexactly(length)


def _question(request: dict[str, Any]) -> str:
    """The text of the last message."""
    content = request["messages"][-1].get("content", "")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return str(content)


def _error(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


def _send(writer: asyncio.StreamWriter, status: int, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)


async def serve(host: str, port: int, api: Api) -> None:
    """Listen until the process is ended."""
    server = await asyncio.start_server(api.connection, host, port, backlog=1024)
    address = server.sockets[0].getsockname()
    print(f"the fake remote API answers at http://{address[0]}:{address[1]}/v1", flush=True)
    async with server:
        await server.serve_forever()


def main(arguments: list[str]) -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--key-file", type=Path, help="file with the one key that is accepted")
    parser.add_argument("--model", action="append", help="a model it has; may be repeated")
    given = parser.parse_args(arguments)
    key = given.key_file.read_text(encoding="utf-8").strip() if given.key_file else None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.host, given.port, Api(given.model or ["fake-large"], key)))


if __name__ == "__main__":
    main(sys.argv[1:])
