"""The endpoints of the dashboard's figures: once as JSON, or again and again as an event stream.

What the figures are is decided behind the gateway, and who may see them too.
The stream is for pages that stay open: a bounded number of them, each told at
once and at every interval, with a sign of life in between so that no proxy
takes it for dead, and ended with the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from hybrid_coordinator.api.disconnect import until_disconnect
from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.errors import HybridError, InvalidRequest
from hybrid_coordinator.gateway import Gateway
from hybrid_coordinator.reporting.figures import DashboardData, Range

MAX_STREAMS: Final = 32
"""Pages that are told at the same time."""
HEARTBEAT: Final = 15.0
"""Seconds without figures after which a comment is sent."""
_RECONNECT: Final = b"retry: 3000\n\n"
"""Milliseconds a browser waits before it asks again."""


class TooManyStreams(HybridError):
    """As many pages are open as are served; ``retry_after`` says when to try again."""

    status = 503
    code = "too_many_streams"


class DashboardEndpoints:
    """``/v1/dashboard`` and ``/v1/dashboard/events``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._open = 0

    async def figures(self, exchange: Exchange) -> None:
        """Answer with the figures as they are now."""
        span = _range(exchange)
        data = await self._gateway.figures(span.seconds, exchange.caller)
        await exchange.respond_without_model(data.model_dump_json().encode())

    async def events(self, exchange: Exchange) -> None:
        """Send the figures at once and at each interval, until the client leaves or we end."""
        span = _range(exchange)
        if self._open >= MAX_STREAMS:
            raise TooManyStreams(
                f"{MAX_STREAMS} dashboards are open already: close one, or ask /v1/dashboard.",
                retry_after=10,
            )
        exchange.asks_no_model()
        self._open += 1
        try:
            async with until_disconnect(exchange.receive):
                await self._send(exchange, span)
            await exchange.finish()
        finally:
            self._open -= 1

    async def _send(self, exchange: Exchange, span: Range) -> None:
        stream = self._gateway.figures_stream(span.seconds, exchange.caller)
        coming = asyncio.ensure_future(_next(stream))
        try:
            # Only now: an error before the first figures still gets a status of its own.
            data = await coming
            await exchange.start_stream()
            await exchange.write(_RECONNECT)
            while data is not None and exchange.scope["method"] != "HEAD":
                await exchange.write(
                    b"event: figures\ndata: " + data.model_dump_json().encode() + b"\n\n"
                )
                coming = asyncio.ensure_future(_next(stream))
                while not (await asyncio.wait((coming,), timeout=HEARTBEAT))[0]:
                    await exchange.write(b": still here\n\n")
                data = await coming
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()


async def _next(stream: AsyncIterator[DashboardData]) -> DashboardData | None:
    """The next figures; None at the end."""
    return await anext(stream, None)


def _range(exchange: Exchange) -> Range:
    given = exchange.query("range").get("range", [Range.DAY.value])
    if len(given) > 1:
        raise InvalidRequest("'range' is there twice: give it once.", field="range")
    if given[0] not in set(Range):
        raise InvalidRequest(f"'range' is one of {', '.join(Range)}.", field="range")
    return Range(given[0])
