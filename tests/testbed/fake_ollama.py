"""A fake Ollama for what the real one cannot be made to do on demand: faults, exact answers.

It speaks the part of Ollama's documented API (docs/api.md and docs/openai.md of the project) that
a gateway uses, and the integration tests run the same checks against it and the real server.
Deterministic: the answer is a function of the request, and time is passed in. Not a model, and
not for tests that the real server can serve.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.testbed.fake_ollama_replies import (
    JsonObject,
    NativeReply,
    OpenAiReply,
    model_description,
    model_entry,
)

_KEPT_REQUESTS = 1000


class Fault(Enum):
    """What goes wrong in every chat until it is set back to NONE."""

    NONE = "none"
    SERVER_ERROR = "status 500 with Ollama's error object"
    OVERLOADED = "status 503, as Ollama answers when its queue is full"
    HANG = "the connection is accepted and nothing is sent until the fault is set back"
    CUT = "the connection closes in the middle of the answer"
    EMPTY = "an answer without text"
    MALFORMED = "a body that is not JSON"


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request the fake was sent; `body` is an empty object where there was none."""

    method: str
    path: str
    body: JsonObject


def echo(messages: list[JsonObject]) -> str:
    """The default answer: the last message's text, recognisably."""
    last = messages[-1].get("content") if messages else ""
    return f"You said: {last}"


