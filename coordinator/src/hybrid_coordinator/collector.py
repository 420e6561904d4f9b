"""Joins a streamed answer into the ``Completion`` that the cache and the ledger need."""

from __future__ import annotations

from dataclasses import dataclass, field

from hybrid_coordinator.conversation import (
    Completion,
    Delta,
    FinishReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class StreamCollector:
    """Collects at most ``limit`` characters; a longer answer is let go."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._finish: FinishReason | None = None
        self._id = ""
        self._model = ""
        self.usage: Usage | None = None
        self.finished = False
        """Set by the reader of the stream when it came to its proper end."""

    def add(self, delta: Delta) -> None:
        """Take the next increment."""
        self._finish = delta.finish_reason or self._finish
        self.usage = delta.usage or self.usage
        self._id = self._id or delta.id or ""
        self._model = self._model or delta.model or ""
        self._size += len(delta.text) + len(delta.reasoning) + len(delta.refusal)
        if self._size > self._limit:
            return
        if delta.text:
            self._text.append(delta.text)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for piece in delta.tool_calls:
            self._add_call(piece)

    def _add_call(self, piece: ToolCallDelta) -> None:
        call = self._calls.setdefault(piece.index, _Call())
        call.id = call.id or piece.id or ""
        call.name = call.name or piece.name or ""
        call.arguments.append(piece.arguments)
        self._size += len(piece.arguments)

    @property
    def text(self) -> str:
        """The text kept so far."""
        return "".join(self._text)

    def completion(self, created: int) -> Completion | None:
        """The whole answer, or None where it is not whole or was too long to keep."""
        if not self.finished or self._finish is None or self._size > self._limit:
            return None
        return Completion(
            id=self._id,
            model=self._model,
            created=created,
            text="".join(self._text),
            finish_reason=self._finish,
            usage=self.usage or Usage(),
            tool_calls=tuple(
                ToolCall(call.id, call.name, "".join(call.arguments))
                for _, call in sorted(self._calls.items())
            ),
            reasoning="".join(self._reasoning),
            refusal="".join(self._refusal) or None,
        )
