"""One pooled HTTP/1.1 client per backend: bytes out, bytes in, failures as our own errors.

aiohttp is used directly. A small request over loopback to a 0 ms stub took
0.30 ms this way, 0.41 ms through httpx-aiohttp's transport, 0.56 ms with
httpx.AsyncClient on top and 1.04 ms with httpx's own (minimum of 3000; a bare
socket: 0.12 ms). aiohttp brings what is needed: TCP_NODELAY on every
connection, a bounded pool, and a reader that stops reading the socket at its
high-water mark (128 KiB) when nobody takes the bytes. Knows no dialect and
does not retry, but for a pooled connection that the server had already closed.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from hybrid_coordinator.errors import (
    BackendError,
    BackendProtocolError,
    BackendTimeout,
    BackendUnavailable,
)
from hybrid_coordinator.inference.upstream_errors import BackendUnreachable, upstream_error
from hybrid_coordinator.settings import BackendSettings

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_MAX_ERROR_BYTES: Final = 64 * 1024
_READ_BUFFER: Final = 64 * 1024
_DRAIN_SECONDS: Final = 0.05
# Local servers (uvicorn, cpp-httplib) close idle connections after 5 s: leave before they do.
_LOCAL_KEEP_ALIVE: Final = 4.0
_REMOTE_KEEP_ALIVE: Final = 60.0
# Connections beside the requests': probes and token counts.
_SPARE_CONNECTIONS: Final = 2


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer of status 200 to 299."""

    status: int
    content_type: str
    body: bytes


