"""The words every room shares: what is asked, what is answered, and by whom.

The canonical form of a request is the body of an OpenAI chat completion,
because most clients and most local servers speak it; other dialects are
translated at the edge and keep their own body beside it. This module knows no
transport, no store and no policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, overload

from hybrid_coordinator.trace_context import AttemptNote

_Value = TypeVar("_Value")


class once(Generic[_Value]):  # noqa: N801 — used like property
    """A property that is computed at its first use and then is a plain attribute.

    What ``functools.cached_property`` does, without the lock that Python 3.11
    takes for it; a request is read by one task.
    """

    def __init__(self, compute: Callable[[Any], _Value]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> once[_Value]: ...

    @overload
    def __get__(self, owner: object, kind: type) -> _Value: ...

    def __get__(self, owner: object | None, kind: type) -> once[_Value] | _Value:
        if owner is None:
            return self
        value = owner.__dict__[self._name] = self._compute(owner)
        return value


Json = dict[str, Any]
"""A JSON object as it stands on the wire."""

AUTO_MODEL = "auto"
"""The model name with which a client leaves the choice to the router."""


class Tier(StrEnum):
    """Where a backend runs, and so whether an answer from it costs money."""

    LOCAL = "local"
    REMOTE = "remote"


class Dialect(StrEnum):
    """A wire protocol for chat."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class CacheMode(StrEnum):
    """What the client wants of the cache (``Cache-Control`` request header)."""

    USE = "use"
    BYPASS = "bypass"
    """``no-store``: neither read nor write."""
    REFRESH = "refresh"
    """``no-cache``: do not read, but write what comes."""


class CacheStatus(StrEnum):
    """The value of ``x-hybrid-cache``."""

    EXACT = "exact"
    SEMANTIC = "semantic"
    MISS = "miss"
    BYPASS = "bypass"
    """Not looked up: the client said so, or the request is of a kind that is never cached."""
    OFF = "off"
    UNAVAILABLE = "unavailable"


class FinishReason(StrEnum):
    """Why a model stopped, in OpenAI's terms."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. ``id`` partitions cache, limits and knowledge; it never is the key itself."""

    id: str
    name: str

    @property
    def is_operator(self) -> bool:
        """Whether it may see what belongs to others: who runs the machine, or is alone on it."""
        return self.id in ("loopback", "operator")


