"""Reading a request's body: how large, how slow and of which type it may be.

Ends where a JSON object is in hand; what its fields must be is judged in
``wire``. Nothing here knows an endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import Receive

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import (
    RequestTimeout,
    RequestTooLarge,
    UnsupportedMediaType,
)
from hybrid_coordinator.settings import ServerSettings

Parser = Callable[[bytes, int], Json]
"""Body and levels of nesting allowed to the JSON object, checked."""

THREAD_BYTES = 128 * 1024
"""Bodies above this many bytes are parsed in a thread: they take a millisecond or more."""

_FORM = "application/x-www-form-urlencoded"


class ClientGone(Exception):
    """The client closed its connection; there is nobody left to answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may be: bytes, seconds until it is whole, levels of nesting."""

    max_bytes: int
    timeout: float
    max_depth: int

    @classmethod
    def of(cls, settings: ServerSettings) -> Limits:
        return cls(settings.max_body_bytes, settings.body_timeout, settings.max_json_depth)


def check_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise ``UnsupportedMediaType`` unless the body is declared as plain JSON or not at all.

    A form's type is taken for JSON where no browser is at work (``curl -d`` sends
    it unasked): every browser puts ``origin`` on a POST, so no web page gets
    around the permission that a JSON type would need.
    """
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType(
            "A compressed body is not accepted: send it without content-encoding.",
            field="content-encoding",
        )
    raw = headers.get(b"content-type")
    if raw is None or raw == b"application/json":
        return
    media, *parameters = (part.strip() for part in raw.decode("latin-1").lower().split(";"))
    charset = next((p[8:].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    form = media == _FORM and b"origin" not in headers
    json = media == "application/json" or (
        media.startswith("application/") and media.endswith("+json")
    )
    if not (json or form) or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(
            "The body must be JSON in UTF-8: send it with 'content-type: application/json'.",
            field="content-type",
        )


async def read(receive: Receive, headers: Mapping[bytes, bytes], limits: Limits) -> bytes:
    """The whole body.

    Raises ``RequestTooLarge`` as soon as it is known, before reading where the
    length was declared; ``RequestTimeout``; ``ClientGone``.
    """
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limits.max_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.timeout):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body: bytes = message.get("body", b"")
            if len(body) > limits.max_bytes:
                raise _too_large(limits)
            if not message.get("more_body", False):
                return body
            return await _read_on(receive, body, limits)
    except TimeoutError:
        raise RequestTimeout(
            f"The body did not arrive within {limits.timeout:g} seconds: send it faster, "
            "or raise server.body_timeout."
        ) from None


async def _read_on(receive: Receive, first: bytes, limits: Limits) -> bytes:
    body = bytearray(first)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limits.max_bytes:
            raise _too_large(limits)
        if not message.get("more_body", False):
            return bytes(body)


async def parse(body: bytes, max_depth: int, parser: Parser) -> Json:
    """The JSON object in ``body``; raises ``InvalidRequest`` for what ``parser`` refuses."""
    if len(body) > THREAD_BYTES:
        return await asyncio.to_thread(parser, body, max_depth)
    return parser(body, max_depth)


def _too_large(limits: Limits) -> RequestTooLarge:
    return RequestTooLarge(
        f"The body is larger than {limits.max_bytes} bytes: send less, "
        "or raise server.max_body_bytes."
    )
