"""Anthropic messages requests as chat completion requests (the canonical form).

The client's own body is kept beside the translation and is what an Anthropic
backend is sent; the translation serves everything else (routing, retrieval,
backends of the other dialect). It therefore leaves out what only Anthropic
understands: thinking blocks, server tool results, cache marks, ``top_k``,
``thinking``, ``output_config.effort``, ``container`` and the like.
"""

from __future__ import annotations

from typing import Any

import orjson

from hybrid_coordinator.conversation import Json

_PLAIN = ("model", "max_tokens", "stream", "temperature", "top_p")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def messages_to_chat(native: Json) -> Json:
    """The chat completion request that asks the same as a checked messages request.

    Text blocks of one message become one string (joined by a line end, or by
    nothing where the assistant wrote them); tool results become messages of
    role ``tool``, images inside them parts of a user message that follows.
    Server tools stay in ``tools`` as they are.
    """
    messages: list[Json] = []
    if system := _text(native.get("system")):
        messages.append({"role": "system", "content": system})
    for turn in native["messages"]:
        content = turn["content"]
        if isinstance(content, str):
            messages.append({"role": turn["role"], "content": content})
        elif turn["role"] == "user":
            messages += _user(content)
        elif turn["role"] == "assistant":
            messages.append(_assistant(content))
        else:
            messages.append({"role": "system", "content": _text(content)})
    body: Json = {"messages": messages}
    for name in _PLAIN:
        if native.get(name) is not None:
            body[name] = native[name]
    if stops := native.get("stop_sequences"):
        body["stop"] = stops
    if user := (native.get("metadata") or {}).get("user_id"):
        body["user"] = user
    if tools := native.get("tools"):
        body["tools"] = [_tool(tool) for tool in tools]
    if choice := native.get("tool_choice"):
        body["tool_choice"] = _tool_choice(choice)
        if choice.get("disable_parallel_tool_use"):
            body["parallel_tool_calls"] = False
    if output := (native.get("output_config") or {}).get("format"):
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": output["schema"], "strict": True},
        }
    return body


def _user(blocks: list[Json]) -> list[Json]:
    """A user turn: its tool results first, as messages of their own, then what was said."""
    messages: list[Json] = []
    parts: list[Json] = []
    for block in blocks:
        if block["type"] != "tool_result":
            parts += _parts(block)
            continue
        content = block.get("content") or ""
        inner = [] if isinstance(content, str) else [p for b in content for p in _parts(b)]
        texts = [part["text"] for part in inner if part["type"] == "text"]
        text = content if isinstance(content, str) else "\n".join(texts)
        if block.get("is_error"):
            text = f"Error: {text}"
        messages.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": text})
        parts += [part for part in inner if part["type"] != "text"]
    if all(part["type"] == "text" for part in parts):
        if parts or not messages:
            text = "\n".join(part["text"] for part in parts)
            messages.append({"role": "user", "content": text})
    else:
        messages.append({"role": "user", "content": parts})
    return messages


def _assistant(blocks: list[Json]) -> Json:
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {
                "name": block["name"],
                "arguments": orjson.dumps(block["input"]).decode(),
            },
        }
        for block in blocks
        if block["type"] == "tool_use"
    ]
    message: Json = {"role": "assistant", "content": text or (None if calls else "")}
    if calls:
        message["tool_calls"] = calls
    return message


def _parts(block: Json) -> list[Json]:
    """A block as content parts; none where nobody but Anthropic could read it."""
    kind = block["type"]
    if kind == "text":
        return [{"type": "text", "text": block["text"]}]
    if kind == "image":
        if (url := _url(block["source"])) is not None:
            return [{"type": "image_url", "image_url": {"url": url}}]
        return [_text_part(f"[image {block['source']['file_id']}]")]
    if kind == "document":
        return [_document(block)]
    text = _text(block.get("content"))  # Search results, and what is yet to come.
    return [_text_part(text)] if text else []


def _document(block: Json) -> Json:
    source = block["source"]
    title = block.get("title")
    heading = f"{title}\n" if title else ""
    if source["type"] == "text":
        return _text_part(heading + source["data"])
    if source["type"] == "content":
        return _text_part(heading + _text(source["content"]))
    if source["type"] == "base64":
        file = {"filename": title or "document.pdf", "file_data": _url(source)}
        return {"type": "file", "file": file}
    return _text_part(f"{heading}[document {source.get('url') or source.get('file_id')}]")


def _url(source: Json) -> str | None:
    if source["type"] == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    url: str | None = source.get("url")
    return url


def _text(content: Any) -> str:
    """The text of a string or of a list of blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (block.get("text") for block in content if isinstance(block, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _text_part(text: str) -> Json:
    return {"type": "text", "text": text}


def _tool(tool: Json) -> Json:
    if tool.get("type") not in (None, "custom"):
        return tool
    function: Json = {"name": tool["name"], "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _tool_choice(choice: Json) -> str | Json:
    if choice["type"] == "tool":
        return {"type": "function", "function": {"name": choice["name"]}}
    return _CHOICES[choice["type"]]