LOOPBACK_CALLER = Caller(id="loopback", name="loopback")
OPERATOR_CALLER = Caller(id="operator", name="operator")
"""Jobs and commands of the service's own user: they have the key in the state directory."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. ``estimated`` when the backend reported none."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A complete call of a tool; ``arguments`` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call; ``index`` says which call of the answer it belongs to."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer.

    ``raw`` is the backend's body, byte for byte, in ``raw_dialect``: the edge
    sends it on where the client speaks the same dialect. ``extra`` keeps
    message fields this package has no word for.
    """

    id: str
    model: str
    created: int
    text: str
    finish_reason: FinishReason
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    refusal: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    raw_dialect: Dialect | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """One increment of a streamed answer.

    ``raw`` is the server-sent event (or events) that carried it, blank line
    included, in ``raw_dialect``. A delta may carry nothing but ``raw``
    (pings, role announcements), nothing but ``usage``, or any mixture.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    raw: bytes | None = None
    raw_dialect: Dialect | None = None

    @property
    def has_content(self) -> bool:
        """Whether a client would see something of the answer in it."""
        return bool(self.text or self.reasoning or self.refusal or self.tool_calls)


@dataclass
class ChatRequest:
    """A question as it entered.

    ``body`` is the canonical (OpenAI chat completion) JSON, unknown fields
    included; ``native`` the client's own body where its dialect is another.
    Neither is changed after construction: what a backend is sent is a new
    ``ModelCall``.
    """

    dialect: Dialect
    body: Json
    caller: Caller
    interaction_id: str
    native: Json | None = None
    agent_type: str = "generic"
    cache_mode: CacheMode = CacheMode.USE
    started: float = 0.0
    """``time.perf_counter()`` when the first byte was read."""
    variant: str = ""
    """The experiment's variant this request gets, ``name/variant``; empty for none."""
    traceparent: str = ""
    """The client's trace, as its headers say (W3C Trace Context); unchecked."""
    tracestate: str = ""

    @once
    def model(self) -> str:
        return str(self.body.get("model") or AUTO_MODEL)

    @once
    def messages(self) -> list[Json]:
        messages: list[Json] = self.body["messages"]
        return messages

    @once
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @once
    def include_usage(self) -> bool:
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    @once
    def max_output_tokens(self) -> int | None:
        value = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        return int(value) if value else None

    @once
    def uses_tools(self) -> bool:
        """Tools are offered, or were used earlier in the conversation."""
        return bool(self.body.get("tools") or self.body.get("functions")) or any(
            m.get("role") in ("tool", "function") or m.get("tool_calls") for m in self.messages
        )

    @once
    def wants_structure(self) -> bool:
        """A JSON object or JSON schema is asked for."""
        kind = (self.body.get("response_format") or {}).get("type")
        return kind in ("json_object", "json_schema")

    @once
    def has_images(self) -> bool:
        return any(
            part.get("type") not in ("text", "refusal")
            for m in self.messages
            if isinstance(m.get("content"), list)
            for part in m["content"]
        )

    @once
    def turns(self) -> int:
        """How many messages the user wrote."""
        return sum(1 for m in self.messages if m.get("role") == "user")

    @once
    def question(self) -> str:
        """The text of the last user message; empty where it has none."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return text_of(message.get("content"))
        return ""

    @once
    def system_text(self) -> str:
        return "\n".join(
            text_of(m.get("content"))
            for m in self.messages
            if m.get("role") in ("system", "developer")
        )

    @once
    def prompt_text(self) -> str:
        """All text of the conversation, for counting tokens."""
        return "\n".join(text_of(m.get("content")) for m in self.messages)


def text_of(content: object) -> str:
    """The text of a message's ``content``: a string, or a list of typed parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            str(part.get("text", ""))
            for part in content
            if isinstance(part, dict) and part.get("type", "text") == "text"
        )
    return ""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """What one backend is sent: bodies final, model name its own.

    ``native`` is the same call in ``native_dialect`` where the client spoke
    that; a backend of the same dialect sends it instead of translating.
    ``api_model`` is the name the backend knows the model by; ``attempt`` is
    what a trace notes of the call, where there is one.
    """

    body: Json
    api_model: str
    stream: bool
    interaction_id: str
    native: Json | None = None
    native_dialect: Dialect | None = None
    attempt: AttemptNote | None = None


class Rejection(StrEnum):
    """Why validation turned an answer down."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    LOOP = "loop"
    MALFORMED_JSON = "malformed_json"
    MALFORMED_TOOL_CALL = "malformed_tool_call"
    CONTROL_TOKENS = "control_tokens"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rejection with its evidence, for the log and the error text (never the answer itself)."""

    rejection: Rejection
    detail: str


class StreamJudge(Protocol):
    """Watches one streamed answer. One instance an attempt."""

    def feed(self, delta: Delta) -> Verdict | None:
        """Judge the next increment; a verdict ends the attempt."""

    def ready(self) -> bool:
        """Whether enough was seen that the client may be shown the answer so far."""

    def finish(self) -> Verdict | None:
        """Judge the whole, after the last increment."""


class Judge(Protocol):
    """What validation offers to inference, made for one request.

    ``final`` says that no further backend can be asked, so that what is only a
    reason to ask a better one (a refusal) is let through.
    """

    def whole(self, completion: Completion, *, tier: Tier, final: bool) -> Verdict | None:
        """Judge a complete answer."""

    def streamed(self, *, tier: Tier, final: bool) -> StreamJudge:
        """A judge for one streamed attempt."""
