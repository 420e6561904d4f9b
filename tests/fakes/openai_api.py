"""A fake of OpenAI's API: chat completions (whole, streamed, tools), embeddings, models.

Refuses what the real one refuses as far as the coordinator could get it
wrong (no messages, unknown model, wrong key). It has no model: it echoes or
says what the test scripted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from tests.fakes.server import (
    Answer,
    FakeApi,
    Json,
    Refused,
    Request,
    Responder,
    ToolUse,
    halves,
    words,
)

CREATED = 1_700_000_000
_TYPES = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class FakeOpenAI(FakeApi):
    """``/v1/chat/completions``, ``/v1/embeddings`` and ``/v1/models``."""

    chat_path = "/v1/chat/completions"

    def __init__(
        self,
        *,
        models: Sequence[str] = ("gpt-fake",),
        api_key: str | None = None,
        default: Answer | None = None,
        dimensions: int = 8,
    ) -> None:
        super().__init__(models=models, api_key=api_key, default=default)
        self.dimensions = dimensions

    def authenticate(self, request: Request) -> None:
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            raise Refused(
                401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"
            )

    def refusal_of(self, answer: Answer) -> Refused:
        kind, code = _TYPES.get(
            answer.status,
            ("server_error" if answer.status >= 500 else "invalid_request_error", None),
        )
        return Refused(answer.status, answer.error_message, kind, code)

    def error(self, refused: Refused) -> bytes:
        return orjson.dumps(
            {
                "error": {
                    "message": refused.message,
                    "type": refused.kind,
                    "param": None,
                    "code": refused.code,
                }
            }
        )

    async def other(self, request: Request, respond: Responder) -> None:
        if request.path == "/v1/models" and request.method == "GET":
            models = [
                {"id": name, "object": "model", "created": CREATED, "owned_by": "fake"}
                for name in self.models
            ]
            await respond.whole(200, orjson.dumps({"object": "list", "data": models}))
        elif request.path == "/v1/embeddings" and request.method == "POST":
            await respond.whole(200, orjson.dumps(self._embeddings(request.json)))
        else:
            raise Refused(
                404, f"Invalid URL ({request.method} {request.path})", "invalid_request_error"
            )

    async def chat(self, request: Request, answer: Answer, respond: Responder) -> None:
        body = self._checked(request)
        text = answer.text
        if text is None and not answer.tool_calls and answer.refusal is None:
            text = echo(body["messages"])
        prompt, completion = answer.usage or (
            sum(len(_text(m.get("content")).split()) for m in body["messages"]),
            len((text or "").split()),
        )
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
        }
        reason = answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop")
        head = {
            "id": f"chatcmpl-fake{self.started}",
            "created": CREATED,
            "model": answer.model or body["model"],
            "system_fingerprint": "fp_fake",
        }
        if not body.get("stream"):
            message: Json = {"role": "assistant", "content": text, "refusal": answer.refusal}
            if answer.reasoning:
                message["reasoning_content"] = answer.reasoning
            if answer.tool_calls:
                message["tool_calls"] = [_call(c, i) for i, c in enumerate(answer.tool_calls)]
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            await respond.whole(200, orjson.dumps(whole), headers=answer.headers)
            return
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        head["object"] = "chat.completion.chunk"
        if with_usage:
            head["usage"] = None
        content = [_chunk(head, delta) for delta in _deltas(answer, text or "")]
        last = [_chunk(head, {}, reason)]
        if with_usage:
            last.append(_event({**head, "choices": [], "usage": usage}))
        last.append(b"data: [DONE]\n\n")
        if answer.stream_error is not None:
            failed = Refused(500, answer.stream_error, "server_error")
            last = [b"data: " + self.error(failed) + b"\n\n"]
        await self.send_stream(respond, answer, content, last, announcing=1)

    def _checked(self, request: Request) -> Json:
        try:
            body = request.json
        except orjson.JSONDecodeError:
            raise Refused(
                400, "We could not parse the JSON body of your request.", "invalid_request_error"
            ) from None
        for name in ("model", "messages"):
            if not body.get(name):
                raise Refused(
                    400, f"Missing required parameter: '{name}'.", "invalid_request_error"
                )
        if body["model"] not in self.models:
            raise Refused(
                404,
                f"The model `{body['model']}` does not exist or you do not have access to it.",
                "invalid_request_error",
                "model_not_found",
            )
        if body.get("stream_options") and not body.get("stream"):
            raise Refused(
                400,
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                "invalid_request_error",
            )
        known = {
            call["id"]
            for m in body["messages"]
            for call in m.get("tool_calls") or ()
            if "id" in call
        }
        for message in body["messages"]:
            if message["role"] == "tool" and message.get("tool_call_id") not in known:
                raise Refused(
                    400,
                    "messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.",
                    "invalid_request_error",
                )
        return body

    def _embeddings(self, body: Json) -> Json:
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [
            {"object": "embedding", "index": i, "embedding": self._vector(str(text))}
            for i, text in enumerate(inputs)
        ]
        count = sum(len(str(text).split()) for text in inputs)
        return {
            "object": "list",
            "data": data,
            "model": body["model"],
            "usage": {"prompt_tokens": count, "total_tokens": count},
        }

    def _vector(self, text: str) -> list[float]:
        digest = hashlib.shake_128(text.encode()).digest(self.dimensions)
        return [byte / 127.5 - 1.0 for byte in digest]


def echo(messages: list[Json]) -> str:
    """The deterministic answer: the last user message, repeated."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return f"echo: {_text(message.get('content'))}"
    return "echo:"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def _call(call: ToolUse, index: int) -> Json:
    return {
        "id": call.id or f"call_fake{index}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _deltas(answer: Answer, text: str) -> list[Json]:
    deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"reasoning_content": piece} for piece in words(answer.reasoning)]
    deltas += [{"content": piece} for piece in words(text)]
    deltas += [{"refusal": piece} for piece in words(answer.refusal or "")]
    for index, call in enumerate(answer.tool_calls):
        begun = _call(call, index)
        begun["function"]["arguments"] = ""
        deltas.append({"tool_calls": [{"index": index, **begun}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in halves(call.arguments)
        ]
    return deltas


def _chunk(head: Json, delta: Json, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event({**head, "choices": [choice]})


def _event(chunk: Json) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
