"""A fake of Anthropic's API: messages (whole, streamed, tools), token counts, models.

It is as strict as the real one where a translation could get it wrong:
unknown top-level fields, empty text blocks, a temperature above 1 (any, from
API version 2026-10-21 on), roles, and tool results without their call are
refused with 400.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from tests.fakes.server import Answer, FakeApi, Json, Refused, Request, Responder, halves, words

_FIELDS = frozenset(
    (
        "model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "top_k",
        "stop_sequences", "metadata", "tools", "tool_choice", "thinking", "output_config",
        "service_tier", "container", "cache_control",
    )
)  # fmt: skip
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


class FakeAnthropic(FakeApi):
    """``/v1/messages``, ``/v1/messages/count_tokens`` and ``/v1/models``."""

    chat_path = "/v1/messages"

    def __init__(
        self,
        *,
        models: Sequence[str] = ("claude-fake",),
        api_key: str | None = None,
        default: Answer | None = None,
    ) -> None:
        super().__init__(models=models, api_key=api_key, default=default)

    def authenticate(self, request: Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.api_key and request.headers.get("x-api-key", bearer) != self.api_key:
            raise Refused(401, "invalid x-api-key", "authentication_error")
        if "anthropic-version" not in request.headers:
            raise Refused(400, "anthropic-version: header is required", "invalid_request_error")

    def refusal_of(self, answer: Answer) -> Refused:
        kind = _TYPES.get(
            answer.status, "api_error" if answer.status >= 500 else "invalid_request_error"
        )
        return Refused(answer.status, answer.error_message, kind)

    def error(self, refused: Refused) -> bytes:
        error = {"type": refused.kind, "message": refused.message}
        return orjson.dumps({"type": "error", "error": error, "request_id": "req_fake"})

    async def other(self, request: Request, respond: Responder) -> None:
        if request.path == "/v1/models" and request.method == "GET":
            models = [
                {
                    "id": name,
                    "type": "model",
                    "display_name": name,
                    "created_at": "2026-01-01T00:00:00Z",
                }
                for name in self.models
            ]
            page = {"data": models, "has_more": False, "first_id": None, "last_id": None}
            await respond.whole(200, orjson.dumps(page))
        elif request.path == "/v1/messages/count_tokens" and request.method == "POST":
            body = self._checked(request, need_max_tokens=False)
            await respond.whole(200, orjson.dumps({"input_tokens": _count_words(body)}))
        else:
            raise Refused(404, "Not found", "not_found_error")

    async def chat(self, request: Request, answer: Answer, respond: Responder) -> None:
        body = self._checked(request, need_max_tokens=True)
        text = answer.text
        if text is None and not answer.tool_calls:
            text = answer.refusal or f"echo: {_last_user_text(body['messages'])}"
        counted, written = answer.usage or (_count_words(body), len((text or "").split()))
        usage = {
            "input_tokens": max(0, counted - answer.cached_tokens),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": answer.cached_tokens,
            "output_tokens": written,
            "service_tier": "standard",
        }
        if answer.finish_reason is not None:
            reason = answer.finish_reason
        elif answer.refusal is not None:
            reason = "refusal"
        else:
            reason = "tool_use" if answer.tool_calls else "end_turn"
        blocks = _blocks(answer, text or "")
        message: Json = {
            "id": f"msg_fake{self.started}",
            "type": "message",
            "role": "assistant",
            "model": answer.model or body["model"],
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
        }
        if not body.get("stream"):
            await respond.whole(200, orjson.dumps(message), headers=answer.headers)
            return
        begun = {
            **message,
            "content": [],
            "stop_reason": None,
            "usage": {**usage, "output_tokens": 1},
        }
        content = [_event({"type": "message_start", "message": begun})]
        for index, block in enumerate(blocks):
            content += _block_events(index, block)
        content.insert(2, _event({"type": "ping"}))
        last = [
            _event(
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": reason, "stop_sequence": None},
                    "usage": {"output_tokens": written},
                }
            ),
            _event({"type": "message_stop"}),
        ]
        if answer.stream_error is not None:
            error = {"type": "overloaded_error", "message": answer.stream_error}
            last = [_event({"type": "error", "error": error})]
        await self.send_stream(respond, answer, content, last, announcing=3)

    def _checked(self, request: Request, *, need_max_tokens: bool) -> Json:
        try:
            body = request.json
        except orjson.JSONDecodeError:
            raise _invalid("The request body is not valid JSON") from None
        for name in ("model", "messages", *(("max_tokens",) if need_max_tokens else ())):
            if not body.get(name):
                raise _invalid(f"{name}: Field required")
        allowed = _FIELDS
        if request.headers["anthropic-version"] != "2023-06-01":
            allowed = _FIELDS - {"temperature", "top_p", "top_k"}
        for name in body:
            if name not in allowed:
                raise _invalid(f"{name}: Extra inputs are not permitted")
        if body["model"] not in self.models:
            raise Refused(404, f"model: {body['model']}", "not_found_error")
        if (body.get("temperature") or 0) > 1:
            raise _invalid("temperature: range: 0..1")
        for tool in body.get("tools") or ():
            if "type" not in tool and "input_schema" not in tool:
                raise _invalid("tools.0.custom.input_schema: Field required")
            if not _TOOL_NAME.fullmatch(tool["name"]):
                raise _invalid("tools.0.custom.name: String should match pattern")
        for text in _texts(body.get("system") or []):
            if not text.strip():
                raise _invalid("system: text content blocks must be non-empty")
        self._check_messages(body["messages"])
        return body

    def _check_messages(self, messages: list[Json]) -> None:
        if messages[0]["role"] != "user":
            raise _invalid('messages: first message must use the "user" role')
        open_calls: set[str] = set()
        previous = None
        for i, message in enumerate(messages):
            if message["role"] == "system" and previous == "user":
                continue
            if message["role"] not in ("user", "assistant"):
                raise _invalid(f'messages: Unexpected role "{message["role"]}"')
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            results = {b["tool_use_id"] for b in blocks if b["type"] == "tool_result"}
            if message["role"] != previous:
                if results - open_calls:
                    raise _invalid(f"messages.{i}: unexpected `tool_use_id` found in `tool_result`")
                if open_calls - results:
                    raise _invalid(f"messages.{i}: `tool_use` ids without `tool_result` blocks")
                open_calls = set()
            for block in blocks:
                if block["type"] == "text" and not block["text"].strip():
                    raise _invalid("messages: text content blocks must be non-empty")
                if block["type"] == "tool_use":
                    if not _TOOL_ID.fullmatch(block["id"]) or not isinstance(block["input"], dict):
                        raise _invalid(f"messages.{i}: tool_use is malformed")
                    open_calls.add(block["id"])
            if not blocks:
                raise _invalid("messages: all messages must have non-empty content")
            previous = message["role"]


def _invalid(message: str) -> Refused:
    return Refused(400, message, "invalid_request_error")


def _blocks(answer: Answer, text: str) -> list[Json]:
    blocks: list[Json] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": "c2ln"})
    if text:
        blocks.append({"type": "text", "text": text})
    for index, call in enumerate(answer.tool_calls):
        name = call.id or f"toolu_fake{index}"
        value = orjson.loads(call.arguments)
        blocks.append({"type": "tool_use", "id": name, "name": call.name, "input": value})
    return blocks


def _block_events(index: int, block: Json) -> list[bytes]:
    if block["type"] == "text":
        begun: Json = {"type": "text", "text": ""}
        deltas: list[Json] = [{"type": "text_delta", "text": w} for w in words(block["text"])]
    elif block["type"] == "thinking":
        begun = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": w} for w in words(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        begun = {**block, "input": {}}
        pieces = ["", *halves(orjson.dumps(block["input"]).decode())]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        _event({"type": "content_block_start", "index": index, "content_block": begun}),
        *(_event({"type": "content_block_delta", "index": index, "delta": d}) for d in deltas),
        _event({"type": "content_block_stop", "index": index}),
    ]


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in content if block.get("type") == "text"]


def _last_user_text(messages: list[Json]) -> str:
    for message in reversed(messages):
        if message["role"] == "user" and (texts := _texts(message["content"])):
            return " ".join(texts)
    return ""


def _count_words(body: Json) -> int:
    texts = _texts(body.get("system") or [])
    for message in body["messages"]:
        texts += _texts(message["content"])
    return sum(len(text.split()) for text in texts)


def _event(data: Json) -> bytes:
    name: str = data["type"]
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
