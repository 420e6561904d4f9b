"""A finished request as spans: their tree, their times, their names, and what is never in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from hybrid_coordinator.cache import Lookup
from hybrid_coordinator.conversation import (
    CacheStatus,
    Caller,
    ChatRequest,
    Completion,
    Dialect,
    FinishReason,
    Tier,
    Usage,
)
from hybrid_coordinator.errors import NoBackend
from hybrid_coordinator.settings import BackendKind, BackendSettings, ModelSettings
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.trace import Trace
from hybrid_coordinator.tracing.attributes import MAX_NAME
from hybrid_coordinator.tracing.spans import TracedRequests
from hybrid_coordinator.tracing_settings import TracingSettings

QUESTION = "What is the secret of Atlantis?"
ANSWER = "It is under water."
EPOCH = 1_800_000_000_000_000_000
"""Nanoseconds; the trace's clock then says 100."""
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MODEL = ModelSettings(name="large")
BACKENDS = {
    "paid": BackendSettings(
        kind=BackendKind.ANTHROPIC,
        base_url="https://api.example.org",
        tier=Tier.REMOTE,
        models=(MODEL,),
    ),
    "near": BackendSettings(kind=BackendKind.OLLAMA, base_url="http://127.0.0.1:11434"),
}


class Kept(SpanExporter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def numbers() -> Callable[[int], int]:
    """Ids that count up; all of them are in the lowest 64 bits."""
    counting = iter(range(1, 1_000))
    return lambda _: next(counting)


def request(**changed: Any) -> ChatRequest:
    values: dict[str, Any] = {
        "dialect": Dialect.OPENAI,
        "body": {"model": "auto", "messages": [{"role": "user", "content": QUESTION}]},
        "caller": Caller("c", "alice"),
        "interaction_id": "i-1",
        "started": 100.0,
        **changed,
    }
    return ChatRequest(**values)


class Bench:
    """One request that is traced."""

    def __init__(self, *, ratio: float = 1.0, **changed: Any) -> None:
        self.kept, self.clock, self.metrics = Kept(), Clock(), Metrics()
        self.tracing = TracedRequests(
            TracingSettings(endpoint="http://127.0.0.1:1", sample_ratio=ratio),
            self.kept,
            self.metrics,
            bits=numbers(),
            now=lambda: EPOCH + round((self.clock.time - 100) * 1e9),
        )
        self.trace = Trace(request(**changed), self.clock)
        self.tracing.begin(self.trace)

    def answered(self, backend: str = "paid") -> None:
        """A miss that is embedded, looked for, routed, tried twice and answered by ``backend``."""
        trace, clock = self.trace, self.clock
        clock.time = 100.010
        trace.looked_up(Lookup(CacheStatus.MISS, latency=0.010), now=0)
        clock.time = 100.030
        trace.took("embedding", 100.020)
        first = trace.attempt("near", "small")
        assert first is not None
        clock.time = 100.200
        first.end("timeout")
        second = trace.attempt(backend, "large")
        assert second is not None
        clock.time = 100.700
        second.judging()
        clock.time = 100.750
        second.judged()
        clock.time = 101.000
        second.end("ok")
        trace.backend, trace.model, trace.tier = backend, MODEL, BACKENDS[backend].tier
        trace.usage = Usage(21, 9)
        trace.first_token_seconds = 0.5

    def spans(self, completion: Completion | None = None) -> dict[str, ReadableSpan]:
        """End the request; its spans by name, a second of the same name with a 2 behind it."""
        self.tracing.done(self.trace, completion, BACKENDS)
        self.tracing.close()
        found: dict[str, ReadableSpan] = {}
        for span in self.kept.spans:
            found[span.name if span.name not in found else f"{span.name} 2"] = span
        return found


def completion() -> Completion:
    return Completion("id", "large", 0, ANSWER, FinishReason.STOP, Usage(21, 9))


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def nanoseconds(seconds: float) -> int:
    return EPOCH + round((seconds - 100) * 1e9)


def test_the_request_is_the_parent_of_every_step_and_validation_belongs_to_its_attempt() -> None:
    bench = Bench()
    bench.answered()
    spans = bench.spans(completion())
    assert set(spans) == {
        "chat auto",
        "cache.exact",
        "embedding",
        "chat small",
        "chat large",
        "validation",
    }
    root = spans.pop("chat auto")
    assert root.parent is None
    assert root.kind is SpanKind.SERVER
    attempt = spans["chat large"]
    for name, span in spans.items():
        assert span.context.trace_id == root.context.trace_id
        assert span.parent is not None
        above = attempt if name == "validation" else root
        assert span.parent.span_id == above.context.span_id, name
    assert len({span.context.span_id for span in bench.kept.spans}) == len(bench.kept.spans)


def test_spans_lie_in_time_where_the_steps_did() -> None:
    bench = Bench()
    bench.answered()
    spans = bench.spans(completion())
    times = {name: (span.start_time, span.end_time) for name, span in spans.items()}
    assert times == {
        "chat auto": (nanoseconds(100.0), nanoseconds(101.0)),
        "cache.exact": (nanoseconds(100.0), nanoseconds(100.010)),
        "embedding": (nanoseconds(100.020), nanoseconds(100.030)),
        "chat small": (nanoseconds(100.030), nanoseconds(100.200)),
        "chat large": (nanoseconds(100.200), nanoseconds(101.0)),
        "validation": (nanoseconds(100.700), nanoseconds(100.750)),
    }


def test_attributes_are_those_of_the_genai_conventions() -> None:
    bench = Bench()
    bench.answered()
    spans = bench.spans(completion())
    attempt = attributes(spans["chat large"])
    expected = {
        gen_ai_attributes.GEN_AI_OPERATION_NAME: "chat",
        gen_ai_attributes.GEN_AI_PROVIDER_NAME: "anthropic",
        gen_ai_attributes.GEN_AI_REQUEST_MODEL: "large",
        gen_ai_attributes.GEN_AI_RESPONSE_MODEL: "large",
        gen_ai_attributes.GEN_AI_USAGE_INPUT_TOKENS: 21,
        gen_ai_attributes.GEN_AI_USAGE_OUTPUT_TOKENS: 9,
        gen_ai_attributes.GEN_AI_RESPONSE_FINISH_REASONS: ("stop",),
        gen_ai_attributes.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: 0.5,
        "server.address": "api.example.org",
        "server.port": 443,
        "hybrid.tier": "remote",
        "hybrid.attempt": 2,
    }
    assert expected.items() <= attempt.items()
    embedding = attributes(spans["embedding"])
    assert embedding[gen_ai_attributes.GEN_AI_OPERATION_NAME] == "embeddings"
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    used = {name for span in spans.values() for name in attributes(span)}
    assert {name for name in used if name.startswith("gen_ai.")} <= known
    assert {name.split(".")[0] for name in used} <= {"gen_ai", "hybrid", "server", "error", "http"}


def test_a_failed_attempt_says_why_and_only_who_answered_has_the_tokens() -> None:
    bench = Bench()
    bench.answered()
    spans = bench.spans(completion())
    failed = spans["chat small"]
    assert failed.status.status_code is StatusCode.ERROR
    assert attributes(failed)["error.type"] == "timeout"
    assert gen_ai_attributes.GEN_AI_USAGE_INPUT_TOKENS not in attributes(failed)
    assert spans["chat large"].status.status_code is StatusCode.UNSET
    assert spans["chat auto"].status.status_code is StatusCode.UNSET


def test_no_question_answer_or_caller_is_in_a_span() -> None:
    bench = Bench()
    bench.answered()
    said = repr([(span.name, attributes(span)) for span in bench.spans(completion()).values()])
    for text in (QUESTION, "Atlantis", ANSWER, "water", "alice"):
        assert text not in said


def test_what_the_cache_answers_used_no_tokens() -> None:
    bench = Bench()
    bench.trace.looked_up(Lookup(CacheStatus.EXACT, latency=0.001), now=0)
    bench.trace.usage = Usage(21, 9)
    spans = bench.spans(completion())
    root = attributes(spans["chat auto"])
    assert root["hybrid.cache.status"] == "exact"
    assert gen_ai_attributes.GEN_AI_USAGE_INPUT_TOKENS not in root
    assert attributes(spans["cache.exact"])["hybrid.cache.hit"] is True


def test_the_two_tiers_of_the_cache_follow_each_other() -> None:
    bench = Bench()
    bench.clock.time = 100.002
    bench.trace.looked_up(Lookup(CacheStatus.MISS, latency=0.002), now=0)
    bench.clock.time = 100.010
    bench.trace.looked_up(Lookup(CacheStatus.SEMANTIC, latency=0.005, similarity=0.97), now=0)
    spans = bench.spans()
    assert spans["cache.semantic"].start_time == nanoseconds(100.007)
    assert spans["cache.semantic"].end_time == nanoseconds(100.010)
    assert attributes(spans["cache.semantic"])["hybrid.cache.similarity"] == 0.97
    assert attributes(spans["cache.exact"])["hybrid.cache.hit"] is False


def test_an_error_of_ours_marks_the_request_and_a_clients_does_not() -> None:
    failing = Bench()
    failing.trace.failed(NoBackend("nobody"))
    root = failing.spans()["chat auto"]
    assert root.status.status_code is StatusCode.ERROR
    assert attributes(root)["error.type"] == "no_backend"
    assert attributes(root)["http.response.status_code"] == 503
    left = Bench()
    left.trace.abandoned()
    assert left.spans()["chat auto"].status.status_code is StatusCode.UNSET


def test_a_clients_trace_is_continued_and_handed_on() -> None:
    bench = Bench(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="vendor=1")
    note = bench.trace.attempt("paid", "large")
    assert note is not None
    assert note.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert note.headers["traceparent"].endswith("-01")
    assert note.headers["tracestate"] == "vendor=1"
    spans = bench.spans()
    root = spans["chat auto"]
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == SPAN
    assert f"{root.context.trace_id:032x}" == TRACE
    assert (
        note.headers["traceparent"].split("-")[2] == f"{spans['chat large'].context.span_id:016x}"
    )


@pytest.mark.parametrize("state", ["x" * 513, "naïve=1", "a=1\tb"])
def test_a_state_that_is_none_is_not_passed_on(state: str) -> None:
    bench = Bench(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate=state)
    note = bench.trace.attempt("paid", "large")
    assert note is not None
    assert "tracestate" not in note.headers
    bench.tracing.close()


def test_the_client_decides_whether_its_trace_is_sampled_and_a_ratio_about_the_others() -> None:
    unwanted = Bench(traceparent=f"00-{TRACE}-{SPAN}-00")
    note = unwanted.trace.attempt("paid", "large")
    assert note is not None
    assert note.headers["traceparent"].endswith("-00")
    assert unwanted.spans() == {}
    assert Bench(ratio=0.0).spans() == {}
    wanted = Bench(ratio=0.0, traceparent=f"00-{TRACE}-{SPAN}-01")
    assert set(wanted.spans()) == {"chat auto"}


def test_a_model_name_of_a_client_is_cut() -> None:
    body = {"model": "m" * 5_000, "messages": [{"role": "user", "content": QUESTION}]}
    [(name, span)] = Bench(body=body).spans().items()
    assert len(name) == len("chat ") + MAX_NAME
    assert len(attributes(span)[gen_ai_attributes.GEN_AI_REQUEST_MODEL]) == MAX_NAME


def test_a_fault_in_making_spans_is_counted_and_does_no_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.trace.clock = lambda: float("nan")
    for _ in range(2):
        bench.tracing.done(bench.trace, None, BACKENDS)
    failures = {"room": "tracing", "kind": "ValueError"}
    assert bench.metrics.registry.get_sample_value("hybrid_failures_total", failures) == 2
    assert len([r for r in caplog.records if "could not be made" in r.message]) == 1
    bench.tracing.close()
