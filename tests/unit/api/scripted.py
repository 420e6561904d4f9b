"""A gateway whose answers a test writes down, and the ways to reach an edge before it.

For tests of the edge alone: it has no cache, no router and no backend, and
records what it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np

from hybrid_coordinator.api.application import build_app
from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.api.edge import Edge
from hybrid_coordinator.api.server import CoordinatorServer, build_server, open_sockets
from hybrid_coordinator.api.sessions import Sessions
from hybrid_coordinator.conversation import (
    CacheStatus,
    Caller,
    ChatRequest,
    Completion,
    Delta,
    FinishReason,
    Tier,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from hybrid_coordinator.errors import Unprocessable
from hybrid_coordinator.gateway import (
    Answer,
    AnswerMeta,
    Augmented,
    Embeddings,
    KnowledgeItem,
    ModelInfo,
    PartState,
    PartStatus,
    Readiness,
    SearchHit,
)
from hybrid_coordinator.settings import Collection, Settings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.api.scripted_dashboard import ScriptedDashboard
from tests.unit.api.scripted_learning import ScriptedLearning
from tests.unit.api.scripted_views import ScriptedViews

KEYS = "alice:alice-key-0123456789\nbob:bob-key-0123456789\n"
ALICE = "alice-key-0123456789"
BOB = "bob-key-0123456789"
OPERATOR = "0123456789abcdef" * 4

SIZE = 384

Script = Callable[[ChatRequest], Awaitable[Answer]]


def completion(text: str = "Paris.", **changes: object) -> Completion:
    fields: dict[str, object] = {
        "id": "c1",
        "model": "small",
        "created": 1_700_000_000,
        "text": text,
        "finish_reason": FinishReason.STOP,
        "usage": Usage(input_tokens=7, output_tokens=2),
        **changes,
    }
    return Completion(**fields)  # type: ignore[arg-type]


def tool_completion() -> Completion:
    return completion(
        "",
        finish_reason=FinishReason.TOOL_CALLS,
        tool_calls=(ToolCall("call_1", "weather", '{"city":"Paris"}'),),
    )


def meta(request: ChatRequest) -> AnswerMeta:
    return AnswerMeta(request.interaction_id, CacheStatus.MISS, "local", "confidence")


DELTAS = (
    Delta(text="Pa", id="c1", model="small"),
    Delta(text="ris."),
    Delta(finish_reason=FinishReason.STOP),
    Delta(usage=Usage(input_tokens=7, output_tokens=2)),
)
TOOL_DELTAS = (
    Delta(tool_calls=(ToolCallDelta(0, "call_1", "weather", ""),), id="c1", model="small"),
    Delta(tool_calls=(ToolCallDelta(0, arguments='{"city":'),)),
    Delta(tool_calls=(ToolCallDelta(0, arguments='"Paris"}'),)),
    Delta(finish_reason=FinishReason.TOOL_CALLS, usage=Usage(7, 2)),
)


@dataclass
class ScriptedGateway(ScriptedDashboard, ScriptedLearning, ScriptedViews):
    """Answers by ``script``; by default the same sentence, streamed where that is asked."""

    script: Script | None = None
    deltas: Sequence[Delta] = DELTAS
    whole: Completion = field(default_factory=completion)
    is_ready: bool = True
    requests: list[ChatRequest] = field(default_factory=list)
    finished: int = 0
    """Streams whose ``finally`` ran."""
    afters: int = 0
    metrics_object: Metrics = field(default_factory=Metrics)

    @property
    def metrics(self) -> Metrics:
        return self.metrics_object

    async def answer(self, request: ChatRequest) -> Answer:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        if self.script is not None:
            return await self.script(request)
        if request.stream:
            return Answer(meta(request), deltas=self.stream(), after=self.after)
        return Answer(meta(request), completion=self.whole, after=self.after)

    async def stream(self) -> AsyncGenerator[Delta, None]:
        try:
            for delta in self.deltas:
                yield delta
        finally:
            self.finished += 1

    async def after(self) -> None:
        self.afters += 1

    async def embed(self, texts: Sequence[str], model: str | None, caller: Caller) -> Embeddings:
        if self.error is not None:
            raise self.error
        self.calls.append(("embed", tuple(texts), model, caller))
        vectors = np.zeros((len(texts), SIZE), dtype=np.float32)
        for index in range(len(texts)):
            vectors[index, index % SIZE] = 1.0
        return Embeddings(vectors, "bundled", 3 * len(texts))

    def models(self) -> Sequence[ModelInfo]:
        return (
            ModelInfo("auto", "hybrid-ai"),
            ModelInfo("small", "lemonade", Tier.LOCAL, 8192, True, 1_700_000_000),
            ModelInfo("org/large", "remote", Tier.REMOTE, 200_000, False),
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        self.requests.append(request)
        return len(request.prompt_text.split())

    async def augment(
        self, query: str, agent_type: str, caller: Caller, token_budget: int | None
    ) -> Augmented:
        self.calls.append(("augment", query, agent_type, token_budget))
        return Augmented(f"context\n{query}", ["id-1"], query, 1, 12)

    async def search(
        self,
        query: str,
        collections: Sequence[Collection],
        limit: int,
        caller: Caller,
        filters: Mapping[str, object],
    ) -> Sequence[SearchHit]:
        self.calls.append(("search", query, tuple(collections), limit, dict(filters)))
        return [SearchHit("id-1", Collection.BEST_PRACTICES, 0.5, {"title": "t"})]

    async def add_knowledge(
        self, collection: Collection, items: Sequence[KnowledgeItem], caller: Caller
    ) -> Sequence[str]:
        for index, item in enumerate(items):
            if item.vector is not None and len(item.vector) != SIZE:
                raise Unprocessable(
                    f"The vector has {len(item.vector)} dimensions, not {SIZE}.",
                    field=f"items[{index}].vector",
                )
        self.calls.append(("add", collection, tuple(items), caller))
        return [item.id or f"new-{index}" for index, item in enumerate(items)]

    async def delete_knowledge(
        self, collection: Collection, ids: Sequence[str], caller: Caller
    ) -> int:
        self.calls.append(("delete", collection, tuple(ids)))
        return len(ids)

    async def invalidate(
        self, interaction_id: str | None, query: str | None, caller: Caller
    ) -> int:
        self.calls.append(("invalidate", interaction_id, query))
        return 1

    async def readiness(self) -> Readiness:
        down = PartStatus(PartState.DOWN, "connection refused")
        return Readiness(
            self.is_ready,
            {
                "lemonade": PartStatus(PartState.READY) if self.is_ready else down,
                "redis": PartStatus(PartState.DEGRADED, "no vector sets"),
            },
        )


def edge(
    gateway: ScriptedGateway | None = None,
    *,
    keys: str | None = None,
    operator: str | None = None,
    settings: Settings | None = None,
    sessions: Sessions | None = None,
) -> Edge:
    ring = KeyRing(keys, operator=operator)
    gateway = gateway or ScriptedGateway()
    return build_app(gateway, settings or Settings(), ring, sessions=sessions)


def client(app: Edge, **headers: str) -> httpx.AsyncClient:
    """A client in this process: no socket, no server."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    return httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8092", headers=headers, timeout=10
    )


