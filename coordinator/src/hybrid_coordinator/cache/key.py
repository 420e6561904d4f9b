"""The cache key: a canonical hash of everything about a request that can change its answer.

Equal requests get equal keys whatever the order of their fields, the dialect they came in, the
process or the day; any difference that could matter gives another key. A field this module does
not know is part of the key. Not for deciding whether a request may be cached at all (see
``eligibility``), and not for the versions of the knowledge, which the store keeps beside the key
because they are read together with the entry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from hybrid_coordinator.conversation import ChatRequest, Json
from hybrid_coordinator.settings import Collection

_CANONICAL_FORM = b"1"  # raised whenever the canonical bytes of a request change
_DIGEST_BYTES = 16
_NAME_BYTES = 8

IRRELEVANT: Mapping[str, str] = {
    "stream": "one entry answers both ways",
    "stream_options": "only says how a stream is framed",
    "user": "an identifier for the provider's abuse detection",
    "safety_identifier": "an identifier for the provider's abuse detection",
    "metadata": "labels for the provider's own logs",
    "prompt_cache_key": "steers where the provider caches the prompt, not what it answers",
    "prompt_cache_retention": "steers how long the provider caches the prompt",
    "service_tier": "steers latency and price",
    "messages": "hashed apart",
    "max_tokens": "hashed under one name together with max_completion_tokens",
    "max_completion_tokens": "hashed under one name together with max_tokens",
}
"""Top-level fields of a body that are not hashed as they stand, each with the reason."""

_DEFAULTS: Json = {"n": 1, "logprobs": False, "store": False}
# What the API documents as its default: present with this value is the same as absent.

_NATIVE_TRANSLATED = frozenset(
    {
        *("model", "messages", "system", "max_tokens", "temperature", "top_p"),
        *("stop_sequences", "stream", "metadata", "service_tier"),
    }
)
# Fields of an Anthropic body whose whole meaning is in the canonical body as well.


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The names of one request in the cache; all hexadecimal.

    Attributes:
        exact: 32 digits; equal for requests that must have the same answer.
        partition: 32 digits; equal for requests that differ in nothing but the text of the last
            user message (and have the same embedder).
        caller: 16 digits; who asked.
        question: 16 digits; the text of the last user message.
    """

    exact: str
    partition: str
    caller: str
    question: str

    @property
    def member(self) -> str:
        """The entry's name in a store's index: it can be found by caller and by question."""
        return self.caller + self.question + self.exact


def cache_key(request: ChatRequest, embedder: str) -> CacheKey:
    """The key of ``request``; ``embedder`` names the model whose vectors divide the partitions."""
    body = request.body
    rest: Json = {
        name: _plain(value)
        for name, value in body.items()
        if name not in IRRELEVANT and not (name in _DEFAULTS and value == _DEFAULTS[name])
    }
    rest["model"] = request.model
    rest.update(_output_limit(body))
    messages = [_message(m) for m in request.messages]
    asked = _take_question(messages)
    shared = blake2b(digest_size=_DIGEST_BYTES, person=b"hybrid-ai cache", salt=_CANONICAL_FORM)
    shared.update(
        _canonical(
            {
                "caller": request.caller.id,
                "agent": request.agent_type,
                "body": rest,
                "messages": messages,
                "native": _native_rest(request.native),
                **({"variant": request.variant} if request.variant else {}),
            }
        )
    )
    partition = shared.copy()
    # JSON has no zero byte, so neither branch can be continued into the other.
    shared.update(b"\0question\0" + _canonical(asked))
    partition.update(b"\0embedder\0" + _utf8(embedder))
    return CacheKey(
        exact=shared.hexdigest(),
        partition=partition.hexdigest(),
        caller=caller_digest(request.caller.id),
        question=question_digest(request.question),
    )


def caller_digest(caller_id: str) -> str:
    """16 hexadecimal digits that stand for a caller in the store's index."""
    return blake2b(_utf8(caller_id), digest_size=_NAME_BYTES, person=b"caller").hexdigest()


def question_digest(question: str) -> str:
    """16 hexadecimal digits that stand for a question in the store's index."""
    return blake2b(_utf8(question), digest_size=_NAME_BYTES, person=b"question").hexdigest()


def partition_at(partition: str, versions: Mapping[Collection, int]) -> str:
    """The partition's name while the knowledge stands at ``versions`` (32 digits).

    A change of the knowledge so leaves behind every vector that belongs to an older answer.
    """
    state = ",".join(f"{name}={versions[name]}" for name in sorted(versions))
    return blake2b(f"{partition}\0{state}".encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _output_limit(body: Json) -> Json:
    """The limit of output tokens under one name, unless the two names contradict each other."""
    old, new = body.get("max_tokens"), body.get("max_completion_tokens")
    if old is None or new is None or old == new:
        limit = new if old is None else old
        return {} if limit is None else {"max_tokens": _plain(limit)}
    return {"max_tokens": _plain(old), "max_completion_tokens": _plain(new)}


def _message(message: Any) -> Any:
    """One message; a single plain text part is the same as the text itself."""
    plain = _plain(message)
    if isinstance(plain, dict):
        content = plain.get("content")
        if isinstance(content, list) and len(content) == 1:
            part = content[0]
            if _is_plain_text(part):
                plain["content"] = part["text"]
    return plain


def _take_question(messages: list[Any]) -> Any:
    """Remove and return the content of the last user message; None where there is none."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return message.pop("content", None)
    return None


def _native_rest(native: Json | None) -> Any:
    """What of the client's own body the canonical one may not show; None for nothing.

    A backend of the client's dialect is sent the native body, so all of it counts as soon as it
    holds anything beyond plain text and the fields that have an exact counterpart.
    """
    if native is None:
        return None
    if native.keys() <= _NATIVE_TRANSLATED and _only_text(native):
        return None
    skipped = IRRELEVANT.keys() - {"messages", "max_tokens"}
    return {name: _plain(value) for name, value in native.items() if name not in skipped}


def _only_text(native: Json) -> bool:
    contents = [native.get("system")]
    contents += [m.get("content") for m in native.get("messages") or () if isinstance(m, dict)]
    return all(
        content is None
        or isinstance(content, str)
        or (isinstance(content, list) and all(_is_plain_text(part) for part in content))
        for content in contents
    )


def _is_plain_text(part: Any) -> bool:
    return isinstance(part, dict) and part.keys() == {"type", "text"} and part["type"] == "text"


def _plain(value: Any) -> Any:
    """``value`` with every float that is a whole number as an int, so 1.0 and 1 are one value."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 2**53:
            return int(value)
        return value if value - value == 0.0 else {"\0float": repr(value)}  # orjson: NaN is null
    return value


def _canonical(value: Any) -> bytes:
    """JSON without white space and with sorted keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Integers beyond 64 bits and lone surrogates, which orjson refuses to write.
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
