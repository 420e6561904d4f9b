"""Chat completion requests as Anthropic messages requests, for Anthropic backends.

The result is for API version 2023-06-01, which still has every parameter;
it obeys the rules for which the API answers 400: alternating roles beginning
with the user, no empty text, tool results first, ids of plain characters.
How the parts of one message are translated is in ``anthropic_blocks``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import InvalidRequest, Unsupported
from hybrid_coordinator.wire.anthropic_blocks import (
    assistant_blocks,
    content_blocks,
    result_block,
    text_block,
)
from hybrid_coordinator.wire.anthropic_json_schema import closed_schema

API_VERSION: Final = "2023-06-01"
"""The ``anthropic-version`` header that goes with what this package sends.

Later versions take parameters away (2026-10-21: temperature, top_p, top_k), so
this one serves clients of all versions.
"""

_JSON_ONLY: Final = "Answer with a single JSON object and nothing else."
_OPENING: Final = "(The conversation begins here.)"
_SAMPLING: Final = ("temperature", "top_p", "top_k")
_CLAUDE_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)")
_LAST_WITH_SAMPLING: Final = (4, 6)


def accepts_sampling(api_model: str) -> bool:
    """Whether a model takes temperature and its kin.

    Claude models after 4.6 answer 400 to them; other models behind the same
    protocol (local servers offer it too) take them.
    """
    if "claude" not in api_model:
        return True
    match = _CLAUDE_VERSION.search(api_model)
    return match is not None and (int(match[1]), int(match[2] or 0)) <= _LAST_WITH_SAMPLING


def chat_to_messages(body: Json, api_model: str, default_max_tokens: int) -> Json:
    """The messages request that asks the same as a checked chat completion request.

    System and developer messages are joined into ``system``, wherever they
    stood. ``reasoning_effort``, ``seed``, penalties, ``logit_bias`` and
    ``logprobs`` have no counterpart and are left out.

    Raises:
        Unsupported: audio, video, uploaded files, custom tools, or ``n`` above 1.
        InvalidRequest: a message has neither text nor anything else to send.
    """
    if (body.get("n") or 1) > 1:
        raise Unsupported("Anthropic models give one answer a request; set n to 1.", field="n")
    system, turns = _conversation(body["messages"])
    request: Json = {
        "model": api_model,
        "max_tokens": body.get("max_completion_tokens")
        or body.get("max_tokens")
        or default_max_tokens,
    }
    _set_response_format(request, body, system)
    if not turns and system:
        turns, system = [{"role": "user", "content": system}], []
    if not turns:
        raise InvalidRequest("messages holds no text; say something.", field="messages")
    if turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [text_block(_OPENING)]})
    _trim_prefill(turns)
    if system:
        marked = any("cache_control" in block for block in system)
        request["system"] = system if marked else "\n\n".join(block["text"] for block in system)
    request["messages"] = [_plain(turn) for turn in turns]
    if body.get("stream"):
        request["stream"] = True
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if stops := [text for text in stops if text.strip()]:
        request["stop_sequences"] = stops
    user = body.get("user") or body.get("safety_identifier")
    if isinstance(user, str) and user:
        request["metadata"] = {"user_id": user}
    if accepts_sampling(api_model):
        _set_sampling(request, body)
    _set_tools(request, body)
    return request


def native_call(native: Json, api_model: str) -> Json:
    """A client's own messages request, made fit for the chosen model.

    Drops thinking blocks without a signature (this gateway writes such for
    models that are not Anthropic's; the API refuses them), and sampling
    parameters the model does not take.
    """
    request = {**native, "model": api_model}
    if not accepts_sampling(api_model):
        for name in _SAMPLING:
            request.pop(name, None)
    messages = [_without_unsigned_thinking(turn) for turn in native["messages"]]
    request["messages"] = [turn for turn in messages if turn["content"] != []]
    return request


def _conversation(messages: list[Json]) -> tuple[list[Json], list[Json]]:
    """System blocks, and turns with consecutive ones of a role made one."""
    system: list[Json] = []
    turns: list[Json] = []
    function_ids: dict[str, str] = {}
    for position, message in enumerate(messages):
        field = f"messages[{position}]"
        role = message["role"]
        if role in ("system", "developer"):
            system += content_blocks(message["content"], field)
            continue
        if role == "assistant":
            blocks = assistant_blocks(message, position, function_ids)
        elif role == "tool":
            blocks = [result_block(message["tool_call_id"], message["content"], field)]
        elif role == "function":
            name: str = message["name"]
            call_id = function_ids.get(name, name)
            blocks = [result_block(call_id, message.get("content") or "", field)]
        else:
            blocks = content_blocks(message["content"], field)
        speaker = "assistant" if role == "assistant" else "user"
        if not blocks:
            continue
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": speaker, "content": blocks})
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return system, turns


def _plain(turn: Json) -> Json:
    """The turn with a lone text block written as a string."""
    content = turn["content"]
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return {"role": turn["role"], "content": content[0]["text"]}
    return turn


def _trim_prefill(turns: list[Json]) -> None:
    """The API refuses a last assistant text that ends in white space."""
    last = turns[-1]
    if last["role"] == "assistant" and last["content"][-1]["type"] == "text":
        block = last["content"][-1]
        last["content"][-1] = {**block, "text": block["text"].rstrip()}


def _set_response_format(request: Json, body: Json, system: list[Json]) -> None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema" and "schema" in wanted["json_schema"]:
        schema = closed_schema(wanted["json_schema"]["schema"])
        request["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif wanted.get("type") in ("json_schema", "json_object"):
        system.append(text_block(_JSON_ONLY))


def _set_sampling(request: Json, body: Json) -> None:
    """Temperature or top_p (newer models refuse both together), and top_k."""
    if (temperature := body.get("temperature")) is not None:
        request["temperature"] = min(temperature, 1)
    elif body.get("top_p") is not None:
        request["top_p"] = body["top_p"]
    if type(body.get("top_k")) is int and body["top_k"] > 0:
        request["top_k"] = body["top_k"]


def _set_tools(request: Json, body: Json) -> None:
    tools = body.get("tools") or [
        {"type": "function", "function": function} for function in body.get("functions") or ()
    ]
    choice: Any = body.get("tool_choice") or body.get("function_call")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice["allowed_tools"]
        names = {_name(tool) for tool in allowed["tools"]}
        tools = [tool for tool in tools if _name(tool) in names]
        choice = allowed["mode"]
    if not tools:
        return
    request["tools"] = [_tool(tool, i) for i, tool in enumerate(tools)]
    wanted = _tool_choice(choice)
    if body.get("parallel_tool_calls") is False:
        wanted = wanted or {"type": "auto"}
        if wanted["type"] != "none":
            wanted["disable_parallel_tool_use"] = True
    if wanted:
        request["tool_choice"] = wanted


def _tool(tool: Json, position: int) -> Json:
    if tool["type"] == "custom":
        raise Unsupported(
            "Anthropic models take no tools of type custom; use type function.",
            field=f"tools[{position}].type",
        )
    if tool["type"] != "function":
        return tool  # One of Anthropic's server tools.
    function = tool["function"]
    schema = function.get("parameters") or {"properties": {}}
    made: Json = {"name": function["name"], "input_schema": {"type": "object", **schema}}
    if function.get("description"):
        made["description"] = function["description"]
    if "cache_control" in tool:
        made["cache_control"] = tool["cache_control"]
    return made


def _tool_choice(choice: Any) -> Json | None:
    if choice is None:
        return None
    if isinstance(choice, dict):
        return {"type": "tool", "name": _name(choice)}
    return {"type": {"required": "any"}.get(choice, choice)}


def _name(tool: Json) -> str:
    """The name of a tool, a choice, or a function of the form before tools."""
    inner = tool.get("function") or tool.get("custom") or tool
    name: str = inner["name"]
    return name


def _without_unsigned_thinking(turn: Json) -> Json:
    content = turn["content"]
    if turn["role"] != "assistant" or isinstance(content, str):
        return turn
    kept = [b for b in content if b["type"] != "thinking" or b.get("signature")]
    return turn if len(kept) == len(content) else {**turn, "content": kept}
