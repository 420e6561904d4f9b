"""Where ``/mcp`` enters: what speaks the protocol is loaded with the first request that wants it.

Loading it takes a sixth of the time of a start, and most coordinators are never
asked. What is answered is in ``mcp``.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.gateway import Gateway

if TYPE_CHECKING:
    from hybrid_coordinator.api.mcp import McpEndpoint


class McpEntry:
    """The endpoint of ``POST /mcp``, made when it is first used."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._endpoint: McpEndpoint | None = None

    async def serve(self, exchange: Exchange) -> None:
        """Answer one message."""
        if self._endpoint is None:
            module = await asyncio.to_thread(import_module, "hybrid_coordinator.api.mcp")
            self._endpoint = module.McpEndpoint(self._gateway)
        await self._endpoint.serve(exchange)
