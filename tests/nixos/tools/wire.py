"""HTTP/1.1 on a raw socket, so that a tool sees what a client sees: refused, cut, or whole.

``exchange`` sends one request on a connection of its own and reads the response to its end. A
response is whole if it is as long as its header says, or its last chunk arrived; everything less is
``Cut``. No retries, no pool: what a library would repair in silence is what the tests look for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any


class Cut(Exception):
    """The connection ended before the response did."""


class Target:
    """A coordinator's address and the key that it is asked with."""

    def __init__(self, address: str, key: str | None) -> None:
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self._key = key

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """The bytes of a request that nothing may answer from a cache."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "Cache-Control: no-store"]
        if self._key is not None:
            lines.append(f"Authorization: Bearer {self._key}")
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + content


async def exchange(
    target: Target, request: bytes, on_data: Callable[[bytes], None] = lambda data: None
) -> tuple[int, bytes]:
    """A request's status and body; ``on_data`` sees each piece of the body as it comes.

    Raises:
        ConnectionRefusedError: nobody listens.
        Cut: the response is not whole.
    """
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(request)
        await writer.drain()
        return await _response(reader, on_data)
    except (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError) as error:
        raise Cut(f"{type(error).__name__}: {error}") from error
    finally:
        writer.close()


async def _response(
    reader: asyncio.StreamReader, on_data: Callable[[bytes], None]
) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    pairs = (line.partition(":") for line in head.split("\r\n")[1:])
    headers = {name.strip(): value.strip() for name, _, value in pairs}
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            piece = await reader.readexactly(size)
            await reader.readexactly(2)
            on_data(piece)
            body += piece
        await reader.readuntil(b"\r\n")
        return status, body
    if "content-length" not in headers:
        raise Cut("the response says neither how long it is nor that it comes in chunks")
    body = await reader.readexactly(int(headers["content-length"]))
    on_data(body)
    return status, body
