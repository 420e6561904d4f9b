"""A session of the official MCP client, over streamable HTTP and over stdio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


@asynccontextmanager
async def over_http(url: str, **headers: str) -> AsyncIterator[ClientSession]:
    """A session with ``url``/mcp that has said hello."""
    async with (
        httpx.AsyncClient(headers=headers, timeout=60) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as (incoming, outgoing, _),
        ClientSession(incoming, outgoing) as session,
    ):
        await session.initialize()
        yield session


@asynccontextmanager
async def over_stdio(
    command: list[str], environment: dict[str, str], errlog: Any = None
) -> AsyncIterator[ClientSession]:
    """A session with a process of its own that has said hello."""
    server = StdioServerParameters(command=command[0], args=command[1:], env=environment)
    streams = stdio_client(server) if errlog is None else stdio_client(server, errlog=errlog)
    async with streams as (incoming, outgoing), ClientSession(incoming, outgoing) as session:
        await session.initialize()
        yield session


async def called(session: ClientSession, name: str, **arguments: object) -> dict[str, Any]:
    """The structured result of a tool that is expected to succeed."""
    result = await session.call_tool(name, dict(arguments))
    assert not result.isError, result.content
    assert result.structuredContent is not None
    return result.structuredContent


async def refused(session: ClientSession, name: str, **arguments: object) -> str:
    """The sentence of a tool that is expected to fail."""
    result = await session.call_tool(name, dict(arguments))
    assert result.isError
    (content,) = result.content
    assert content.type == "text"
    return content.text
