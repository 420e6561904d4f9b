"""One request and its answer, as an endpoint sees them.

Holds what the edge found out before the endpoint ran (caller, headers, ids)
and writes the answer as ASGI messages. It decides nothing: who may call is
``admission`` and ``auth``, what is answered is the endpoints'.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson
from starlette.types import Message, Receive, Scope, Send

from hybrid_coordinator.api import body
from hybrid_coordinator.conversation import CacheStatus, Caller, Dialect, Json
from hybrid_coordinator.errors import HybridError, InvalidRequest, Unauthorized
from hybrid_coordinator.gateway import AnswerMeta, meta_of
from hybrid_coordinator.wire import anthropic, openai
from hybrid_coordinator.wire.json_text import parse_object

JSON: Final = b"application/json"
EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"

_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]+")
_NO_HEADERS: Final[Mapping[bytes, bytes]] = {}
_NOBODY: Final = Caller(id="", name="")


class Exchange:
    """A request that was let in, and the one answer to it.

    Attributes:
        headers: the request's headers that ``admission`` reads, by lower-case name.
        caller: who asks; nobody on the open paths.
        by_session: whether that is known by the dashboard's cookie, and not by a key.
        dialect: the dialect of the path, which errors are told in.
        endpoint: the path's template, for the metric; ``unknown`` until routed.
        meta: what is known of the answer, for its four headers.
        status: the status that was sent; 0 until then.
    """

    __slots__ = (
        "_receive",
        "_send",
        "answer_headers",
        "by_session",
        "caller",
        "dialect",
        "endpoint",
        "headers",
        "limits",
        "meta",
        "path",
        "scope",
        "started",
        "status",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        interaction_id: str,
        limits: body.Limits,
    ) -> None:
        self.started = time.perf_counter()
        self.scope = scope
        self._receive = receive
        self._send = send
        self.limits = limits
        self.path: str = scope["path"]
        self.dialect = Dialect.ANTHROPIC if is_anthropic(self.path) else Dialect.OPENAI
        self.headers: Mapping[bytes, bytes] = _NO_HEADERS
        self.caller = _NOBODY
        self.by_session = False
        self.endpoint = "unknown"
        self.meta = AnswerMeta(interaction_id)
        self.answer_headers: list[tuple[bytes, bytes]] = []
        self.status = 0

    @property
    def interaction_id(self) -> str:
        return self.meta.interaction_id

    @property
    def receive(self) -> Receive:
        """The server's own, for watching the connection once the body is read."""
        return self._receive

    def parameter(self, name: str) -> str:
        """A parameter of the path."""
        value: Any = self.scope["path_params"][name]
        return str(value)

    def query(self, *names: str) -> dict[str, list[str]]:
        """The query parameters; raises ``InvalidRequest`` for one that is not in ``names``."""
        found = parse_qs(
            self.scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="replace"
        )
        if any(name not in names for name in found):
            known = " and ".join(f"'{name}'" for name in names) or "none"
            raise InvalidRequest(f"Of query parameters only {known} is known here.", field="query")
        return found

    async def json(self, parser: body.Parser = parse_object) -> Json:
        """The request's body; raises a ``RequestError`` where it is none that is accepted."""
        body.check_type(self.headers)
        data = await body.read(self._receive, self.headers, self.limits)
        return await body.parse(data, self.limits.max_depth, parser)

    async def respond(self, data: bytes, *, status: int = 200, content_type: bytes = JSON) -> None:
        """Send a whole answer."""
        headers = self._headers(content_type)
        headers.append((b"content-length", b"%d" % len(data)))
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": data})

    async def respond_json(self, value: object, *, status: int = 200) -> None:
        """Send a whole answer that no chat model had a part in, as JSON."""
        await self.respond_without_model(orjson.dumps(value), status=status)

    async def respond_without_model(
        self, data: bytes, *, status: int = 200, content_type: bytes = JSON
    ) -> None:
        """Send a whole answer that no chat model had a part in."""
        self.asks_no_model()
        await self.respond(data, status=status, content_type=content_type)

    def asks_no_model(self) -> None:
        """Note for the headers that no chat model has a part in the answer."""
        self.meta = AnswerMeta(
            self.meta.interaction_id, CacheStatus.BYPASS, "none", "no model was asked"
        )

    async def respond_empty(self, status: int = 204) -> None:
        """Send an answer without a body."""
        self.status = status
        headers = [*self._meta_headers(), *self.answer_headers]
        if status not in (204, 304):
            headers.append((b"content-length", b"0"))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def start_stream(self) -> None:
        """Send the head of a streamed answer."""
        headers = self._headers(EVENT_STREAM)
        headers.append((b"cache-control", b"no-store"))
        # Proxies that buffer would hold tokens back.
        headers.append((b"x-accel-buffering", b"no"))
        self.status = 200
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a piece of a stream; waits while the client reads slower than that."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece of a stream."""
        await self._send({"type": "http.response.body", "body": data})

    async def respond_error(self, error: HybridError) -> None:
        """Send an error as a whole answer, in the dialect of the path."""
        known = meta_of(error)
        if known is not None:
            self.meta = known
        if self.meta.reason is None:
            self.meta = AnswerMeta(
                self.meta.interaction_id, self.meta.cache, self.meta.route, error.code
            )
        if error.retry_after is not None:
            self.answer_headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
        if isinstance(error, Unauthorized):
            self.answer_headers.append((b"www-authenticate", b'Bearer realm="hybrid-ai"'))
        if error.status == 408:
            self.answer_headers.append((b"connection", b"close"))
        await self.respond(self.error_body(error), status=error.status)

    def error_body(self, error: HybridError) -> bytes:
        """The error object of the path's dialect."""
        if self.dialect is Dialect.ANTHROPIC:
            return anthropic.error_body(error, self.meta.interaction_id)
        return openai.error_body(error)

    async def forward(self, message: Message) -> None:
        """The ``send`` of applications mounted under this one."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = message.get("headers", ())
            message["headers"] = [*own, *self._meta_headers(), *self.answer_headers]
        await self._send(message)

    def _headers(self, content_type: bytes) -> list[tuple[bytes, bytes]]:
        return [(b"content-type", content_type), *self._meta_headers(), *self.answer_headers]

    def _meta_headers(self) -> list[tuple[bytes, bytes]]:
        meta = self.meta
        headers = [(b"x-hybrid-interaction-id", meta.interaction_id.encode())]
        if meta.cache is not None:
            headers.append((b"x-hybrid-cache", meta.cache.encode()))
        if meta.route is not None:
            headers.append((b"x-hybrid-route", _header_value(meta.route)))
        if meta.reason is not None:
            headers.append((b"x-hybrid-reason", _header_value(meta.reason)))
        return headers


def is_anthropic(path: str) -> bool:
    """Whether clients of this path read Anthropic's error shape."""
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def _header_value(text: str) -> bytes:
    """Printable ASCII: a header carries no line break, so it cannot be split by a value."""
    return _UNPRINTABLE.sub(b" ", text.encode("ascii", "replace")).strip()
