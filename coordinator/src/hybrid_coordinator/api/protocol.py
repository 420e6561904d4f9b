"""HTTP/1.1 on one connection: uvicorn's httptools protocol with the limits that it lacks.

An ASGI application sees a request once its head is complete and writes its
answer into a buffer; what a client does before and after is bounded here: how
long and how large a head may be, how long an unread body is drained, how long
a reader may stand still, how many connections there are. Everything else is
uvicorn's.
"""

from __future__ import annotations

import asyncio
import select
import socket
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together, beyond what one read brings (RFC 9110 §5.4 leaves it open)."""

_LINGER: Final = 2.0
"""Seconds a refused client has to read its answer and close."""

_LAST_CALL: Final = 1.0
"""Seconds a kept connection is left open at the end: a request may be on its way to it."""

_FIRST_CALL: Final = 5.0
"""The same where none came yet: who connects is about to send one."""

_LOOK_AGAIN: Final = 0.05
"""Seconds until bytes that the kernel has already are looked at again."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds on one connection, and on their number.

    Attributes:
        connections: how many are served; one more is answered 503.
        request_timeout: seconds for a request's head to arrive, and for a body nobody reads.
        write_timeout: seconds a client may take nothing of its answer before it is cut off.
    """

    connections: int
    request_timeout: float
    write_timeout: float


class EdgeState(ServerState):
    """uvicorn's state that all connections share, and whether the server is ending.

    From then on every answer says ``Connection: close``, and a connection
    that owes none is closed a moment later; nothing is reset.
    """

    def __init__(self) -> None:
        super().__init__()
        self.draining = False

    @property
    def open_answers(self) -> int:
        """Requests that have come, wholly or in part, and are not answered to the end."""
        return sum(
            isinstance(connection, EdgeProtocol) and connection.is_busy
            for connection in self.connections
        )


class _Reading(Enum):
    """What of a request is arriving."""

    NOTHING = 0
    HEAD = 1
    BODY = 2
    REFUSED = 3


class EdgeProtocol(HttpToolsProtocol):
    """One connection. Made by uvicorn; ``with_limits`` gives the class to configure."""

    limits = ConnectionLimits(connections=1024, request_timeout=10.0, write_timeout=120.0)

    @classmethod
    def with_limits(cls, limits: ConnectionLimits) -> type[EdgeProtocol]:
        """This class with other limits; uvicorn takes a class, not an instance."""
        return type("EdgeProtocol", (cls,), {"limits": limits})

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._reading = _Reading.NOTHING
        self._head_bytes = 0
        self._request_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._last_call: asyncio.TimerHandle | None = None
        self._last: RequestResponseCycle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request is arriving or an answer is owed."""
        return self._reading in (_Reading.HEAD, _Reading.BODY) or not self._answered

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            # Lesson 21: Nagle's algorithm with delayed ACK adds 40 ms to every token.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self.limits.connections:
            self.app = _too_many_connections
        self._arm()
        if self._draining:  # It was accepted just before the end began.
            self._call_last(_FIRST_CALL)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._writing_again()
        if self._last_call is not None:
            self._last_call.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._reading
        if before is _Reading.REFUSED:
            return
        super().data_received(data)
        if self.transport.is_closing():
            self._disarm()
        elif self._reading is _Reading.HEAD:
            self._head_bytes = self._head_bytes + len(data) if before is _Reading.HEAD else 1
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, "request_head_too_large", "The request's head is too large.")
            else:
                self._arm()
        elif self._answered and (
            self._reading is _Reading.BODY or self.timeout_keep_alive_task is None
        ):
            # Either the answer (an error, then) was out before the body was in, or what came
            # was no request: neither may keep the connection for ever.
            self._arm()

    def eof_received(self) -> None:
        # A request that was cut off is told so; the transport closes after this either way.
        if self._reading in (_Reading.HEAD, _Reading.BODY):
            self._refuse(400, "incomplete_request", "The request ended before it was complete.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading = _Reading.HEAD

    def on_headers_complete(self) -> None:
        if not self.url.startswith(b"/"):
            # Absolute targets name a second host beside the Host header that was checked.
            raise ValueError("the request target is not a path")
        self._reading = _Reading.BODY
        self._disarm()
        super().on_headers_complete()
        if self._draining:
            self._end_with(self.cycle)

    def on_message_complete(self) -> None:
        self._reading = _Reading.NOTHING
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Still open: the head of this answer was out before it could say that it is the last.
        if self._draining and self._answered and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._call_last(_LAST_CALL)

    def shutdown(self) -> None:
        """What uvicorn calls when the server ends: answer what has come, and close."""
        if not self._answered:
            self._end_with(self.cycle)
        elif self._reading is _Reading.NOTHING:
            self._unset_keepalive_if_required()
            self._call_last(_FIRST_CALL if self.cycle is None else _LAST_CALL)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(
                self.limits.write_timeout, self.transport.abort
            )

    def resume_writing(self) -> None:
        self._writing_again()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for bytes that are no HTTP request."""
        self._refuse(400, "invalid_request", "These bytes are not a valid HTTP/1.1 request.")

    @property
    def _draining(self) -> bool:
        return isinstance(self.server_state, EdgeState) and self.server_state.draining

    def _end_with(self, cycle: RequestResponseCycle) -> None:
        """Let this answer be the last; one that was to be the last and comes before it is not."""
        if self._last is not None and not self._last.response_started:
            self._last.keep_alive = True
        self._last = None
        if cycle.keep_alive and not cycle.response_started:
            cycle.keep_alive = False
            self._last = cycle

    def _call_last(self, patience: float) -> None:
        if self._last_call is not None:
            self._last_call.cancel()
        self._last_call = self.loop.call_later(patience, self._nothing_came)

    def _nothing_came(self) -> None:
        """Close, unless a request has come meanwhile: that one's answer closes then."""
        self._last_call = None
        if self.transport.is_closing() or self.is_busy:
            return
        if _has_unread(self.transport):
            self._call_last(_LOOK_AGAIN)  # Closing over bytes unread would reset the connection.
        else:
            self.transport.close()

    @property
    def _answered(self) -> bool:
        """Whether no answer is owed or under way."""
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer bytes that no application will see, and take no further ones.

        Closing at once would reset the connection while the client still sends,
        and the answer would be lost: so only the own side is closed, and the
        other awaited for a moment (RFC 9112 §9.6).
        """
        self._disarm()
        self._reading = _Reading.REFUSED
        if self._answered or not self.cycle.response_started:
            self.transport.write(_whole_answer(status, code, message))
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._request_timer = self.loop.call_later(_LINGER, self.transport.close)

    def _arm(self) -> None:
        if self._request_timer is None:
            self._request_timer = self.loop.call_later(self.limits.request_timeout, self._too_slow)

    def _disarm(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _writing_again(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _too_slow(self) -> None:
        self._request_timer = None
        if self.transport.is_closing():
            return
        if self._reading is not _Reading.HEAD:
            self.transport.close()
        elif self._answered:
            self._refuse(408, "request_timeout", "The request's head did not arrive in time.")
        else:
            self._arm()  # It follows another request whose answer is still under way.


def _has_unread(transport: asyncio.Transport) -> bool:
    """Whether the kernel holds bytes of the client that the loop has not read yet."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        return False
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN | select.POLLRDHUP)
    events = {event for _, event in waiting.poll(0)}
    return events == {select.POLLIN}  # With any other flag the client has closed, too.


_REASONS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
}


def _error(code: str, kind: str, message: str) -> bytes:
    # No path is known, or none matters: the shape that most clients read.
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _whole_answer(status: int, code: str, message: str) -> bytes:
    body = _error(code, "invalid_request_error", message)
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (
        status,
        _REASONS[status],
        b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n"
        % len(body),
        body,
    )


async def _too_many_connections(scope: Scope, receive: Receive, send: Send) -> None:
    body = _error(
        "too_many_connections",
        "server_error",
        "Too many connections are open: ask again in a moment, or raise server.max_connections.",
    )
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
