"""What a span says of its request: attributes, by OpenTelemetry's GenAI conventions where they fit.

Ours begin with ``hybrid.``. No question, answer, prompt or key is ever one, and
what a client may choose freely is of bounded length. Knows nothing of spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from hybrid_coordinator.conversation import CacheStatus, Completion, FinishReason
from hybrid_coordinator.settings import BackendKind, BackendSettings
from hybrid_coordinator.trace import Trace
from hybrid_coordinator.trace_context import AttemptNote, StepNote

SERVICE: Final = "hybrid-coordinator"
CHAT: Final = "chat"
MAX_NAME: Final = 128
"""Characters of a model's name as the client wrote it."""

_PROVIDERS: Final[Mapping[BackendKind, str]] = {
    BackendKind.OPENAI: "openai",
    BackendKind.ANTHROPIC: "anthropic",
}
_OPERATIONS: Final[Mapping[str, str]] = {"embedding": "embeddings", "knowledge": "retrieval"}
"""The steps that the GenAI conventions have an operation for."""
_WELL: Final = frozenset({"", "ok", "cancelled"})
_REASONS: Final[Mapping[FinishReason, str]] = {FinishReason.TOOL_CALLS: "tool_call"}

Attributes = dict[str, str | int | float | bool | tuple[str, ...]]


def request_fault(trace: Trace) -> str:
    """The class of a server's error, as the conventions have it: not one of the client's."""
    return trace.error or "" if trace.status >= 500 else ""


def attempt_fault(attempt: AttemptNote) -> str:
    """The class of what went wrong with a request to a backend; empty for nothing."""
    return "" if attempt.outcome in _WELL else attempt.outcome


def of_request(trace: Trace, completion: Completion | None) -> Attributes:
    """Of the whole request."""
    request = trace.request
    attributes: Attributes = {
        "gen_ai.operation.name": CHAT,
        "gen_ai.provider.name": SERVICE,
        "gen_ai.request.model": name_of(request.model),
        "gen_ai.request.stream": request.stream,
        "http.response.status_code": trace.status,
        "hybrid.interaction.id": request.interaction_id,
        "hybrid.dialect": request.dialect.value,
        "hybrid.cache.status": trace.cache.value,
        "hybrid.reason": trace.reason_class,
        "hybrid.overhead_seconds": trace.overhead_seconds,
        "hybrid.cost_usd": trace.cost_usd,
        "hybrid.cost_saved_usd": trace.cost_saved_usd,
        **of_answer(trace, completion),
    }
    if request.max_output_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = request.max_output_tokens
    if trace.route is not None:
        attributes["hybrid.route"] = trace.route
    if request.variant:
        attributes["hybrid.experiment"] = request.variant
    if trace.skipped:
        attributes["hybrid.skipped"] = tuple(sorted(trace.skipped))
    return attributes


def of_answer(trace: Trace, completion: Completion | None) -> Attributes:
    """Whose answer it is, and its tokens, as far as that is known."""
    attributes: Attributes = {}
    if trace.model is not None:
        attributes["gen_ai.response.model"] = trace.model.name
    # What the cache answers uses no tokens.
    if trace.backend is not None:
        attributes["gen_ai.usage.input_tokens"] = trace.usage.input_tokens
        attributes["gen_ai.usage.output_tokens"] = trace.usage.output_tokens
    if completion is not None:
        reason = completion.finish_reason
        attributes["gen_ai.response.finish_reasons"] = (_REASONS.get(reason, reason.value),)
    if trace.first_token_seconds is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = trace.first_token_seconds
    return attributes


def of_step(trace: Trace, note: StepNote) -> Attributes:
    """Of a step of the pipeline."""
    attributes: Attributes = {}
    operation = _OPERATIONS.get(note.name)
    if operation is not None:
        attributes |= {"gen_ai.operation.name": operation, "gen_ai.provider.name": SERVICE}
    if note.name.startswith("cache."):
        hit = trace.cache.value == note.name.removeprefix("cache.")
        attributes["hybrid.cache.hit"] = hit
        if trace.similarity is not None and trace.cache is CacheStatus.SEMANTIC:
            attributes["hybrid.cache.similarity"] = trace.similarity
    elif note.name == "knowledge" and trace.context is not None:
        attributes["hybrid.context.items"] = len(trace.context.ids)
        attributes["hybrid.context.tokens"] = trace.context.tokens
    elif note.name == "routing" and trace.decision is not None:
        attributes["hybrid.tier"] = trace.decision.tier.value
        attributes["hybrid.reason"] = trace.decision.reason.value
        if trace.decision.confidence is not None:
            attributes["hybrid.confidence"] = trace.decision.confidence
    return attributes


def of_attempt(attempt: AttemptNote, settings: BackendSettings | None) -> Attributes:
    """Of a request to a backend, whose settings are unknown where a reload has removed it."""
    attributes: Attributes = {
        "gen_ai.operation.name": CHAT,
        "gen_ai.request.model": name_of(attempt.model),
        "hybrid.backend": attempt.backend,
        "hybrid.outcome": attempt.outcome or "open",
    }
    if settings is None:
        return attributes
    attributes["gen_ai.provider.name"] = _PROVIDERS.get(settings.kind, settings.kind.value)
    attributes["hybrid.tier"] = settings.tier.value
    if settings.base_url is not None:
        address = urlsplit(settings.base_url)
        attributes["server.address"] = address.hostname or ""
        attributes["server.port"] = address.port or (443 if address.scheme == "https" else 80)
    return attributes


def name_of(model: str) -> str:
    """A model's name, of bounded length: clients write what they like."""
    return model[:MAX_NAME]
