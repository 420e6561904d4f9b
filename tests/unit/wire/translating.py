"""Messages of both dialects in short, and translations that are checked on the way."""

from __future__ import annotations

from typing import Any

import orjson

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.wire import anthropic, openai

PIXEL = "data:image/png;base64,aGk="
PDF = "data:application/pdf;base64,aGk="
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "strict": True}}


def to_messages(*chat: Json, model: str = "claude-sonnet-4-5", **fields: Any) -> Json:
    body = {"messages": list(chat), **fields}
    openai.validate_chat_request(orjson.dumps(body), 64)
    request = anthropic.chat_to_messages(body, model, 1000)
    anthropic.validate_messages_request(orjson.dumps(request), 64)
    return request


def to_chat(*turns: Json, **fields: Any) -> Json:
    body = {"max_tokens": 9, "messages": list(turns), **fields}
    anthropic.validate_messages_request(orjson.dumps(body), 64)
    chat = anthropic.messages_to_chat(body)
    openai.validate_chat_request(orjson.dumps(chat), 64)
    return chat


def user(content: Any = "hi") -> Json:
    return {"role": "user", "content": content}


def assistant(content: Any = None, **fields: Any) -> Json:
    return {"role": "assistant", "content": content, **fields}


def call(call_id: str, name: str = "f", arguments: str = "{}") -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(call_id: str, content: Any) -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def text(value: str) -> Json:
    return {"type": "text", "text": value}
