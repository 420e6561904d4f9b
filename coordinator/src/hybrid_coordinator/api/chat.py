"""The chat endpoints of both dialects: a body in, an answer or a stream of events out.

One way for both: read, hand to the gateway, send. Bytes that the backend wrote
in the client's own dialect go out as they are. What is answered is the
gateway's; this sees to it that work ends when the client goes, and that
whatever the gateway wants done afterwards is done.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator

from hybrid_coordinator.api.disconnect import until_disconnect
from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.api.faults import InternalError, ShuttingDown
from hybrid_coordinator.api.schemas import AGENT_TYPE_PATTERN
from hybrid_coordinator.api.writers import StreamWriter, encode, stream_writer
from hybrid_coordinator.conversation import CacheMode, ChatRequest, Delta, Dialect, Json
from hybrid_coordinator.errors import HybridError, InvalidRequest
from hybrid_coordinator.gateway import Answer, Gateway, attach_meta, meta_of
from hybrid_coordinator.wire import anthropic, openai

logger = logging.getLogger(__name__)

_AGENT_TYPE = re.compile(AGENT_TYPE_PATTERN)


class ChatEndpoints:
    """``/v1/chat/completions``, ``/v1/messages`` and ``/v1/messages/count_tokens``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._failures = gateway.metrics.failures

    async def completions(self, exchange: Exchange) -> None:
        """Answer an OpenAI chat completion."""
        body = await exchange.json(openai.validate_chat_request)
        await self._deliver(exchange, _request(exchange, Dialect.OPENAI, body))

    async def messages(self, exchange: Exchange) -> None:
        """Answer Anthropic's messages."""
        native = await exchange.json(anthropic.validate_messages_request)
        body = anthropic.messages_to_chat(native)
        await self._deliver(exchange, _request(exchange, Dialect.ANTHROPIC, body, native))

    async def count_tokens(self, exchange: Exchange) -> None:
        """Count the tokens of Anthropic's messages without answering them."""
        native = await exchange.json(anthropic.validate_count_tokens_request)
        body = anthropic.messages_to_chat(native)
        request = _request(exchange, Dialect.ANTHROPIC, body, native)
        await exchange.respond_json({"input_tokens": await self._gateway.count_tokens(request)})

    async def _deliver(self, exchange: Exchange, request: ChatRequest) -> None:
        answer: Answer | None = None
        writer: StreamWriter | None = None
        last = b""
        try:
            async with until_disconnect(exchange.receive):
                answer = await self._gateway.answer(request)
                exchange.meta = answer.meta
                if answer.deltas is not None:
                    writer = stream_writer(request)
                    last = await self._stream(exchange, answer.deltas, writer)
            if answer.completion is not None:
                await exchange.respond(encode(answer.completion, request.dialect))
            else:
                await exchange.finish(last)
        except HybridError as error:
            if answer is not None and meta_of(error) is None:
                attach_meta(error, answer.meta)
            raise
        except asyncio.CancelledError:
            if exchange.status and writer is not None:
                await exchange.finish(writer.error(ShuttingDown()))
            raise
        finally:
            if answer is not None:
                await self._close(exchange, answer)

    async def _stream(
        self, exchange: Exchange, deltas: AsyncGenerator[Delta, None], writer: StreamWriter
    ) -> bytes:
        """Send all but the last bytes of a stream, and return those."""
        try:
            async for delta in deltas:
                data = writer.encode(delta)
                if not data:
                    continue
                # Only now: an error before the first byte still gets a status of its own.
                if not exchange.status:
                    await exchange.start_stream()
                await exchange.write(data)
        except HybridError as error:
            if not exchange.status:
                raise
            return writer.error(error)
        except Exception as error:
            if not exchange.status:
                raise
            self._failed(exchange, error)
            return writer.error(InternalError())
        if not exchange.status:
            await exchange.start_stream()
        return writer.finish()

    async def _close(self, exchange: Exchange, answer: Answer) -> None:
        try:
            if answer.deltas is not None:
                await answer.deltas.aclose()
            if answer.after is not None:
                await answer.after()
        except Exception as error:  # noqa: BLE001  (logged below; the client has its answer)
            self._failed(exchange, error)

    def _failed(self, exchange: Exchange, error: Exception) -> None:
        logger.error(
            "request %s failed late",
            exchange.interaction_id,
            exc_info=error,
            extra={"interaction_id": exchange.interaction_id},
        )
        self._failures.labels(room="api", kind=type(error).__name__).inc()


def _request(
    exchange: Exchange, dialect: Dialect, body: Json, native: Json | None = None
) -> ChatRequest:
    return ChatRequest(
        dialect=dialect,
        body=body,
        caller=exchange.caller,
        interaction_id=exchange.interaction_id,
        native=native,
        agent_type=_agent_type(exchange),
        cache_mode=_cache_mode(exchange),
        started=exchange.started,
        traceparent=exchange.headers.get(b"traceparent", b"").decode("latin-1"),
        tracestate=exchange.headers.get(b"tracestate", b"").decode("latin-1"),
    )


def _agent_type(exchange: Exchange) -> str:
    raw = exchange.headers.get(b"x-hybrid-agent-type")
    if raw is None:
        return "generic"
    name = raw.decode("latin-1")
    if not _AGENT_TYPE.fullmatch(name):
        raise InvalidRequest(
            "x-hybrid-agent-type must be a name of at most 64 letters, digits, '.', '_' or '-'.",
            field="x-hybrid-agent-type",
        )
    return name


def _cache_mode(exchange: Exchange) -> CacheMode:
    raw = exchange.headers.get(b"cache-control")
    if raw is None:
        return CacheMode.USE
    directives = {part.strip() for part in raw.lower().split(b",")}
    if b"no-store" in directives:
        return CacheMode.BYPASS
    if b"no-cache" in directives:
        return CacheMode.REFRESH
    return CacheMode.USE
