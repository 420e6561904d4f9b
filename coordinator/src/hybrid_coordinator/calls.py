"""Makes what each backend is sent out of the request, the decision and the context."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_coordinator.conversation import ChatRequest, Dialect, Json, ModelCall
from hybrid_coordinator.knowledge import (
    Context,
    augment_messages,
    augment_native,
    native_with_system_text,
    with_system_text,
)
from hybrid_coordinator.settings import ModelSettings
from hybrid_coordinator.trace import Trace

# What a model is left for its answer where the client named no limit, and what
# the chat template and the estimate's error may take.
_DEFAULT_ANSWER_TOKENS = 1024
_TEMPLATE_TOKENS = 64


class CallBuilder:
    """Builds the ``ModelCall`` of each candidate; packs the context into its budget.

    ``prompt`` is put at the end of the system prompt, before the context.
    """

    def __init__(
        self,
        trace: Trace,
        prompt_tokens: int,
        pack: Callable[[int], Context | None],
        *,
        prompt: str | None = None,
    ) -> None:
        self._trace = trace
        self._prompt = prompt
        self._prompt_tokens = prompt_tokens
        self._pack = pack
        self._packed: dict[int, Context | None] = {}

    def build(self, backend: str, model: ModelSettings) -> ModelCall:
        """The call for ``model`` of ``backend``; notes on the trace what context it carries."""
        request = self._trace.request
        context = self._context(self._budget(request, model))
        self._trace.context = context
        body: Json = {**request.body, "model": model.name}
        native: Json | None = None
        if request.stream:
            options = request.body.get("stream_options") or {}
            body["stream_options"] = {**options, "include_usage": True}
        if request.native is not None:
            native = {**request.native, "model": model.name}
        if self._prompt is not None:
            body = with_system_text(body, self._prompt)
            native = native_with_system_text(native, self._prompt) if native is not None else None
        if context is not None:
            body = augment_messages(body, context)
            native = augment_native(native, context) if native is not None else None
        return ModelCall(
            body=body,
            api_model=model.name,
            stream=request.stream,
            interaction_id=request.interaction_id,
            native=native,
            native_dialect=Dialect.ANTHROPIC if native is not None else None,
            attempt=self._trace.attempt(backend, model.name),
        )

    def _budget(self, request: ChatRequest, model: ModelSettings) -> int:
        """Tokens of context that fit beside the prompt and the answer."""
        answer = request.max_output_tokens or min(
            _DEFAULT_ANSWER_TOKENS, model.max_output_tokens, model.context_tokens // 4
        )
        prompt = self._prompt_tokens + len(self._prompt or "") // 3
        return max(0, model.context_tokens - prompt - answer - _TEMPLATE_TOKENS)

    def _context(self, budget: int) -> Context | None:
        if budget not in self._packed:
            self._packed[budget] = self._pack(budget)
        return self._packed[budget]
