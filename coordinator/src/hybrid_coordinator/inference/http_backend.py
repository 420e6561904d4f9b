"""What the HTTP backends share: one request, whole or as events, over one transport.

A subclass brings the dialect (path, body, parsing) and a probe. Nothing here
knows a dialect, and nothing retries.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing

import orjson

from hybrid_coordinator.conversation import Completion, Delta, Json, ModelCall, ToolCallDelta
from hybrid_coordinator.errors import BackendError, BackendProtocolError, BackendUnavailable
from hybrid_coordinator.inference.backend import Readiness
from hybrid_coordinator.inference.probes import Probe
from hybrid_coordinator.inference.transport import HttpTransport, Reply
from hybrid_coordinator.inference.upstream_errors import upstream_error
from hybrid_coordinator.settings import BackendSettings
from hybrid_coordinator.wire.faults import StreamError
from hybrid_coordinator.wire.sse import EventSplitter, ServerSentEvent

COUNT_SECONDS = 5.0
"""How long counting a prompt's tokens may take."""


class StreamReader(ABC):
    """Turns one stream's events into deltas and knows when the stream is complete."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether the dialect's last event was seen: nothing is to follow."""

    @property
    @abstractmethod
    def may_end(self) -> bool:
        """Whether the answer is whole, should the stream end here."""

    @abstractmethod
    def read(self, event: ServerSentEvent) -> Delta | None:
        """The next delta, or nothing where the event has none.

        Raises:
            ValueError: the event is not the dialect.
            StreamError: the backend reported an error.
        """


class HttpBackend(ABC):
    """A server that is asked over HTTP."""

    def __init__(
        self, name: str, settings: BackendSettings, transport: HttpTransport | None, probe: Probe
    ) -> None:
        self.name = name
        self.settings = settings
        self._connection = transport
        self._probe = probe

    @property
    def _transport(self) -> HttpTransport:
        """The connection to the server; raises ``BackendUnavailable`` while there is none."""
        if self._connection is None:
            raise BackendUnavailable(
                f"backend '{self.name}' is loading its model: try again in a moment",
                backend=self.name,
                retry_after=1.0,
            )
        return self._connection

    @property
    @abstractmethod
    def _path(self) -> str:
        """Where calls are posted."""

    @abstractmethod
    def _body(self, call: ModelCall) -> Json:
        """What is posted."""

    @abstractmethod
    def _parse(self, body: bytes) -> Completion:
        """A whole answer; raises ``ValueError`` or ``StreamError``."""

    @abstractmethod
    def _reader(self) -> StreamReader:
        """A reader for one stream."""

    async def complete(self, call: ModelCall) -> Completion:
        body = orjson.dumps(self._body(call))
        reply = await self._transport.post(self._path, body, _headers(call))
        return self._parsed(reply.body)

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta, None]:
        body = orjson.dumps(self._body(call))
        async with aclosing(self._transport.stream(self._path, body, _headers(call))) as answer:
            head = await anext(answer)
            if isinstance(head, Reply) and head.content_type == "application/json":
                # It cannot stream, or would not: its whole answer is one delta.
                yield _as_delta(self._parsed(await self._transport.rest(answer)))
                return
            splitter = EventSplitter()
            reader = self._reader()
            async for chunk in answer:
                for delta in self._deltas(reader, splitter.feed, chunk):
                    yield delta
                if reader.complete:
                    await self._transport.drain(answer)
                    return
            for delta in self._deltas(reader, lambda _: splitter.flush(), b""):
                yield delta
            if not reader.may_end:
                raise BackendUnavailable(
                    f"backend '{self.name}' ended the stream in the middle of an answer",
                    backend=self.name,
                )

    async def probe(self) -> Readiness:
        try:
            return await self._probe()
        except BackendError as error:
            return Readiness(False, (), error.message)

    async def aclose(self) -> None:
        await self._probe.aclose()
        if self._connection is not None:
            await self._connection.aclose()

    def _parsed(self, body: bytes) -> Completion:
        try:
            return self._parse(body)
        except StreamError as error:
            raise self._reported(error) from error
        except ValueError as error:
            raise self._malformed(error) from error

    def _deltas(
        self,
        reader: StreamReader,
        cut: Callable[[bytes], list[ServerSentEvent]],
        chunk: Reply | bytes,
    ) -> Iterator[Delta]:
        """The deltas that the next bytes complete; those before a fault come before its error."""
        try:
            for event in cut(chunk if isinstance(chunk, bytes) else chunk.body):
                delta = reader.read(event)
                if delta is not None:
                    yield delta
        except StreamError as error:
            raise self._reported(error) from error
        except ValueError as error:
            raise self._malformed(error) from error

    def _reported(self, error: StreamError) -> BackendError:
        """An error inside an answer of status 200, as if it had been the status."""
        message = orjson.dumps({"error": {"message": error.message}})
        return upstream_error(
            self.name, error.status or 500, message, {}, secret=self._transport.secret
        )

    def _malformed(self, error: ValueError) -> BackendProtocolError:
        return BackendProtocolError(
            f"backend '{self.name}' does not speak the protocol of its kind "
            f"'{self.settings.kind}': {error}",
            backend=self.name,
        )


def _headers(call: ModelCall) -> Mapping[str, str] | None:
    return None if call.attempt is None else call.attempt.headers


def _as_delta(completion: Completion) -> Delta:
    calls = tuple(
        ToolCallDelta(index, call.id, call.name, call.arguments)
        for index, call in enumerate(completion.tool_calls)
    )
    return Delta(
        text=completion.text,
        reasoning=completion.reasoning,
        refusal=completion.refusal or "",
        tool_calls=calls,
        finish_reason=completion.finish_reason,
        usage=completion.usage,
        model=completion.model,
        id=completion.id,
    )
