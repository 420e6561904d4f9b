"""The shapes of Ollama's answers, in its native dialect (NDJSON) and in OpenAI's (SSE).

Written for `tests.testbed.fake_ollama`, after what the real 0.17.4 sends; the integration tests
hold both to the same checks. Not a server, and no faults: those are the fake's.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

JsonObject = dict[str, Any]
_DIGEST = "0" * 64


@dataclass(frozen=True, slots=True)
class Reply(ABC):
    """An answer's text in pieces and the request it answers; a subclass is a dialect."""

    name: str
    body: JsonObject
    messages: list[JsonObject]
    pieces: list[str]
    now: float

    stream_type: ClassVar[str]

    @property
    @abstractmethod
    def streamed(self) -> bool:
        """Whether the request asks for a stream."""

    @abstractmethod
    def whole(self) -> JsonObject:
        """The answer in one object."""

    @abstractmethod
    def parts(self) -> Iterator[bytes]:
        """The answer as a stream's messages, each with its delimiter."""

    @property
    def prompt_tokens(self) -> int:
        """The words of the messages, for the counts."""
        return sum(len(str(message.get("content")).split()) for message in self.messages)


class OpenAiReply(Reply):
    """POST /v1/chat/completions."""

    stream_type = "text/event-stream"

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream", False))

    def whole(self) -> JsonObject:
        message = {"role": "assistant", "content": "".join(self.pieces)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage()}

    def parts(self) -> Iterator[bytes]:
        head = self._head("chat.completion.chunk")
        for piece in [*self.pieces, None]:
            delta = {"role": "assistant", "content": piece or ""}
            reason = "stop" if piece is None else None
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            yield _event({**head, "choices": [choice]})
        if (self.body.get("stream_options") or {}).get("include_usage"):
            yield _event({**head, "choices": [], "usage": self._usage()})
        yield b"data: [DONE]\n\n"

    def _head(self, kind: str) -> JsonObject:
        created = int(self.now)
        return {
            "id": f"chatcmpl-{created % 1000}",
            "object": kind,
            "created": created,
            "model": self.body["model"],
            "system_fingerprint": "fp_ollama",
        }

    def _usage(self) -> JsonObject:
        prompt, completion = self.prompt_tokens, len(self.pieces)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


class NativeReply(Reply):
    """POST /api/chat."""

    stream_type = "application/x-ndjson"

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream", True))

    def whole(self) -> JsonObject:
        return {**self._line("".join(self.pieces)), **self._end()}

    def parts(self) -> Iterator[bytes]:
        for piece in self.pieces:
            yield json.dumps({**self._line(piece), "done": False}).encode() + b"\n"
        yield json.dumps({**self._line(""), **self._end()}).encode() + b"\n"

    def _line(self, text: str) -> JsonObject:
        written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now))
        message = {"role": "assistant", "content": text}
        return {"model": self.body["model"], "created_at": written, "message": message}

    def _end(self) -> JsonObject:
        counts = {"prompt_eval_count": self.prompt_tokens, "eval_count": len(self.pieces)}
        return {"done": True, "done_reason": "stop", "total_duration": 1, **counts}


def _event(data: JsonObject) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def model_entry(name: str) -> JsonObject:
    """A model as /api/tags lists it."""
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-01-01T00:00:00Z",
        "size": 253_113_385,
        "digest": _DIGEST,
        "details": _details(),
    }


def model_description(name: str) -> JsonObject:
    """A model as /api/show describes it."""
    return {
        "modelfile": f"FROM {name}\n",
        "parameters": "num_ctx 2048",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": {"general.architecture": "gemma3", "gemma3.context_length": 32768},
        "capabilities": ["completion"],
        "modified_at": "2026-01-01T00:00:00Z",
    }


def _details() -> JsonObject:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "gemma3",
        "families": ["gemma3"],
        "parameter_size": "268.10M",
        "quantization_level": "Q4_K_M",
    }