class FakeOllama:
    """A fake Ollama on a free loopback port, in threads of this process.

    `answer` maps a chat's messages to the answer's text; `fault` may be set at any time;
    `requests` holds the last 1000 requests. `kill` closes the port, `restart` opens it again.
    """

    def __init__(
        self,
        models: tuple[str, ...] = ("gemma3-270m:latest",),
        answer: Callable[[list[JsonObject]], str] = echo,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.models = models
        self.model = models[0]
        self.answer = answer
        self.clock = clock
        self.requests: deque[ReceivedRequest] = deque(maxlen=_KEPT_REQUESTS)
        self.loaded: set[str] = set()
        self.port = 0
        self._no_hang = threading.Event()
        self._fault = Fault.NONE
        self.fault = Fault.NONE
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The server's address, without /v1."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base address of the OpenAI dialect, ending in /v1."""
        return f"{self.url}/v1"

    @property
    def fault(self) -> Fault:
        """What goes wrong in every chat."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        if fault is Fault.HANG:
            self._no_hang.clear()
        else:
            self._no_hang.set()

    def start(self) -> Self:
        """Open the port (the same one after `kill`) and return at once: it is ready."""
        if self._server is None:
            self._server = _Server(self, self.port)
            self.port = int(self._server.server_address[1])
            threading.Thread(
                target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
            ).start()
        return self

    def kill(self) -> None:
        """Close the port and forget what is loaded; requests that hang are dropped."""
        server, self._server = self._server, None
        if server is not None:
            self.fault = Fault.NONE
            self.loaded.clear()
            server.shutdown()
            server.cut_connections()
            server.server_close()

    def restart(self) -> Self:
        """Close and open the port."""
        self.kill()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def find(self, name: object) -> str | None:
        """The full name of a model; Ollama takes a name without tag as `:latest`."""
        full = str(name) if ":" in str(name) else f"{name}:latest"
        return full if full in self.models else None

    def wait_while_hanging(self) -> None:
        """Return once the fault is not HANG."""
        self._no_hang.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, ollama: FakeOllama, port: int) -> None:
        self.ollama = ollama
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        self._open.add(connection)
        return connection, peer

    def close_request(self, request: Any) -> None:
        self._open.discard(request)
        super().close_request(request)

    def cut_connections(self) -> None:
        """Close every open connection, as the end of a process would."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):  # its client has closed it already
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; any other error is the fake's own: show it."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def ollama(self) -> FakeOllama:
        return self.server.ollama

    def do_GET(self) -> None:
        path = self._note({})
        models = [model_entry(name) for name in self.ollama.models]
        if path == "/":
            self._send_bytes(200, b"Ollama is running", "text/plain; charset=utf-8")
        elif path == "/api/version":
            self._send(200, {"version": "0.17.4"})
        elif path == "/api/tags":
            self._send(200, {"models": models})
        elif path == "/api/ps":
            loaded = [entry for entry in models if entry["name"] in self.ollama.loaded]
            extra = {"expires_at": "2318-01-01T00:00:00Z", "size_vram": 0, "context_length": 2048}
            self._send(200, {"models": [{**entry, **extra} for entry in loaded]})
        elif path == "/v1/models":
            created = int(self.ollama.clock())
            data = [
                {"id": name, "object": "model", "created": created, "owned_by": "library"}
                for name in self.ollama.models
            ]
            self._send(200, {"object": "list", "data": data})
        else:
            self._send_bytes(404, b"404 page not found", "text/plain")

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        try:
            body = json.loads(self.rfile.read(length) or b"{}")
        except ValueError as error:
            self._fail(400, str(error))
            return
        path = self._note(body)
        if path not in {"/api/show", "/api/chat", "/api/generate", "/v1/chat/completions"}:
            self._send_bytes(404, b"404 page not found", "text/plain")
            return
        name = self.ollama.find(body.get("model"))
        if name is None:
            self._fail(404, f"model '{body.get('model')}' not found")
        elif path == "/api/show":
            self._send(200, model_description(name))
        elif path == "/api/generate" and not body.get("prompt"):
            self._load(name, body)
        elif path != "/api/generate":
            self._chat(name, body)
        else:
            self._fail(501, "the fake answers chats only: use /api/chat")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `FakeOllama.requests` is the log."""

    def _load(self, name: str, body: JsonObject) -> None:
        unload = body.get("keep_alive") == 0
        (self.ollama.loaded.discard if unload else self.ollama.loaded.add)(name)
        done = "unload" if unload else "load"
        self._send(200, {"model": name, "response": "", "done": True, "done_reason": done})

    def _chat(self, name: str, body: JsonObject) -> None:
        fault = self.ollama.fault
        if fault is Fault.HANG:
            self.ollama.wait_while_hanging()
            self.close_connection = True
            return
        if fault is Fault.SERVER_ERROR:
            self._fail(500, "llama runner process has terminated: signal: killed")
            return
        if fault is Fault.OVERLOADED:
            self._fail(503, "server busy, please try again.  maximum pending requests exceeded")
            return
        if fault is Fault.MALFORMED:
            self._send_bytes(200, b'{"id": "chatcmpl-1", "choices": [', "application/json")
            return
        self.ollama.loaded.add(name)
        messages = body.get("messages") or []
        text = "" if fault is Fault.EMPTY else self.ollama.answer(messages)
        words = text.split(" ")
        pieces = [word if index == 0 else f" {word}" for index, word in enumerate(words)]
        dialect = OpenAiReply if self.path.startswith("/v1/") else NativeReply
        reply = dialect(name, body, messages, pieces, self.ollama.clock())
        if not reply.streamed:
            data = json.dumps(reply.whole()).encode()
            self._send_bytes(200, data, "application/json", cut=fault is Fault.CUT)
            return
        self.send_response(200)
        self.send_header("content-type", reply.stream_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for index, part in enumerate(reply.parts()):
            if fault is Fault.CUT and index == 1:
                self.close_connection = True
                return
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _note(self, body: JsonObject) -> str:
        path = self.path.partition("?")[0]
        self.ollama.requests.append(ReceivedRequest(self.command, path, body))
        return path

    def _fail(self, status: int, message: str) -> None:
        error: object = message
        if self.path.startswith("/v1/"):
            error = {"message": message, "type": "api_error", "param": None, "code": None}
        self._send(status, {"error": error})

    def _send(self, status: int, body: JsonObject) -> None:
        self._send_bytes(status, json.dumps(body).encode(), "application/json; charset=utf-8")

    def _send_bytes(self, status: int, body: bytes, kind: str, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut
