"""OpenAI chat completions: streamed chunks to and from ``Delta``.

Called once a token, so it parses with one ``orjson.loads`` and writes by
joining bytes. Whole answers are in ``openai_answers``.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from hybrid_coordinator.conversation import (
    Delta,
    Dialect,
    FinishReason,
    ToolCallDelta,
    Usage,
)
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.wire.faults import ProtocolError, StreamError
from hybrid_coordinator.wire.json_text import object_of, parse_answer, string_of
from hybrid_coordinator.wire.openai_answers import (
    FINISH_REASONS,
    arguments_text,
    parse_usage,
    usage_json,
)
from hybrid_coordinator.wire.openai_errors import error_body
from hybrid_coordinator.wire.sse import EventSplitter, ServerSentEvent

DONE: Final = b"data: [DONE]\n\n"
"""The last event of every stream."""


def parse_chunk(event: ServerSentEvent) -> Delta | None:
    """One event of a stream; nothing for ``[DONE]``.

    Only the first choice (index 0) is read; chunks of others carry ``raw`` alone.

    Raises:
        StreamError: the backend reported an error in the stream.
        ProtocolError: the event is not the protocol.
    """
    data = event.data
    if data == b"[DONE]" or data.strip() == b"[DONE]":
        return None
    chunk = parse_answer(data, "a stream event")
    error = chunk.get("error")
    if error or event.event == "error":
        raise _stream_error(error or chunk)
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        raise ProtocolError("a stream event has no list of choices")
    usage = chunk.get("usage")
    delta: dict[str, Any] = {}
    reason = None
    for choice in choices:
        if not isinstance(choice, dict):
            raise ProtocolError("a choice of a stream event is not an object")
        if not choice.get("index"):
            delta = choice.get("delta") or {}
            reason = choice.get("finish_reason")
            break
    if not isinstance(delta, dict):
        raise ProtocolError("choices[0].delta of a stream event is not an object")
    text = delta.get("content")
    calls = delta.get("tool_calls")
    model = chunk.get("model")
    chunk_id = chunk.get("id")
    return Delta(
        text if isinstance(text, str) else _joined(text),
        string_of(delta.get("reasoning_content") or delta.get("reasoning")),
        string_of(delta.get("refusal")),
        _tool_deltas(calls) if calls else _legacy_call(delta),
        FINISH_REASONS.get(reason, FinishReason.STOP) if reason else None,
        parse_usage(usage) if usage else None,
        model if isinstance(model, str) else None,
        chunk_id if isinstance(chunk_id, str) else None,
        event.raw,
        Dialect.OPENAI,
    )


def strip_usage(raw: bytes) -> bytes | None:
    """The event without its usage, for a client that did not ask for it.

    Returns the same bytes where there is none, and nothing where the usage
    was all the event had.
    """
    if b'"usage"' not in raw or b'"usage":null' in raw:
        return raw
    kept: list[bytes] = []
    splitter = EventSplitter(len(raw) + 2)
    for event in splitter.feed(raw) + splitter.flush():
        try:
            chunk = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            chunk = None
        if not isinstance(chunk, dict) or not chunk.get("usage"):
            kept.append(event.raw)
        elif chunk.get("choices"):
            del chunk["usage"]
            kept.append(b"data: " + orjson.dumps(chunk) + b"\n\n")
    return b"".join(kept) or None


class ChunkEncoder:
    """Writes one stream of ``chat.completion.chunk`` events.

    The first chunk names the role. The finish reason and the usage are held
    until ``finish``, so that each is sent once and in order whatever the
    order they came in.
    """

    __slots__ = ("_head", "_include_usage", "_reason", "_role_sent", "_tools_begun", "_usage", "id")

    def __init__(self, id: str, model: str, created: int, include_usage: bool) -> None:
        self.id = id
        fields = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._head = b"data: " + orjson.dumps(fields)[:-1]
        self._include_usage = include_usage
        self._role_sent = False
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._tools_begun: set[int] = set()

    def encode(self, delta: Delta) -> bytes:
        """The events for one increment; empty where the client would see nothing of it."""
        if delta.finish_reason is not None:
            self._reason = delta.finish_reason
        if delta.usage is not None:
            self._usage = delta.usage
        if not delta.has_content:
            return b""
        fields: dict[str, Any] = {}
        if not self._role_sent:
            self._role_sent = True
            fields["role"] = "assistant"
            fields["content"] = delta.text
        elif delta.text:
            fields["content"] = delta.text
        if delta.reasoning:
            fields["reasoning_content"] = delta.reasoning
        if delta.refusal:
            fields["refusal"] = delta.refusal
        if delta.tool_calls:
            fields["tool_calls"] = [self._tool_call(call) for call in delta.tool_calls]
        return self._chunk(fields, b"null")

    def finish(self) -> bytes:
        """The last events: finish reason, usage where it was asked for and is known, ``[DONE]``."""
        reason = self._reason or FinishReason.STOP
        if self._tools_begun and reason is FinishReason.STOP:
            reason = FinishReason.TOOL_CALLS
        fields = {} if self._role_sent else {"role": "assistant", "content": ""}
        events = self._chunk(fields, orjson.dumps(reason.value))
        if self._include_usage and self._usage is not None:
            usage = orjson.dumps(usage_json(self._usage))
            events += self._head + b',"choices":[],"usage":' + usage + b"}\n\n"
        return events + DONE

    def error(self, error: HybridError) -> bytes:
        """The event that ends a stream which cannot be completed; nothing may follow it."""
        return b"data: " + error_body(error) + b"\n\n"

    def _chunk(self, delta: dict[str, Any], finish_reason: bytes) -> bytes:
        return b"".join(
            (
                self._head,
                b',"choices":[{"index":0,"delta":',
                orjson.dumps(delta),
                b',"logprobs":null,"finish_reason":',
                finish_reason,
                b"}]}\n\n",
            )
        )

    def _tool_call(self, call: ToolCallDelta) -> dict[str, Any]:
        function: dict[str, Any] = {"arguments": call.arguments}
        if call.name is not None:
            function["name"] = call.name
        fields: dict[str, Any] = {"index": call.index, "function": function}
        if call.index not in self._tools_begun:
            self._tools_begun.add(call.index)
            fields["id"] = call.id or f"call_{self.id}_{call.index}"
            fields["type"] = "function"
        return fields


def _tool_deltas(calls: object) -> tuple[ToolCallDelta, ...]:
    if not isinstance(calls, list):
        raise ProtocolError("tool_calls of a stream event is not a list")
    deltas = []
    for position, call in enumerate(calls):
        if not isinstance(call, dict):
            raise ProtocolError("a tool call of a stream event is not an object")
        function = object_of(call.get("function"))
        index = call.get("index")
        deltas.append(
            ToolCallDelta(
                index if type(index) is int else position,
                string_of(call.get("id")) or None,
                string_of(function.get("name")) or None,
                arguments_text(function.get("arguments")),
            )
        )
    return tuple(deltas)


def _legacy_call(delta: dict[str, Any]) -> tuple[ToolCallDelta, ...]:
    function = delta.get("function_call")
    if not isinstance(function, dict):
        return ()
    name = string_of(function.get("name")) or None
    return (ToolCallDelta(0, None, name, arguments_text(function.get("arguments"))),)


def _joined(content: object) -> str:
    if not isinstance(content, list):
        return ""
    return "".join(
        string_of(part.get("text"))
        for part in content
        if isinstance(part, dict) and part.get("type") == "text"
    )


def _stream_error(error: object) -> StreamError:
    fields = object_of(error)
    message = fields.get("message") if fields else error
    status = fields.get("status") or fields.get("code")
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    known = type(status) is int and 400 <= status <= 599
    return StreamError(str(message or "an error without a message"), status if known else None)
