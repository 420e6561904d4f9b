"""What both fake paid APIs share: scripted answers, records, counters, and a real HTTP server.

A fake is an ASGI app. ``async with running(fake) as base_url`` serves it on a
free loopback port in the test's own event loop, so tests can hold, cut and
inspect it without sleeping. It decides nothing about wire formats.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import uvicorn

Json = dict[str, Any]
Message = MutableMapping[str, Any]


@dataclass(frozen=True)
class ToolUse:
    """A tool the scripted model calls; ``arguments`` is JSON text."""

    name: str
    arguments: str = "{}"
    id: str | None = None


@dataclass(frozen=True)
class Answer:
    """What the fake does with one request.

    ``text`` unset means the deterministic echo; ``finish_reason`` is in the
    dialect's own words. ``usage`` is (input, output) tokens, counted in words
    where unset. ``delay`` and ``hold`` come before the first byte;
    ``chunk_delay`` before each further event, and ``hold_stream`` after the
    first event with content. ``cut_after_chunks`` closes the connection
    without an end after that many events (0: after the status line; the
    role announcement is one), and ``end_after_chunks`` ends the body properly
    but without the protocol's last events. ``stream_error`` puts an error event after the
    content. ``garbage`` is sent as the whole body with status 200, ``raw``
    with ``status``. A ``status`` of 400 and above sends the dialect's error
    object with ``error_message`` and, where given, ``retry-after``.
    """

    text: str | None = None
    tool_calls: Sequence[ToolUse] = ()
    reasoning: str = ""
    refusal: str | None = None
    finish_reason: str | None = None
    usage: tuple[int, int] | None = None
    cached_tokens: int = 0
    model: str | None = None
    status: int = 200
    error_message: str = "scripted failure"
    retry_after: float | None = None
    headers: Sequence[tuple[str, str]] = ()
    delay: float = 0.0
    chunk_delay: float = 0.0
    hold: asyncio.Event | None = None
    hold_stream: asyncio.Event | None = None
    cut_after_chunks: int | None = None
    end_after_chunks: int | None = None
    stream_error: str | None = None
    garbage: bytes | None = None
    raw: bytes | None = None
    content_type: str | None = None


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        value: Json = orjson.loads(self.body)
        return value


class Refused(Exception):
    """The fake refuses a request the way the real API would."""

    def __init__(self, status: int, message: str, kind: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code


Send = Callable[[Message], Any]


class Responder:
    """Writes one HTTP response.

    ``ending`` is awaited before the last byte leaves, so that a client that
    has the whole answer finds it counted.
    """

    def __init__(self, send: Send, ending: Callable[[], Awaitable[None]] | None = None) -> None:
        self._send = send
        self._ending = ending
        self.ended = False

    async def start(
        self, status: int, content_type: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        lines = [("content-type", content_type), *headers]
        encoded = [(name.encode(), value.encode()) for name, value in lines]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        self.ended = True
        if self._ending is not None:
            await self._ending()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def whole(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        await self.start(status, content_type, headers)
        await self.end(body)


class FakeApi:
    """Base of the fakes: an ASGI app that takes answers from a queue.

    ``started``, ``finished`` and ``cancelled`` (the client went away first)
    count requests to the chat endpoint; ``running`` how many are open now and
    ``most_running`` how many were at once. ``requests`` has every request.
    """

    chat_path = ""

    def __init__(
        self,
        *,
        models: Sequence[str],
        api_key: str | None = None,
        default: Answer | None = None,
    ) -> None:
        self.models = list(models)
        self.api_key = api_key
        self.default = default or Answer()
        self.requests: list[Request] = []
        self.started = 0
        self.finished = 0
        self.cancelled = 0
        self.most_running = 0
        self._queue: deque[Answer] = deque()
        self._changed = asyncio.Condition()
        self._open: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        return self.started - self.finished - self.cancelled

    @property
    def chat_requests(self) -> list[Request]:
        """The requests to the chat endpoint, in order."""
        return [r for r in self.requests if r.path == self.chat_path]

    def enqueue(self, *answers: Answer) -> None:
        """Script the next answers; afterwards ``default`` again."""
        self._queue.extend(answers)

    async def until(self, condition: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait until ``condition`` holds; it is looked at whenever a counter changes."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(condition)

    def stop(self) -> None:
        """End every open answer, held ones included."""
        for task in self._open:
            task.cancel()

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {k.decode().lower(): v.decode("latin-1") for k, v in scope["headers"]}
        request = Request(scope["method"], scope["path"], headers, body)
        self.requests.append(request)
        if request.path != self.chat_path or request.method != "POST":
            await self._guarded(request, Responder(send), self.other)
            return
        await self._count(started=1)
        respond = Responder(send, partial(self._count, finished=1))
        answer = self._queue.popleft() if self._queue else self.default
        work = asyncio.create_task(self._chat(request, answer, respond))
        gone = asyncio.create_task(_disconnected(receive))
        self._open.add(work)
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone_first = not work.done()
            work.cancel()
            gone.cancel()
            outcomes = await asyncio.gather(work, gone, return_exceptions=True)
            self._open.discard(work)
            if not respond.ended:
                await self._count(cancelled=gone_first, finished=not gone_first)
        failure = outcomes[0]
        if isinstance(failure, Exception):
            raise failure

    async def _chat(self, request: Request, answer: Answer, respond: Responder) -> None:
        if answer.hold is not None:
            await answer.hold.wait()
        if answer.delay:
            await asyncio.sleep(answer.delay)
        kind = answer.content_type or "application/json"
        if answer.garbage is not None:
            await respond.whole(200, answer.garbage, kind, answer.headers)
        elif answer.raw is not None:
            await respond.whole(answer.status, answer.raw, kind, self._headers(answer))
        elif answer.status >= 400:
            error = self.error(self.refusal_of(answer))
            await respond.whole(answer.status, error, kind, self._headers(answer))
        else:

            async def serve(request: Request, respond: Responder) -> None:
                await self.chat(request, answer, respond)

            await self._guarded(request, respond, serve)

    async def send_stream(
        self,
        respond: Responder,
        answer: Answer,
        content: Sequence[bytes],
        last: Sequence[bytes],
        announcing: int,
    ) -> None:
        """Send content events, then the protocol's last ones, with the faults of ``answer``.

        The first ``announcing`` events of the content carry nothing a user would see.
        """
        await respond.start(200, "text/event-stream; charset=utf-8", answer.headers)
        await respond.write(b"")
        for sent, event in enumerate(content):
            if answer.cut_after_chunks == sent:
                return
            if answer.end_after_chunks == sent:
                await respond.end()
                return
            if answer.chunk_delay and sent:
                await asyncio.sleep(answer.chunk_delay)
            await respond.write(event)
            if answer.hold_stream is not None and sent == announcing:
                await answer.hold_stream.wait()
        if answer.cut_after_chunks is not None:
            return
        if answer.end_after_chunks is None:
            for event in last:
                await respond.write(event)
        await respond.end()

    async def _guarded(self, request: Request, respond: Responder, serve: Any) -> None:
        try:
            self.authenticate(request)
            await serve(request, respond)
        except Refused as refused:
            await respond.whole(refused.status, self.error(refused))

    def _headers(self, answer: Answer) -> list[tuple[str, str]]:
        headers = list(answer.headers)
        if answer.retry_after is not None:
            headers.append(("retry-after", f"{answer.retry_after:g}"))
        return headers

    async def _count(self, *, started: int = 0, finished: int = 0, cancelled: int = 0) -> None:
        async with self._changed:
            self.started += started
            self.finished += finished
            self.cancelled += cancelled
            self.most_running = max(self.most_running, self.running)
            self._changed.notify_all()

    # What a dialect fills in.

    def authenticate(self, request: Request) -> None:
        raise NotImplementedError

    def refusal_of(self, answer: Answer) -> Refused:
        raise NotImplementedError

    def error(self, refused: Refused) -> bytes:
        raise NotImplementedError

    async def chat(self, request: Request, answer: Answer, respond: Responder) -> None:
        raise NotImplementedError

    async def other(self, request: Request, respond: Responder) -> None:
        raise NotImplementedError


def words(text: str) -> list[str]:
    """Text in the pieces a stream sends it in; joined they are the text."""
    pieces = text.split(" ")
    return [piece if i == 0 else " " + piece for i, piece in enumerate(pieces)] if text else []


def halves(text: str) -> list[str]:
    """Tool arguments in the pieces a stream sends them in."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Server(uvicorn.Server):
    """A server that says when it listens, stops at once, and leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stopping.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def running(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI app on a free loopback port; yields its base URL, without a path."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=2
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    listening = asyncio.create_task(server.listening.wait())
    await asyncio.wait((task, listening), return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if task.done():
        listener.close()
        await task
        raise RuntimeError("the server stopped before it listened")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        if isinstance(app, FakeApi):
            app.stop()
        server.stopping.set()
        await task
        listener.close()
