"""A client that says exactly the bytes it is told, for tests of the server under the edge."""

from __future__ import annotations

import asyncio
import json

from hybrid_coordinator.settings import ServerSettings, Settings
from tests.unit.api.scripted import Running

BODY = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
STREAM = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()


def post(body: bytes, *headers: str, declared: int | None = None) -> bytes:
    """A whole chat request as bytes."""
    length = len(body) if declared is None else declared
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Talk:
    """One connection, kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, server: Running) -> Talk:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(10):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode().rstrip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return int(first.split()[1]), {name: value for name, _, value in pairs}

    async def answer(self) -> tuple[int, bytes]:
        status, headers = await self.head()
        async with asyncio.timeout(10):
            body = await self.reader.readexactly(int(headers["content-length"]))
        return status, body

    async def rest(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(10):
            return await self.reader.read()

    def close(self) -> None:
        self.writer.close()


def settings(**server: object) -> Settings:
    return Settings(server=ServerSettings.model_validate(server))
