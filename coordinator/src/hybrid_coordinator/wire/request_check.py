"""Checks a parsed request against its schema and says what is wrong in one sentence.

Turns the type checker's findings into ``InvalidRequest`` with the path of
the field at fault (``messages[0].content[1].type``). Knows no dialect.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import InvalidRequest
from hybrid_coordinator.wire.json_text import parse_object, type_name

_EXPECTED: Final[dict[str, str]] = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}


class RequestCheck:
    """A check of bodies against one schema (a ``TypedDict``)."""

    def __init__(self, schema: Any) -> None:
        self.adapter: TypeAdapter[Any] = TypeAdapter(schema)
        self._validate = self.adapter.validator.validate_python

    def parse(self, body: bytes, max_depth: int) -> Json:
        """The body's JSON object exactly as it was sent, once it has passed.

        Raises:
            InvalidRequest: it is malformed, nested deeper than ``max_depth``,
                or a field is missing or wrong; ``field`` is that field's path.
        """
        value = parse_object(body, max_depth)
        try:
            self._validate(value)
        except ValidationError as error:
            raise _invalid(error, value) from None
        return value


def _invalid(error: ValidationError, body: Json) -> InvalidRequest:
    """The error for the first field at fault.

    A value that may be a string or a list fails twice, once for either; what
    is reported is the deepest finding below the first one, and all that was
    acceptable at that place.
    """
    place: tuple[str | int, ...] = ()
    findings: list[tuple[ErrorDetails, object]] = []
    for details in error.errors(include_url=False, include_input=False, include_context=True):
        path, value = _locate(details, body)
        if not findings or (len(path) > len(place) and path[: len(place)] == place):
            place, findings = path, [(details, value)]
        elif path == place:
            findings.append((details, value))
    name = _path(place)
    value = findings[0][1]
    if value is _MISSING:
        return InvalidRequest(f"{name} is missing; add it.", field=name)
    if value in ([], "") and findings[0][0]["type"] in ("too_short", "string_too_short"):
        return InvalidRequest(
            f"{name} is empty; put something into it or leave it out.", field=name
        )
    wanted = list(dict.fromkeys(_wanted(details) for details, _ in findings))
    exact = any(d["type"] not in _EXPECTED or d["type"] == "int_type" for d, _ in findings)
    shown = _shown(value, exact=exact)
    return InvalidRequest(f"{name} is {shown}; it must be {' or '.join(wanted)}.", field=name)


_MISSING: Final = object()


def _locate(details: ErrorDetails, body: Json) -> tuple[tuple[str | int, ...], object]:
    """The path of a finding and the value there.

    A finding's location mixes keys with the names of union members, which are no keys of the body.
    """
    value: Any = body
    path: list[str | int] = []
    location = details["loc"]
    for step in location:
        if isinstance(value, list):
            found = isinstance(step, int) and step < len(value)
        else:
            found = isinstance(value, dict) and step in value
        if found:
            value = value[step]
            path.append(step)
    if details["type"] == "missing":
        return (*path, location[-1]), _MISSING
    if details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        tag = details["ctx"]["discriminator"].strip("'")
        return (*path, tag), value.get(tag, _MISSING)
    return tuple(path), value


def _path(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _wanted(details: ErrorDetails) -> str:
    kind = details["type"]
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    context = details.get("ctx", {})
    match kind:
        case "literal_error":
            return f"one of {context['expected']}"
        case "union_tag_invalid":
            return f"one of {context['expected_tags']}"
        case "union_tag_not_found":
            return "a string"
        case "greater_than_equal":
            return f"at least {context['ge']:g}"
        case "less_than_equal":
            return f"at most {context['le']:g}"
        case "too_short" | "string_too_short":
            return "longer"
        case "too_long":
            return f"a list of at most {context['max_length']} items"
    return details["msg"].removeprefix("Input should be ").lower()


def _shown(value: object, *, exact: bool) -> str:
    """A value as it may stand in a message: never long, never what a user wrote."""
    if isinstance(value, list | str) and not value:
        return "empty"
    if exact and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    if exact and isinstance(value, str) and len(value) <= 40:
        return repr(value)
    return type_name(value)