class RawCall:
    """One ASGI call by hand: exactly these headers and body messages; keeps what was sent.

    After the last body message the client stays connected and silent.
    """

    def __init__(
        self,
        path: str,
        *bodies: bytes,
        method: str = "POST",
        headers: Sequence[tuple[bytes, bytes]] = ((b"host", b"localhost"),),
        whole: bool = True,
    ) -> None:
        self.scope: dict[str, object] = {
            "type": "http",
            "method": method,
            "path": httpx.URL(f"http://x{path}").path,
            "raw_path": path.encode("latin-1"),
            "query_string": b"",
            "headers": list(headers),
        }
        last = len(bodies) - 1
        self._messages: list[dict[str, object]] = [
            {"type": "http.request", "body": body, "more_body": index < last or not whole}
            for index, body in enumerate(bodies)
        ]
        self.sent: list[dict[str, object]] = []

    async def receive(self) -> dict[str, object]:
        if self._messages:
            return self._messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: dict[str, object]) -> None:
        self.sent.append(message)

    async def run(self, app: Edge) -> None:
        await app(self.scope, self.receive, self.send)  # type: ignore[arg-type]

    @property
    def status(self) -> object:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])  # type: ignore[call-overload, no-any-return]

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])  # type: ignore[misc]


@dataclass
class Running:
    """A server on a port of its own."""

    port: int
    server: CoordinatorServer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """A plain blocking connection; use it from a thread or with small messages."""
        plain = socket.socket()
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(10)
        plain.connect(("127.0.0.1", self.port))
        return plain


@contextlib.asynccontextmanager
async def running(
    app: Edge, settings: Settings | None = None, *, write_timeout: float = 120.0
) -> AsyncIterator[Running]:
    """The app under a real uvicorn on a real socket."""
    settings = (settings or Settings()).model_copy(update={"port": 0})
    sockets = open_sockets(settings, {})
    port = sockets[0].getsockname()[1]
    started = asyncio.Event()
    server = build_server(app, settings, on_started=started.set, write_timeout=write_timeout)
    serving = asyncio.create_task(server.serve(sockets=sockets))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    if not started.is_set():
        waiting.cancel()
        await serving
    try:
        yield Running(port, server)
    finally:
        server.should_exit = True
        await serving
