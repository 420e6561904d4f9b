"""Whether a model can serve a request at all: what the request needs against what the model has.

Knows nothing of cost, health or difficulty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_coordinator.conversation import ChatRequest
from hybrid_coordinator.errors import ContextTooLong, Unsupported
from hybrid_coordinator.settings import ModelSettings

MIN_OUTPUT_TOKENS = 256
"""Room for an answer whose length the client did not limit; less is a truncated answer."""

_FIELDS = {"tools": "tools", "images": "messages", "structured output": "response_format"}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request demands of a model. ``output_tokens`` is ``None`` where it sets no limit."""

    tools: bool
    images: bool
    structured_output: bool
    prompt_tokens: int
    output_tokens: int | None

    @classmethod
    def of(cls, request: ChatRequest, prompt_tokens: int) -> Needs:
        """The needs of ``request``, whose conversation is ``prompt_tokens`` long."""
        return cls(
            tools=request.uses_tools,
            images=request.has_images,
            structured_output=request.wants_structure,
            prompt_tokens=prompt_tokens,
            output_tokens=request.max_output_tokens,
        )

    def missing(self, model: ModelSettings) -> tuple[str, ...]:
        """The features the request uses and the model lacks."""
        return tuple(
            name
            for name, needed, has in (
                ("tools", self.tools, model.tools),
                ("images", self.images, model.images),
                ("structured output", self.structured_output, model.structured_output),
            )
            if needed and not has
        )

    def tokens(self, model: ModelSettings) -> int:
        """Context the request takes there: the prompt, and the output asked for.

        A model writes at most ``max_output_tokens``, whatever a client allows it.
        """
        output = MIN_OUTPUT_TOKENS if self.output_tokens is None else self.output_tokens
        return self.prompt_tokens + min(output, model.max_output_tokens)

    def tokens_at_least(self, model: ModelSettings) -> int:
        """As ``tokens``, but with no more output than a short answer needs."""
        output = MIN_OUTPUT_TOKENS if self.output_tokens is None else self.output_tokens
        return self.prompt_tokens + min(output, MIN_OUTPUT_TOKENS, model.max_output_tokens)

    def shortfall(self, model: ModelSettings, *, least: bool = False) -> str | None:
        """Why the model cannot serve it, as a phrase; ``None`` where it can.

        With ``least``, an answer cut short by the context's end is accepted.
        """
        missing = self.missing(model)
        if missing:
            return f"{model.name} has no {' and no '.join(missing)}"
        tokens = self.tokens_at_least(model) if least else self.tokens(model)
        if tokens > model.context_tokens:
            return f"{tokens} tokens are needed, {model.name} has {model.context_tokens}"
        return None

    def refuse(self, models: Sequence[ModelSettings]) -> Unsupported | ContextTooLong:
        """The error for a request that none of ``models`` (at least one) can serve."""
        able = [m for m in models if not self.missing(m)]
        if able:
            widest = max(m.context_tokens for m in able)
            limit = "" if self.output_tokens is None else f" (max_tokens is {self.output_tokens})"
            return ContextTooLong(
                f"the conversation is about {self.prompt_tokens} tokens long{limit}, and the "
                f"longest context that could serve it has {widest}; shorten the conversation "
                "or declare a backend with a longer context",
                field="messages",
            )
        lacking = min((self.missing(m) for m in models), key=len)
        return Unsupported(
            f"the request needs {' and '.join(self._wanted())}, and no backend it may go to offers "
            f"{'them together' if len(self._wanted()) > 1 else 'that'}; leave it out, "
            "or declare a model that has it",
            field=_FIELDS[lacking[0]],
        )

    def _wanted(self) -> list[str]:
        wanted = (self.tools, self.images, self.structured_output)
        return [name for name, needed in zip(_FIELDS, wanted, strict=True) if needed]
