"""Anthropic messages: writes ``Delta`` as streamed events; ``anthropic_stream`` reads them."""

from __future__ import annotations

from typing import Final

import orjson

from hybrid_coordinator.conversation import Delta, FinishReason, Json, ToolCallDelta, Usage
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.wire.anthropic_answers import stop_word, usage_json
from hybrid_coordinator.wire.anthropic_blocks import tool_id
from hybrid_coordinator.wire.anthropic_errors import error_body

MESSAGE_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
"""The last event of every stream."""

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
"""Keeps a silent stream alive."""

_TEXT: Final = "text"
_THINKING: Final = "thinking"
_TOOL: Final = "tool"


class EventEncoder:
    """Writes one stream of messages events in the order the protocol demands.

    One content block is open at a time. Where a backend streams several tool
    calls at once, the pieces of all but the first are held until it ends;
    the stop reason and the usage are held until ``finish``.
    ``input_tokens`` is what ``message_start`` says where it is known by then.
    """

    __slots__ = (
        "_called",
        "_held",
        "_index",
        "_input_tokens",
        "_model",
        "_open",
        "_open_call",
        "_reason",
        "_refused",
        "_started",
        "_usage",
        "id",
    )

    def __init__(self, id: str, model: str, input_tokens: int = 0) -> None:
        self.id = id
        self._model = model
        self._input_tokens = input_tokens
        self._started = False
        self._index = -1
        self._open: str | None = None
        self._open_call: int | None = None
        self._held: dict[int, list[ToolCallDelta]] = {}
        self._reason: FinishReason | None = None
        self._called = False
        self._refused = False
        self._usage: Usage | None = None

    def encode(self, delta: Delta) -> bytes:
        """The events for one increment; empty where the client would see nothing of it."""
        if delta.finish_reason is not None:
            self._reason = delta.finish_reason
        if delta.usage is not None:
            self._usage = delta.usage
        if not delta.has_content:
            return b""
        out: list[bytes] = [] if self._started else [self._start()]
        if delta.reasoning:
            self._switch(_THINKING, out)
            out.append(self._delta("thinking_delta", "thinking", delta.reasoning))
        if delta.text:
            self._switch(_TEXT, out)
            out.append(self._delta("text_delta", "text", delta.text))
        if delta.refusal:
            self._refused = True
            self._switch(_TEXT, out)
            out.append(self._delta("text_delta", "text", delta.refusal))
        for call in delta.tool_calls:
            if self._open_call is not None and call.index != self._open_call:
                self._held.setdefault(call.index, []).append(call)
            else:
                self._tool_piece(call, out)
        return b"".join(out)

    def finish(self) -> bytes:
        """The last events: open block's end, stop reason and usage, ``message_stop``."""
        out: list[bytes] = [] if self._started else [self._start()]
        self._close(out)
        reason = stop_word(
            self._reason or FinishReason.STOP, called=self._called, refused=self._refused
        )
        usage = usage_json(self._usage or Usage(input_tokens=self._input_tokens))
        out.append(
            _event(
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": reason, "stop_sequence": None},
                    "usage": usage,
                }
            )
        )
        out.append(MESSAGE_STOP)
        return b"".join(out)

    def error(self, error: HybridError) -> bytes:
        """The event that ends a stream which cannot be completed; nothing may follow it."""
        return b"event: error\ndata: " + error_body(error) + b"\n\n"

    def _start(self) -> bytes:
        self._started = True
        message: Json = {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_json(Usage(input_tokens=self._input_tokens)),
        }
        return _event({"type": "message_start", "message": message})

    def _switch(self, kind: str, out: list[bytes]) -> None:
        """Make a text or thinking block the open one."""
        if self._open == kind:
            return
        self._close(out)
        block: Json = {"type": "text", "text": ""}
        if kind == _THINKING:
            block = {"type": "thinking", "thinking": "", "signature": ""}
        self._begin(kind, block, out)

    def _tool_piece(self, call: ToolCallDelta, out: list[bytes]) -> None:
        if self._open_call != call.index:
            self._close(out)
            block = {
                "type": "tool_use",
                "id": tool_id(call.id or f"call_{self.id}_{call.index}"),
                "name": call.name or "",
                "input": {},
            }
            self._begin(_TOOL, block, out)
            self._open_call = call.index
            self._called = True
        if call.arguments:
            out.append(self._delta("input_json_delta", "partial_json", call.arguments))

    def _begin(self, kind: str, block: Json, out: list[bytes]) -> None:
        self._index += 1
        self._open = kind
        out.append(
            _event({"type": "content_block_start", "index": self._index, "content_block": block})
        )

    def _close(self, out: list[bytes]) -> None:
        """End the open block, and write the tool calls that waited for its end."""
        if self._open is not None:
            out.append(_event({"type": "content_block_stop", "index": self._index}))
        self._open = self._open_call = None
        held, self._held = self._held, {}
        for pieces in held.values():
            for call in pieces:
                self._tool_piece(call, out)
        if held:
            self._close(out)

    def _delta(self, kind: str, name: str, value: str) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,' % (
            self._index
        ) + b'"delta":{"type":"%b","%b":%b}}\n\n' % (
            kind.encode(),
            name.encode(),
            orjson.dumps(value),
        )


def _event(data: Json) -> bytes:
    kind: str = data["type"]
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
