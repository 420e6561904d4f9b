"""A collector of traces: takes OTLP over HTTP as protobuf, and keeps what it was sent.

Read with OpenTelemetry's own definition of the protocol, so that what it understands any collector
does. It runs in a thread; ``refuse`` makes it answer with a status.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What was sent to it so far."""

    def __init__(self) -> None:
        self.url = ""
        self.refuse: int | None = None
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.resources: list[dict[str, Any]] = []
        self.spans: list[Span] = []
        self._changed = threading.Condition()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Keep one delivery; the status that it is answered with."""
        if path != "/v1/traces" or headers.get("content-type") != "application/x-protobuf":
            return 404
        with self._changed:
            self.headers.append(headers)
            if self.refuse is not None:
                self._changed.notify_all()
                return self.refuse
            self.bodies.append(body)
            for traced in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(values(traced.resource.attributes))
                for scope in traced.scope_spans:
                    self.spans += scope.spans
            self._changed.notify_all()
        return 200

    def trace_of(self, interaction_id: str, timeout: float = 30.0) -> list[Span]:
        """Every span of a request's trace, once the request's own has arrived."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._root(interaction_id), timeout)
            assert arrived, f"no span of {interaction_id} came: {[s.name for s in self.spans]}"
            root = self._root(interaction_id)
            assert root is not None
            return [span for span in self.spans if span.trace_id == root.trace_id]

    def wait_for_delivery(self, timeout: float = 30.0) -> None:
        """Wait until anything was sent."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.headers, timeout)

    def _root(self, interaction_id: str) -> Span | None:
        for span in self.spans:
            if values(span.attributes).get("hybrid.interaction.id") == interaction_id:
                return span
        return None


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(inner) for inner in value.array_value.values]
    return getattr(value, kind) if kind else None


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            status = kept.take(self.path, headers, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Requests are not logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
