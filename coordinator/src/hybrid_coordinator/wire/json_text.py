"""Reading untrusted JSON: what both dialects need before they look at a field.

Parses request bodies with a bound on nesting, and answers "which type is
this" questions about what a backend sent. Knows no field of either dialect.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import InvalidRequest
from hybrid_coordinator.wire.faults import ProtocolError

MAX_DEPTH: Final = 200
"""Nesting that is never exceeded, whatever is allowed: ``orjson`` writes 254 levels at most."""

_DEPTH_ERRORS: Final = ("depth limit", "array and object recursion depth")
"""How ``orjson`` begins to say that a text is nested too deep: since 3.12, and before."""


def parse_object(body: bytes, max_depth: int) -> Json:
    """The JSON object in a request body.

    Raises:
        InvalidRequest: not UTF-8, not JSON (``NaN`` and lone surrogates are
            not), nested deeper than ``max_depth`` (or 200) levels, or no object.
    """
    if not body:
        raise InvalidRequest("The request body is empty; send a JSON object.")
    limit = min(max_depth, MAX_DEPTH)
    try:
        value = orjson.loads(body)  # It has a limit of its own, 1024 levels.
    except orjson.JSONDecodeError as error:
        if error.msg.startswith(_DEPTH_ERRORS):
            raise InvalidRequest(_too_deep(limit)) from None
        raise InvalidRequest(_why(body, error)) from None
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"The request body is {type_name(value)}; it must be a JSON object, such as "
            '{"messages": […]}.'
        )
    # An object with fewer opening brackets than levels cannot be too deep; most are like that.
    if body.count(b"{") + body.count(b"[") > limit and depth_exceeds(value, limit):
        raise InvalidRequest(_too_deep(limit))
    return value


def parse_answer(body: bytes, what: str) -> Json:
    """The JSON object a backend sent as ``what``.

    Raises:
        ProtocolError: it is not one.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"{what} is not JSON: {error.msg}") from None
    if not isinstance(value, dict):
        raise ProtocolError(f"{what} is {type_name(value)} instead of an object")
    return value


def type_name(value: object) -> str:
    """What a JSON value is, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def count_of(value: object) -> int:
    """A number of tokens; 0 for what is none."""
    return value if type(value) is int and value > 0 else 0


def string_of(value: object) -> str:
    """A string; empty for what is none."""
    return value if isinstance(value, str) else ""


def object_of(value: object) -> dict[str, Any]:
    """An object; empty for what is none."""
    return value if isinstance(value, dict) else {}


def depth_exceeds(value: object, limit: int) -> bool:
    """Whether containers are nested more than ``limit`` levels deep."""
    level: list[Any] = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def encoded(value: object) -> str:
    """JSON text of something a backend sent.

    Raises:
        ProtocolError: it is nested too deeply to be written again.
    """
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise ProtocolError(f"an object in the answer cannot be written again: {error}") from None


def _too_deep(limit: int) -> str:
    return f"The request body is nested more than {limit} levels deep; flatten it."


def _why(body: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as invalid:
        return f"The request body is not UTF-8 (byte {invalid.start}); send JSON in UTF-8."
    return (
        f"The request body is not valid JSON: {error.msg} at line {error.lineno}, "
        f"column {error.colno}."
    )
