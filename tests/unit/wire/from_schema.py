"""Values that fit a JSON schema, and values that nearly do, for hypothesis.

Knows the keywords that this package's schemas use and fails on any other, so
that a new one cannot be passed over in silence.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from tests.unit.wire.strategies import JSON, SOME_TEXT, TEXT

_ANNOTATIONS = {"title", "description", "default", "discriminator", "$defs"}
_KEYWORDS = {
    "$ref", "anyOf", "oneOf", "const", "enum", "not", "type", "properties", "required", "items",
    "additionalProperties", "minItems", "maxItems", "minLength", "minimum", "maximum",
}  # fmt: skip


def fitting(schema: dict[str, Any], root: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Values the schema accepts."""
    root = root or schema
    unknown = schema.keys() - _KEYWORDS - _ANNOTATIONS
    assert not unknown, f"teach this file the keywords {unknown}"
    if ref := schema.get("$ref"):
        name = ref.removeprefix("#/$defs/")
        return st.deferred(lambda: fitting(root["$defs"][name], root))
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return st.one_of(*(fitting(member, root) for member in schema[union]))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _of_type(schema, root)


def _of_type(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum"), schema.get("maximum")
    match schema.get("type"):
        case "string":
            text = SOME_TEXT if schema.get("minLength") else TEXT
            banned = schema.get("not", {})
            names = banned.get("enum", [banned.get("const")])
            return text.filter(lambda value: value not in names)
        case "integer":
            return st.integers(-(2**63) if low is None else low, 2**63 if high is None else high)
        case "number":
            floats = st.floats(low, high, allow_nan=False, allow_infinity=False)
            whole = st.integers(-9 if low is None else int(low), 9 if high is None else int(high))
            return floats | whole
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            return st.lists(
                fitting(schema["items"], root), min_size=schema.get("minItems", 0), max_size=3
            )
        case "object":
            return _objects(schema, root)
    assert "type" not in schema, schema
    return JSON


def _objects(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    made = {name: fitting(inner, root) for name, inner in properties.items()}
    named = st.fixed_dictionaries(
        {name: value for name, value in made.items() if name in required},
        optional={name: value for name, value in made.items() if name not in required},
    )
    rest = schema.get("additionalProperties", True)
    extra = fitting(rest, root) if isinstance(rest, dict) else JSON
    extras = st.dictionaries(TEXT.filter(lambda key: key not in properties), extra, max_size=1)
    return st.builds(lambda a, b: b | a, named, extras)


@st.composite
def mutated(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Any:
    """A value with up to three of its parts replaced, removed or added."""
    value = copy.deepcopy(draw(values))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            container[key] = draw(JSON | st.sampled_from(["", [], {}, 0, -1, 3, True, None]))
        elif action == "remove":
            del container[key]
        elif isinstance(container, list):
            container.append(draw(JSON))
        else:
            container[draw(st.sampled_from(["type", "role", "content", "text", "id"]))] = draw(JSON)
    return value


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
