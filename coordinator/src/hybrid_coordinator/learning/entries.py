"""From what was said to what is kept: scrubbed, cut to bounds, one ``InteractionHistory`` item.

Pure and without I/O; scrubbing long texts takes milliseconds, so callers run
it in a thread. What is durable, and when, is in ``outbox``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from hybrid_coordinator.conversation import Json, text_of
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.records import NewInteraction, Tracked

_TEXT: Final = 32_768
"""Characters of a stored text; the bound of ``knowledge.items.Text``."""
_NAMES: Final = 256
_WORD: Final = 128
_SPARE: Final = 4_096
"""Characters read beyond the cut, so that a secret that lies across it is still recognised."""
_HISTORY: Final = 24_000
"""Characters of the messages before the question that are kept; longer ones are left out whole."""
_PLAIN_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})


class TextScrubber(Protocol):
    """What replaces secrets and personal data."""

    def scrub_all(self, texts: Sequence[str]) -> list[str]:
        """The texts with placeholders; what one of them gives away is replaced in all."""


@dataclass(frozen=True, slots=True)
class RawInteraction:
    """An interaction as it was said, not scrubbed and of any length.

    ``before``: the messages before the question, in OpenAI's form, without the
    knowledge that was put in. ``timestamp``: epoch seconds of the answer.
    """

    id: str
    caller: str
    query: str
    response: str
    timestamp: float
    agent_type: str = "generic"
    model_used: str = ""
    backend: str = ""
    route: str = ""
    cache_status: str = ""
    experiment: str = ""
    context_ids: Sequence[str] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    tokens_used: int = 0
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    turns: int = 1
    tool_calls: int = 0
    before: Sequence[Mapping[str, Any]] = ()
    parent: str = ""
    rejection: str = ""


def raw_of(new: NewInteraction, interaction_id: str, caller: str, now: float) -> RawInteraction:
    """What a client reported, with its id, its owner and the time."""
    return RawInteraction(
        id=interaction_id,
        caller=caller,
        query=new.query,
        response=new.response,
        timestamp=now,
        agent_type=new.agent_type,
        model_used=new.model_used,
        context_ids=new.context_ids,
        tokens_used=new.tokens_used,
        latency_ms=new.latency_ms,
        turns=new.turns,
        tool_calls=new.tool_calls,
    )


def kept(raw: RawInteraction, scrubber: TextScrubber, max_response: int) -> Tracked:
    """The item to keep. A text that is cut ends with a mark that says how long it was."""
    before, whole = _plain(raw.before)
    query, response, *contents = scrubber.scrub_all(
        [
            _readable(raw.query, max_response),
            _readable(raw.response, max_response),
            *(content for _, content in before),
        ]
    )
    query, query_cut = _fitted(query, len(raw.query), max_response)
    response, response_cut = _fitted(response, len(raw.response), max_response)
    roles = [role for role, _ in before]
    history, fits = _history(roles, contents)
    item = InteractionHistory(
        query=query if query.strip() else "(empty)",
        agent_type=raw.agent_type[:_WORD],
        model_used=raw.model_used[:_WORD],
        backend=raw.backend[:_WORD],
        context_provided=tuple(raw.context_ids[:_NAMES]),
        context_first=raw.context_ids[0][:_WORD] if raw.context_ids else "",
        response=response,
        tokens_used=raw.tokens_used or raw.input_tokens + raw.output_tokens,
        input_tokens=raw.input_tokens,
        output_tokens=raw.output_tokens,
        cost_usd=raw.cost_usd,
        latency_ms=raw.latency_ms,
        timestamp=max(0.0, raw.timestamp),
        route=raw.route[:_WORD],
        cache_status=raw.cache_status[:_WORD],
        experiment=raw.experiment[:_WORD],
        turns=raw.turns,
        tool_calls=raw.tool_calls,
        history=history,
        history_complete=whole and fits,
        truncated=query_cut or response_cut,
        parent=raw.parent,
        rejection=raw.rejection[:_WORD],
    )
    return Tracked(raw.id, raw.caller, item)


def _readable(text: str, limit: int) -> str:
    """The part of a text that may be kept, as text that stores and files can hold."""
    # A lone surrogate is no character.
    return text[: limit + _SPARE].encode("utf-8", "replace").decode("utf-8")


def _fitted(scrubbed: str, length: int, limit: int) -> tuple[str, bool]:
    """The text within its bounds, and whether something of its ``length`` characters is missing."""
    if length <= limit and len(scrubbed) <= _TEXT:
        return scrubbed, False
    mark = f"\n[cut here: the whole had {length:,} characters]"
    return scrubbed[: min(limit, _TEXT) - len(mark)] + mark, True


def _plain(messages: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[str, str]], bool]:
    """Role and text of each message, and whether that is all there was."""
    plain: list[tuple[str, str]] = []
    size = 0
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role not in _PLAIN_ROLES or not _is_text(content) or message.get("tool_calls"):
            return [], False
        text = text_of(content)
        size += len(text)
        if size > _HISTORY:
            return [], False
        plain.append((role, text.encode("utf-8", "replace").decode("utf-8")))
    return plain, True


def _history(roles: Sequence[str], contents: Sequence[str]) -> tuple[str, bool]:
    """The messages as JSON text, and whether it fits."""
    if not roles:
        return "", True
    messages: list[Json] = [
        {"role": role, "content": content} for role, content in zip(roles, contents, strict=True)
    ]
    written = json.dumps(messages, ensure_ascii=False)
    return (written, True) if len(written) <= _TEXT else ("", False)


def _is_text(content: object) -> bool:
    if isinstance(content, str):
        return True
    return isinstance(content, list) and all(
        isinstance(part, dict) and part.get("type") == "text" for part in content
    )
