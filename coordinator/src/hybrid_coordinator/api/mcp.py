"""``/mcp``: the Model Context Protocol's streamable HTTP, without sessions.

Every request is served whole by itself, so a reload of the settings or another
coordinator behind the same address changes nothing for a client. Host, Origin,
key and size of a body are judged as for every other endpoint.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from mcp import types
from mcp.server.streamable_http import StreamableHTTPServerTransport
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope

from hybrid_coordinator.api import body
from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.api.mcp_server import build_mcp_server, refusal
from hybrid_coordinator.api.verbs import GatewayVerbs
from hybrid_coordinator.errors import InvalidRequest
from hybrid_coordinator.gateway import Gateway
from hybrid_coordinator.wire.json_text import parse_object

_JSON: Final = b"application/json"
_EVENTS: Final = b"text/event-stream"

logger = logging.getLogger(__name__)


class McpEndpoint:
    """``POST /mcp``. Clients that ask for a stream from the server (GET) are told there is none."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def serve(self, exchange: Exchange) -> None:
        """Answer one JSON-RPC message: as JSON, or as an event stream where that is named first."""
        body.check_type(exchange.headers)
        data = await body.read(exchange.receive, exchange.headers, exchange.limits)
        value = await body.parse(data, exchange.limits.max_depth, parse_object)
        try:
            message = types.JSONRPCMessage.model_validate(value).root
        except ValidationError:
            raise InvalidRequest(
                "The body is no JSON-RPC 2.0 message: send one request of the Model Context "
                "Protocol."
            ) from None
        exchange.asks_no_model()
        if not isinstance(message, types.JSONRPCRequest):
            # Without a session a notification has nothing to change.
            await exchange.respond(b"", status=202)
            return
        refused = refusal(message)
        if refused is not None:
            await exchange.respond(refused.model_dump_json(exclude_none=True).encode())
            return
        await self._run(exchange, data)

    async def _run(self, exchange: Exchange, data: bytes) -> None:
        def failed(error: Exception) -> None:
            logger.error(
                "a tool failed for request %s",
                exchange.interaction_id,
                exc_info=error,
                extra={"interaction_id": exchange.interaction_id},
            )
            kind = type(error).__name__
            self._gateway.metrics.failures.labels(room="api", kind=kind).inc()

        server = build_mcp_server(GatewayVerbs(self._gateway, exchange.caller), failed)
        transport = StreamableHTTPServerTransport(
            mcp_session_id=None,
            is_json_response_enabled=not _prefers_events(exchange.headers.get(b"accept", b"")),
        )
        async with transport.connect() as (incoming, outgoing):
            options = server.create_initialization_options()
            serving = asyncio.create_task(
                server.run(incoming, outgoing, options, stateless=True), name="mcp request"
            )
            try:
                await transport.handle_request(
                    _as_expected(exchange.scope), _replay(data, exchange.receive), exchange.forward
                )
            finally:
                await transport.terminate()
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


def _prefers_events(accept: bytes) -> bool:
    events, json = accept.find(_EVENTS), accept.find(_JSON)
    return events >= 0 and (json < 0 or events < json)


def _as_expected(scope: Scope) -> Scope:
    """The scope with the two headers that were judged already, as the transport wants them."""
    headers = [h for h in scope["headers"] if h[0] not in (b"accept", b"content-type")]
    headers += [(b"accept", _JSON + b", " + _EVENTS), (b"content-type", _JSON)]
    return {**scope, "headers": headers}


def _replay(data: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body once more, then what the connection says."""
    bodies: list[Message] = [{"type": "http.request", "body": data, "more_body": False}]

    async def replayed() -> Message:
        return bodies.pop() if bodies else await receive()

    return replayed
