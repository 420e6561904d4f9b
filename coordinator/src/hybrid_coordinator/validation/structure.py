"""Whether an answer is the JSON, or the tool call, that the request asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from hybrid_coordinator.conversation import ChatRequest, Json, ToolCall


class StructureCheck:
    """The structure one request asks for, prepared once."""

    def __init__(self, request: ChatRequest) -> None:
        form = request.body.get("response_format") or {}
        self.wants_json = form.get("type") in ("json_object", "json_schema")
        schema = (form.get("json_schema") or {}).get("schema")
        self._schema = _validator(schema) if form.get("type") == "json_schema" else None
        self._tools = _tools(request.body)

    def fault_in_json(self, text: str) -> str | None:
        """What is wrong with ``text`` as the JSON asked for, without quoting it."""
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return "the answer is not JSON"
        if self._schema is None:
            return None if isinstance(value, dict) else "the answer is JSON but not an object"
        error = best_match(self._schema.iter_errors(value))
        if error is None:
            return None
        return f"the answer breaks the schema's '{error.validator}' at {error.json_path}"

    def fault_in_calls(self, calls: Sequence[ToolCall]) -> str | None:
        """What is wrong with the tool calls, without quoting their arguments."""
        for call in calls:
            if self._tools and call.name not in self._tools:
                return "a tool was called that the request does not offer"
            try:
                arguments = orjson.loads(call.arguments or "{}")
            except orjson.JSONDecodeError:
                return f"the arguments of tool '{call.name}' are not JSON"
            if not isinstance(arguments, dict):
                return f"the arguments of tool '{call.name}' are not an object"
            validator = self._tools.get(call.name)
            error = best_match(validator.iter_errors(arguments)) if validator else None
            if error is not None:
                return (
                    f"the arguments of tool '{call.name}' break its schema's "
                    f"'{error.validator}' at {error.json_path}"
                )
        return None


def _tools(body: Json) -> dict[str, Draft202012Validator | None]:
    tools: dict[str, Draft202012Validator | None] = {}
    for tool in body.get("tools") or ():
        function = tool.get("function") or tool.get("custom") or {}
        name = function.get("name")
        if isinstance(name, str):
            tools[name] = _validator(function.get("parameters"))
    for function in body.get("functions") or ():
        if isinstance(function.get("name"), str):
            tools[function["name"]] = _validator(function.get("parameters"))
    return tools


def _validator(schema: Any) -> Draft202012Validator | None:
    """A validator, or None where the client's schema is none: that is the backend's to refuse."""
    if not isinstance(schema, dict) or not schema:
        return None
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return None
    return Draft202012Validator(schema)
