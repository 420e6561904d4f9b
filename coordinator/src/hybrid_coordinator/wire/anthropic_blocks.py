"""Parts of one chat message as Anthropic content blocks."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import Unsupported
from hybrid_coordinator.wire.json_text import MAX_DEPTH, depth_exceeds

_DATA_URL: Final = re.compile(r"data:([^;,]+)(?:;[^,]*)?;base64,(.*)", re.DOTALL | re.IGNORECASE)
_NOT_IN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")


def text_block(text: str) -> Json:
    """A text block."""
    return {"type": "text", "text": text}


def tool_id(call_id: str) -> str:
    """A tool call's id in the characters Anthropic allows; the same for call and result."""
    return _NOT_IN_ID.sub("_", call_id) or "_"


def tool_input(arguments: str) -> Json:
    """A tool call's arguments as the object Anthropic wants.

    Arguments that are no JSON object (a model wrote them) are kept as text under ``arguments``.
    """
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return {"arguments": arguments}
    if not isinstance(value, dict) or depth_exceeds(value, MAX_DEPTH):
        return {"arguments": arguments}
    return value


def content_blocks(content: Any, field: str) -> list[Json]:
    """A message's content as blocks, empty text left out (the API refuses it).

    Raises:
        Unsupported: a part Anthropic has no block for; ``field`` is the message's path.
    """
    if isinstance(content, str):
        return [text_block(content)] if content.strip() else []
    blocks = []
    for position, part in enumerate(content or ()):
        block = _block(part, f"{field}.content[{position}]")
        if block["type"] != "text" or block["text"].strip():
            if "cache_control" in part:
                block["cache_control"] = part["cache_control"]
            blocks.append(block)
    return blocks


def result_block(call_id: str, content: Any, field: str) -> Json:
    """What a tool returned."""
    result: Json = {"type": "tool_result", "tool_use_id": tool_id(call_id)}
    blocks = content_blocks(content, field)
    if isinstance(content, str) and blocks:
        result["content"] = content
    elif blocks:
        result["content"] = blocks
    return result


def assistant_blocks(message: Json, position: int, function_ids: dict[str, str]) -> list[Json]:
    """What the model said and called.

    Calls in the form before ``tool_calls`` have no id; one is made up and put
    into ``function_ids`` under the function's name, for the result to find.
    """
    blocks = content_blocks(message.get("content"), f"messages[{position}]")
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        blocks.append(text_block(refusal))
    for call in message.get("tool_calls") or ():
        if call["type"] == "custom":
            name, value = call["custom"]["name"], {"input": call["custom"]["input"]}
        else:
            name = call["function"]["name"]
            value = tool_input(call["function"]["arguments"])
        blocks.append(_tool_use(call["id"], name, value))
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and isinstance(legacy.get("name"), str):
        name = legacy["name"]
        function_ids[name] = f"function_{position}_{name}"
        arguments = legacy.get("arguments")
        value = tool_input(arguments if isinstance(arguments, str) else "")
        blocks.append(_tool_use(function_ids[name], name, value))
    return blocks


def _tool_use(call_id: str, name: str, value: Json) -> Json:
    return {"type": "tool_use", "id": tool_id(call_id), "name": name, "input": value}


def _block(part: Json, field: str) -> Json:
    kind = part["type"]
    if kind in ("text", "refusal"):
        return text_block(part[kind])
    if kind == "image_url":
        return {"type": "image", "source": _source(part["image_url"]["url"])}
    if kind == "file" and isinstance(part["file"].get("file_data"), str):
        file = part["file"]
        block: Json = {"type": "document", "source": _source(file["file_data"])}
        if isinstance(file.get("filename"), str):
            block["title"] = file["filename"]
        return block
    what = {"file": "uploaded files", "input_audio": "audio", "video_url": "video"}[kind]
    raise Unsupported(
        f"Anthropic models take no {what}; remove the part or pin another model.",
        field=f"{field}.type",
    )


def _source(url: str) -> Json:
    if match := _DATA_URL.fullmatch(url):
        return {"type": "base64", "media_type": match[1], "data": match[2]}
    return {"type": "url", "url": url}
