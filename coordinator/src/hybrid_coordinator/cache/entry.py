"""One kept answer, and its bytes in a store.

The bytes are one JSON object that names its format; anything else, an older format included, is
unreadable and so a miss. Not for where the bytes are kept (see ``store``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from hybrid_coordinator.cache.key import CacheKey
from hybrid_coordinator.conversation import Completion, FinishReason, Tier, ToolCall, Usage
from hybrid_coordinator.settings import Collection

FORMAT = 1
"""Raised with every change of the fields; entries of another format are not read."""


class UnreadableEntry(ValueError):
    """The bytes are not an entry of this format."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """An answer and what is known of how it came about.

    Attributes:
        key: the names of the request that it was made for.
        question: text of that request's last user message.
        completion: the answer, without ``raw``.
        model: the model that gave it.
        backend: the backend that gave it.
        tier: where that backend runs.
        cost_usd: US dollars it cost when it was made.
        created_at: epoch seconds.
        interaction_id: the interaction it was made in.
        embedder: name of the embedder whose vector stands for the question; empty without one.
        versions: the versions of the collections it was made with.
    """

    key: CacheKey
    question: str
    completion: Completion
    model: str
    backend: str
    tier: Tier
    cost_usd: float
    created_at: float
    interaction_id: str
    embedder: str
    versions: Mapping[Collection, int]


def encode(entry: CacheEntry) -> bytes:
    """The bytes of ``entry``. Raises TypeError where ``extra`` holds what JSON cannot."""
    answer, usage, key = entry.completion, entry.completion.usage, entry.key
    return orjson.dumps(
        {
            "format": FORMAT,
            "key": [key.exact, key.partition, key.caller, key.question],
            "question": entry.question,
            "answer": {
                "id": answer.id,
                "model": answer.model,
                "created": answer.created,
                "text": answer.text,
                "finish": answer.finish_reason,
                "usage": [
                    usage.input_tokens,
                    usage.output_tokens,
                    usage.cached_input_tokens,
                    usage.estimated,
                ],
                "tools": [[call.id, call.name, call.arguments] for call in answer.tool_calls],
                "reasoning": answer.reasoning,
                "extra": dict(answer.extra),
            },
            "model": entry.model,
            "backend": entry.backend,
            "tier": entry.tier,
            "cost": entry.cost_usd,
            "created": entry.created_at,
            "interaction": entry.interaction_id,
            "embedder": entry.embedder,
            "versions": {name.value: number for name, number in entry.versions.items()},
        }
    )


def decode(data: bytes) -> CacheEntry:
    """The entry in ``data``. Raises UnreadableEntry for anything but this format's bytes."""
    try:
        stored = orjson.loads(data)
        if stored["format"] != FORMAT:
            raise UnreadableEntry(f"format {stored['format']!r}, not {FORMAT}")
        exact, partition, caller, question = stored["key"]
        return CacheEntry(
            key=CacheKey(exact, partition, caller, question),
            question=_text(stored["question"]),
            completion=_completion(stored["answer"]),
            model=_text(stored["model"]),
            backend=_text(stored["backend"]),
            tier=Tier(stored["tier"]),
            cost_usd=float(stored["cost"]),
            created_at=float(stored["created"]),
            interaction_id=_text(stored["interaction"]),
            embedder=_text(stored["embedder"]),
            versions={Collection(name): int(v) for name, v in stored["versions"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableEntry(f"not a cache entry: {error}") from error


def without_raw(completion: Completion) -> Completion:
    """``completion`` as it is kept: without the backend's own bytes."""
    return replace(completion, raw=None, raw_dialect=None)


def _completion(stored: dict[str, Any]) -> Completion:
    tokens_in, tokens_out, cached_in, estimated = stored["usage"]
    return Completion(
        id=_text(stored["id"]),
        model=_text(stored["model"]),
        created=int(stored["created"]),
        text=_text(stored["text"]),
        finish_reason=FinishReason(stored["finish"]),
        usage=Usage(int(tokens_in), int(tokens_out), int(cached_in), bool(estimated)),
        tool_calls=tuple(
            ToolCall(_text(id_), _text(name), _text(arguments))
            for id_, name, arguments in stored["tools"]
        ),
        reasoning=_text(stored["reasoning"]),
        extra=dict(stored["extra"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    return value