class HttpTransport:
    """The connections to one backend.

    ``headers`` go with every request; ``secret`` is what must never appear in
    a message. Created outside an event loop, connected at the first request.
    """

    def __init__(
        self,
        backend: str,
        settings: BackendSettings,
        base_url: str,
        headers: Mapping[str, str],
        *,
        secret: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._base = base_url.rstrip("/").removesuffix("/v1")
        self._headers = {"accept-encoding": "identity", **headers}
        self.secret = secret
        self._clock = clock
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._limits = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Send JSON and wait for the whole answer.

        A backend sends nothing before a whole answer is made, so the limit of
        its first byte is ``total_timeout``; after it, ``idle_timeout`` holds.

        Raises:
            BackendError: of the class that says what went wrong.
        """
        return await self._whole("POST", path, body, self._settings.total_timeout, headers)

    async def get(self, path: str, *, limit: float) -> Reply:
        """Fetch a small document within ``limit`` seconds; raises as ``post``."""
        return await self._whole("GET", path, None, limit)

    async def post_within(self, path: str, body: bytes, *, limit: float) -> Reply:
        """As ``post``, but within ``limit`` seconds."""
        return await self._whole("POST", path, body, limit)

    async def stream(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Reply | bytes, None]:
        """Send JSON and yield the answer: a ``Reply`` without body first, then its bytes as read.

        Nothing is read ahead of the consumer but what the reader's bounded
        buffer holds. Closing the generator closes the connection, unless the
        answer had been read to its end.
        """
        settings = self._settings
        deadline = self._clock() + settings.total_timeout
        first = self._clock() + settings.first_token_timeout
        response = await self._open("POST", path, body, min(first, deadline), headers)
        try:
            yield Reply(response.status, response.content_type, b"")
            until = min(first, deadline)
            began = False
            while chunk := await self._read(response.content, until, began=began):
                yield chunk
                began = True
                until = min(self._clock() + settings.idle_timeout, deadline)
        finally:
            self._release(response)

    async def rest(self, chunks: AsyncIterable[Reply | bytes]) -> bytes:
        """All bytes that are left of an answer.

        Raises:
            BackendProtocolError: they are more than ``MAX_ANSWER_BYTES``.
        """
        parts: list[bytes] = []
        size = 0
        async for chunk in chunks:
            if isinstance(chunk, bytes):
                parts.append(chunk)
                size = self._bounded(size + len(chunk))
        return b"".join(parts)

    async def drain(self, chunks: AsyncGenerator[Reply | bytes, None]) -> None:
        """Read a finished stream to its end, so that its connection can be used again.

        A server that keeps it open after its last event loses the connection.
        """
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in chunks:
                    pass
        except (TimeoutError, BackendError):
            # The answer is complete; only the connection is lost.
            return

    async def aclose(self) -> None:
        """Close all connections, those in use included. May be called twice."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _whole(
        self,
        method: str,
        path: str,
        body: bytes | None,
        limit: float,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        deadline = self._clock() + limit
        response = await self._open(method, path, body, deadline, headers)
        try:
            parts: list[bytes] = []
            size = 0
            # Some servers send their headers long before the answer is made.
            until = deadline
            while chunk := await self._read(response.content, until, began=bool(parts)):
                parts.append(chunk)
                size = self._bounded(size + len(chunk))
                until = min(self._clock() + self._settings.idle_timeout, deadline)
            return Reply(response.status, response.content_type, b"".join(parts))
        finally:
            self._release(response)

    async def _open(
        self,
        method: str,
        path: str,
        body: bytes | None,
        deadline: float,
        headers: Mapping[str, str] | None,
    ) -> aiohttp.ClientResponse:
        """The response's head; a status that is no success is raised."""
        url = self._urls.get(path) or self._urls.setdefault(path, URL(self._base + path))
        while True:
            session = self._session or self._connect()
            opened = _Opened()
            _opened.set(opened)
            try:
                async with asyncio.timeout(deadline - self._clock()):
                    response = await session.request(
                        method,
                        url,
                        data=body,
                        headers=headers,
                        timeout=self._limits,
                        allow_redirects=False,
                    )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # The server closed a kept connection while the request was on its way. The pool
                # has dropped it, so each turn uses up one; a fresh connection ends the loop.
                if not opened.fresh and not isinstance(error, aiohttp.ClientConnectorError):
                    continue
                raise self._failure(error, began=False) from error
            except (aiohttp.ClientError, TimeoutError) as error:
                raise self._failure(error, began=False) from error
            if 200 <= response.status < 300:
                return response
            raise await self._refusal(response, deadline)

    def _bounded(self, size: int) -> int:
        if size > MAX_ANSWER_BYTES:
            raise BackendProtocolError(
                f"backend '{self._backend}' sent more than {MAX_ANSWER_BYTES} bytes in one "
                "answer: ask for fewer tokens, or check what base_url points at",
                backend=self._backend,
            )
        return size

    async def _read(self, content: aiohttp.StreamReader, deadline: float, *, began: bool) -> bytes:
        """The next bytes; empty at the end. ``began``: bytes of the answer came before."""
        try:
            # Mostly they are here already, and no timer is needed.
            if (chunk := content.read_nowait()) or content.at_eof():
                if chunk and self._clock() >= deadline:
                    raise TimeoutError
                return chunk
            async with asyncio.timeout(deadline - self._clock()):
                return await content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._failure(error, began=began) from error

    async def _refusal(self, response: aiohttp.ClientResponse, deadline: float) -> BackendError:
        body = b""
        try:
            while len(body) < _MAX_ERROR_BYTES and (
                chunk := await self._read(response.content, deadline, began=True)
            ):
                body += chunk
        except BackendError as error:
            # The status says enough without the rest of its body.
            body = body or error.message.encode()
        finally:
            self._release(response)
        if response.status < 400:
            return BackendProtocolError(
                f"backend '{self._backend}' answered with a redirect (HTTP {response.status}): "
                f"set backends.{self._backend}.base_url to where it leads",
                backend=self._backend,
            )
        return upstream_error(
            self._backend, response.status, body, response.headers, secret=self.secret
        )

    def _release(self, response: aiohttp.ClientResponse) -> None:
        """Back to the pool if it was read to its end, else closed: that cancels the request."""
        if response.content.at_eof():
            response.release()
        else:
            response.close()

    def _failure(self, error: Exception, *, began: bool) -> BackendError:
        name, settings = self._backend, self._settings
        if isinstance(error, aiohttp.ServerTimeoutError):
            return BackendTimeout(
                f"backend '{name}' accepted no connection within {settings.connect_timeout:g} s "
                f"(connect_timeout): is a server running at {self._base}?",
                backend=name,
            )
        if isinstance(error, TimeoutError):
            what = "stopped in the middle of an answer" if began else "did not begin to answer"
            timeout = BackendTimeout(
                f"backend '{name}' {what} within its time limits (first_token_timeout "
                f"{settings.first_token_timeout:g} s, idle_timeout {settings.idle_timeout:g} s, "
                f"total_timeout {settings.total_timeout:g} s)",
                backend=name,
            )
            # Who waited that long should not wait for the same again.
            timeout.retryable = False
            return timeout
        if isinstance(error, aiohttp.ClientConnectorError):
            return BackendUnreachable(
                f"backend '{name}' cannot be reached at {self._base}: {_reason(error)}; "
                "is the server running, and base_url right?",
                backend=name,
            )
        if isinstance(error, aiohttp.ClientResponseError):
            return BackendProtocolError(
                f"backend '{name}' does not speak HTTP at {self._base}: {error.message}",
                backend=name,
            )
        what = "in the middle of an answer" if began else "before it answered"
        return BackendUnavailable(
            f"backend '{name}' closed the connection {what} ({_reason(error)})", backend=name
        )

    def _connect(self) -> aiohttp.ClientSession:
        if self._closed:
            raise BackendUnavailable(
                f"backend '{self._backend}' is closed: the coordinator is stopping",
                backend=self._backend,
            )
        limit = self._settings.max_concurrency + _SPARE_CONNECTIONS
        base = URL(self._base)
        local = _is_loopback(base.host or "")
        connector = aiohttp.TCPConnector(
            limit=limit,
            limit_per_host=limit,
            keepalive_timeout=_LOCAL_KEEP_ALIVE if local else _REMOTE_KEEP_ALIVE,
            socket_factory=_new_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER,
            proxy=None if local else _proxy(base),
        )
        return self._session


class _Opened:
    """Whether a request opened a connection of its own, rather than reuse a kept one."""

    __slots__ = ("fresh",)

    def __init__(self) -> None:
        self.fresh = False


_opened: ContextVar[_Opened] = ContextVar("_opened")


def _new_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """The connector's socket factory. aiohttp's tracing could tell too, for 60 µs a request."""
    _opened.get().fresh = True
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)


def _proxy(url: URL) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a host elsewhere."""
    if proxy_bypass(url.host or ""):
        return None
    return getproxies().get(url.scheme)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    return str(error) or type(error).__name__


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
