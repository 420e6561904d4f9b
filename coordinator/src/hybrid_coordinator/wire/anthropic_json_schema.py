"""JSON schemas as Anthropic's structured outputs take them.

They want every object closed and refuse bounds on numbers, strings and lists
(platform.claude.com, "Structured outputs", JSON schema limitations). A bound
that is taken out is told to the model in the description instead.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from hybrid_coordinator.conversation import Json

_REFUSED: Final = frozenset(
    (
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties",
        "contains", "minContains", "maxContains", "propertyNames", "patternProperties",
    )
)  # fmt: skip
_MAPS: Final = ("properties", "$defs", "definitions")
_LISTS: Final = ("anyOf", "allOf", "prefixItems")


def closed_schema(schema: Json) -> Json:
    """An equal schema with closed objects and without refused keywords."""
    made: Json = {}
    bounds: Json = {}
    for name, value in schema.items():
        if name in _REFUSED or (name == "minItems" and value not in (0, 1)):
            bounds[name] = value
        elif name in _MAPS and isinstance(value, dict):
            made[name] = {key: _closed(inner) for key, inner in value.items()}
        elif name in _LISTS and isinstance(value, list):
            made[name] = [_closed(inner) for inner in value]
        elif name == "oneOf" and isinstance(value, list):
            made["anyOf"] = [_closed(inner) for inner in value]
        elif name == "items":
            made[name] = _closed(value)
        else:
            made[name] = value
    if made.get("type") == "object" or "properties" in made:
        made["additionalProperties"] = False
    if bounds:
        told = ", ".join(
            f"{name}: {orjson.dumps(value).decode()}" for name, value in bounds.items()
        )
        description = made.get("description")
        made["description"] = f"{description} ({told})" if description else told
    return made


def _closed(schema: Any) -> Any:
    return closed_schema(schema) if isinstance(schema, dict) else schema
