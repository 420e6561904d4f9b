"""Anthropic messages: reads streamed events into ``Delta``; ``anthropic_events`` writes them."""

from __future__ import annotations

from hybrid_coordinator.conversation import Delta, Dialect, FinishReason, Json, ToolCallDelta
from hybrid_coordinator.wire.anthropic_answers import STOP_REASONS, parse_usage, refusal_of
from hybrid_coordinator.wire.anthropic_errors import status_of
from hybrid_coordinator.wire.faults import ProtocolError, StreamError
from hybrid_coordinator.wire.json_text import encoded, object_of, parse_answer, string_of
from hybrid_coordinator.wire.sse import ServerSentEvent


class EventParser:
    """Reads one stream. Remembers what later events refer to: usage, and which block is a tool."""

    __slots__ = ("_calls_begun", "_open_calls", "_usage")

    def __init__(self) -> None:
        self._usage: Json = {}
        # Content block index → (tool call index, whether its input began).
        self._open_calls: dict[int, tuple[int, bool]] = {}
        self._calls_begun = 0

    def parse(self, event: ServerSentEvent) -> Delta | None:
        """One event; nothing for ``message_stop``.

        Events without anything for us (pings, signatures, server tools) give
        a delta with ``raw`` alone. The usage is complete and comes with ``message_delta``.

        Raises:
            StreamError: the backend reported an error in the stream.
            ProtocolError: the event is not the protocol.
        """
        data = parse_answer(event.data, "a stream event")
        kind = data.get("type")
        raw = event.raw
        if kind == "content_block_delta":
            return self._content(data, raw)
        if kind == "message_stop":
            return None
        if kind == "content_block_start":
            return self._block_begins(data, raw)
        if kind == "content_block_stop":
            return self._block_ends(data, raw)
        if kind == "message_delta":
            return self._message_delta(data, raw)
        if kind == "message_start":
            message = object_of(data.get("message"))
            self._usage = object_of(message.get("usage"))
            return Delta(
                id=string_of(message.get("id")) or None,
                model=string_of(message.get("model")) or None,
                raw=raw,
                raw_dialect=Dialect.ANTHROPIC,
            )
        if kind == "error":
            error = object_of(data.get("error"))
            said = string_of(error.get("message")) or "an error without a message"
            raise StreamError(said, status_of(error.get("type")))
        if not isinstance(kind, str):
            raise ProtocolError("a stream event has no type")
        return Delta(raw=raw, raw_dialect=Dialect.ANTHROPIC)

    def _content(self, data: Json, raw: bytes) -> Delta:
        delta = object_of(data.get("delta"))
        kind = delta.get("type")
        if kind == "text_delta":
            return _delta(raw, text=string_of(delta.get("text")))
        if kind == "thinking_delta":
            return _delta(raw, reasoning=string_of(delta.get("thinking")))
        index = data.get("index")
        if kind == "input_json_delta" and isinstance(index, int) and index in self._open_calls:
            piece = string_of(delta.get("partial_json"))
            call, begun = self._open_calls[index]
            if piece:
                if not begun:
                    self._open_calls[index] = (call, True)
                return _delta(raw, call=ToolCallDelta(call, None, None, piece))
        return _delta(raw)

    def _block_begins(self, data: Json, raw: bytes) -> Delta:
        block = object_of(data.get("content_block"))
        kind = block.get("type")
        if kind == "text":
            return _delta(raw, text=string_of(block.get("text")))
        if kind == "thinking":
            return _delta(raw, reasoning=string_of(block.get("thinking")))
        if kind != "tool_use":
            return _delta(raw)
        index = data.get("index")
        if not isinstance(index, int):
            raise ProtocolError("a content_block_start has no index")
        value = block.get("input")
        arguments = encoded(value) if value else ""
        call = self._calls_begun
        self._calls_begun += 1
        self._open_calls[index] = (call, bool(arguments))
        name = string_of(block.get("name"))
        call_id = string_of(block.get("id"))
        if not name or not call_id:
            raise ProtocolError("a tool_use block begins without id or name")
        return _delta(raw, call=ToolCallDelta(call, call_id, name, arguments))

    def _block_ends(self, data: Json, raw: bytes) -> Delta:
        index = data.get("index")
        if isinstance(index, int) and index in self._open_calls:
            call, begun = self._open_calls.pop(index)
            if not begun:  # A tool without input; its arguments are an empty object.
                return _delta(raw, call=ToolCallDelta(call, None, None, "{}"))
        return _delta(raw)

    def _message_delta(self, data: Json, raw: bytes) -> Delta:
        fields = object_of(data.get("delta"))
        known = {k: v for k, v in object_of(data.get("usage")).items() if v is not None}
        self._usage = {**self._usage, **known}
        reason = fields.get("stop_reason")
        return Delta(
            refusal=refusal_of(fields) or "",
            finish_reason=STOP_REASONS.get(reason, FinishReason.STOP) if reason else None,
            usage=parse_usage(self._usage) if known else None,
            raw=raw,
            raw_dialect=Dialect.ANTHROPIC,
        )


def _delta(
    raw: bytes, text: str = "", reasoning: str = "", call: ToolCallDelta | None = None
) -> Delta:
    return Delta(
        text,
        reasoning,
        "",
        (call,) if call is not None else (),
        raw=raw,
        raw_dialect=Dialect.ANTHROPIC,
    )
