"""A finished request's ``Trace`` as OpenTelemetry spans: one for the request, one a step.

Made after the last byte, and handed to a thread that sends them. What they say
is in ``attributes``.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from hybrid_coordinator import __version__
from hybrid_coordinator.conversation import Completion
from hybrid_coordinator.settings import BackendSettings
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.trace import Trace
from hybrid_coordinator.trace_context import (
    MAX_STATE,
    AttemptNote,
    TraceContext,
    new_id,
    parse_traceparent,
)
from hybrid_coordinator.tracing import attributes as attributes_of
from hybrid_coordinator.tracing.attributes import CHAT, SERVICE, Attributes
from hybrid_coordinator.tracing.sender import Sender
from hybrid_coordinator.tracing_settings import TracingSettings

PATIENCE: Final = 3.0
"""Seconds that the end of the service waits for spans to be sent."""

log = logging.getLogger(__name__)


def exporting(
    settings: TracingSettings, headers: Mapping[str, str], metrics: Metrics
) -> TracedRequests:
    """Spans that go to the collector of the settings."""
    # It tells of every try; here a row of failures is one line, and all are counted.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.endpoint}/v1/traces",
        headers=dict(headers),
        timeout=settings.timeout,
    )
    return TracedRequests(settings, exporter, metrics)


class TracedRequests:
    """Gives requests their ids and makes their spans."""

    def __init__(
        self,
        settings: TracingSettings,
        exporter: SpanExporter,
        metrics: Metrics,
        *,
        bits: Callable[[int], int] = random.getrandbits,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._bits = bits
        self._now = now
        self._metrics = metrics
        self._bound = round(settings.sample_ratio * 2**64)
        self._ids = _Ids()
        self._complained = False
        self._sender: Sender[ReadableSpan] = Sender(
            lambda spans: exporter.export(spans) is SpanExportResult.SUCCESS,
            exporter.shutdown,
            capacity=settings.queue_size,
            metrics=metrics,
        )
        self._sender.start()
        resource = {"service.name": SERVICE, "service.version": __version__}
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # what is not sampled gets no span at all, see `begin`
            resource=Resource.create(resource),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(_Handing(self._sender.put))
        self._tracer = self._provider.get_tracer("hybrid_coordinator", __version__)

    def begin(self, trace: Trace) -> None:
        """Continue the client's trace, or begin one; a share of those is sampled."""
        request = trace.request
        parent = parse_traceparent(request.traceparent) if request.traceparent else None
        if parent is not None:
            trace_id, sampled = parent.trace_id, parent.sampled
        else:
            trace_id = new_id(self._bits, 128)
            sampled = trace_id % 2**64 < self._bound
        state = request.tracestate
        keep = parent is not None and len(state) <= MAX_STATE and state.isascii()
        trace.tracing = TraceContext(
            trace_id=trace_id,
            span_id=new_id(self._bits, 64),
            parent=parent,
            sampled=sampled,
            state=state.strip() if keep and state.isprintable() else "",
            bits=self._bits,
        )

    def done(
        self,
        trace: Trace,
        completion: Completion | None,
        backends: Mapping[str, BackendSettings],
    ) -> None:
        """Make the spans of a finished request; a fault in that is counted, never raised."""
        if trace.tracing is None or not trace.tracing.sampled:
            return
        try:
            self._make(trace, trace.tracing, completion, backends)
        except Exception as error:
            self._metrics.failures.labels(room="tracing", kind=type(error).__name__).inc()
            if not self._complained:
                self._complained = True
                log.exception("the spans of a request could not be made")

    def close(self) -> None:
        """Send what waits, for ``PATIENCE`` seconds at most."""
        self._sender.close(PATIENCE)

    def _make(
        self,
        trace: Trace,
        context: TraceContext,
        completion: Completion | None,
        backends: Mapping[str, BackendSettings],
    ) -> None:
        # Epoch nanoseconds at which the trace's clock was at 0.
        ended = trace.clock()
        zero = self._now() - round(ended * 1e9)
        parent = context.parent
        over = Context() if parent is None else _inside(context.trace_id, parent.span_id)
        self._span(
            _Span(_chat(trace.request.model), trace.request.started, ended, SpanKind.SERVER),
            attributes_of.of_request(trace, completion),
            over,
            zero,
            trace_id=context.trace_id,
            span_id=context.span_id,
            fault=attributes_of.request_fault(trace),
        )
        inside = _inside(context.trace_id, context.span_id)
        for note in trace.notes:
            span = _Span(note.name, note.began, note.ended, SpanKind.INTERNAL)
            attributes = attributes_of.of_step(trace, note)
            self._span(span, attributes, inside, zero, span_id=new_id(self._bits, 64))
        for number, attempt in enumerate(trace.attempts, 1):
            answered = number == len(trace.attempts) and trace.backend == attempt.backend
            attributes = attributes_of.of_attempt(attempt, backends.get(attempt.backend))
            if answered:
                attributes |= attributes_of.of_answer(trace, completion)
            attributes["hybrid.attempt"] = number
            self._attempt(attempt, attributes, context, inside, zero, ended)

    def _attempt(
        self,
        attempt: AttemptNote,
        attributes: Attributes,
        context: TraceContext,
        inside: Context,
        zero: int,
        ended: float,
    ) -> None:
        until = ended if attempt.ended is None else attempt.ended
        self._span(
            _Span(_chat(attempt.model), attempt.began, until, SpanKind.CLIENT),
            attributes,
            inside,
            zero,
            span_id=attempt.span_id,
            fault=attributes_of.attempt_fault(attempt),
        )
        if attempt.judging_began is None:
            return
        judged = until if attempt.judging_ended is None else attempt.judging_ended
        self._span(
            _Span("validation", attempt.judging_began, judged, SpanKind.INTERNAL),
            {"hybrid.backend": attempt.backend},
            _inside(context.trace_id, attempt.span_id),
            zero,
            span_id=new_id(self._bits, 64),
            fault=attempt.rejection,
        )

    def _span(
        self,
        span: _Span,
        attributes: Attributes,
        inside: Context,
        zero: int,
        *,
        span_id: int,
        trace_id: int = 0,
        fault: str = "",
    ) -> None:
        """Make one span and end it; ``fault`` is the class of what went wrong."""
        self._ids.next_trace, self._ids.next_span = trace_id, span_id
        made = self._tracer.start_span(
            span.name,
            inside,
            span.kind,
            attributes | {"error.type": fault} if fault else attributes,
            start_time=zero + round(span.began * 1e9),
        )
        if fault:
            made.set_status(Status(StatusCode.ERROR))
        made.end(zero + round(span.ended * 1e9))


@dataclass(frozen=True, slots=True)
class _Span:
    name: str
    began: float
    ended: float
    kind: SpanKind


class _Ids(IdGenerator):
    """Gives the ids that the request was given when it began: backends know them already."""

    def __init__(self) -> None:
        self.next_trace = self.next_span = 0

    def generate_span_id(self) -> int:
        return self.next_span

    def generate_trace_id(self) -> int:
        return self.next_trace


class _Handing(SpanProcessor):
    """Hands every ended span over; sending it is somebody else's thread."""

    def __init__(self, put: Callable[[ReadableSpan], None]) -> None:
        self._put = put

    def on_end(self, span: ReadableSpan) -> None:
        self._put(span)


def _inside(trace_id: int, span_id: int) -> Context:
    """The context of what is a part of that span."""
    flags = TraceFlags(TraceFlags.SAMPLED)
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _chat(model: str) -> str:
    return f"{CHAT} {attributes_of.name_of(model)}"
