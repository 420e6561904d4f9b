"""Judges answers: empty, truncated, looping, malformed, leaking control tokens, refusing.

One ``AnswerJudge`` is made a request; inference asks it about each attempt. A
streamed answer is judged as it comes, and is held back from the client only as
long as its beginning could still be one that must be turned down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from hybrid_coordinator.conversation import (
    ChatRequest,
    Completion,
    Delta,
    FinishReason,
    Rejection,
    StreamJudge,
    Tier,
    ToolCall,
    Usage,
    Verdict,
)
from hybrid_coordinator.settings import ValidationSettings
from hybrid_coordinator.validation.repetition import asks_for_repetition, repeated_unit
from hybrid_coordinator.validation.structure import StructureCheck

# Turn markers of the common chat templates. Seen in an answer, the template leaked.
_CONTROL = re.compile(
    r"<\|(?:im_start|im_end|im_sep|endoftext|eot_id|eom_id|start_header_id|end_header_id|"
    r"begin_of_text|end_of_text|begin_of_sentence|end_of_sentence|system|user|assistant|end)\|>"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|<<SYS>>|<｜[^｜<>]{1,40}｜>"
)
_LONGEST_CONTROL = 48

_REFUSAL = re.compile(
    r"^\W*(?:(?:i(?:'|’)?m|i am)\s+(?:very\s+|so\s+)?(?:sorry|afraid)|sorry|(?:my\s+)?apologies|"
    r"unfortunately|i\s+apologi[sz]e|as\s+an?\s+(?:ai|artificial|language|large)\b)"
    r"[^.!?\n]{0,160}?\b(?:can(?:'|’)?t|can\s?not|unable|not\s+able|won(?:'|’)?t|don(?:'|’)?t\s+have|"
    r"not\s+(?:allowed|permitted|capable|designed|programmed)|decline|do\s+not)\b"
    r"|^\W*i\s+(?:can(?:'|’)?t|can\s?not|won(?:'|’)?t|am\s+(?:unable|not\s+able)\s+to|must\s+decline)"
    r"\s+(?:\w+\s+){0,2}?(?:help|assist|answer|provide|do|fulfil|comply|create|generate|write|"
    r"discuss|engage|access|browse|support|respond|offer|give)\b",
    re.I,
)
# Until this much is seen an answer that opens like a refusal may still become one.
_REFUSAL_HEAD = 200
_REFUSAL_OPENINGS = (
    *("i can", "i am", "i'm", "i’m", "i won", "i must", "i apolog", "sorry", "apolog"),
    *("my apolog", "unfortunately", "as an ai", "as an artificial", "as a language"),
    *("as an language", "as a large", "as an large"),
)
_LOOP_STEP = 320


def looks_like_refusal(text: str) -> bool:
    """Whether an answer opens by declining to give one. Long answers are not refusals."""
    return len(text) < 1200 and _REFUSAL.search(text[:_REFUSAL_HEAD]) is not None


def _may_become_refusal(head: str) -> bool:
    start = re.sub(r"^\W+", "", head[:32]).lower()
    return any(o.startswith(start) or start.startswith(o) for o in _REFUSAL_OPENINGS)


class AnswerJudge:
    """The ``Judge`` of one request."""

    def __init__(self, request: ChatRequest, settings: ValidationSettings) -> None:
        self.request = request
        self.settings = settings

    @cached_property
    def structure(self) -> StructureCheck:
        return StructureCheck(self.request)

    @cached_property
    def checks_control(self) -> bool:
        """A question about chat templates may be answered with their tokens."""
        return _CONTROL.search(self.request.prompt_text[-20_000:]) is None

    @cached_property
    def checks_loops(self) -> bool:
        return not asks_for_repetition(self.request.question[:2000])

    def whole(self, completion: Completion, *, tier: Tier, final: bool) -> Verdict | None:
        """Judge a complete answer."""
        if not self.settings.enable:
            return None
        return (
            self.fault_at_end(
                completion.text,
                completion.tool_calls,
                completion.finish_reason,
                completion.usage,
                has_other=bool(completion.refusal or completion.extra),
            )
            or self.control_tokens(completion.text)
            or self.loop(completion.text)
            or self.refusal(completion.text, completion.refusal, tier=tier, final=final)
        )

    def streamed(self, *, tier: Tier, final: bool) -> StreamJudge:
        """A judge for one streamed attempt."""
        return _Streamed(self, tier, final)

    def fault_at_end(
        self,
        text: str,
        calls: tuple[ToolCall, ...],
        finish: FinishReason | None,
        usage: Usage,
        *,
        has_other: bool,
    ) -> Verdict | None:
        """What only the whole answer can show."""
        if finish is FinishReason.LENGTH:
            return self._truncated(usage)
        if not text.strip() and not calls and not has_other:
            if finish is FinishReason.CONTENT_FILTER:
                return None
            return Verdict(Rejection.EMPTY, "the answer has no text and no tool call")
        if calls and (fault := self.structure.fault_in_calls(calls)):
            return Verdict(Rejection.MALFORMED_TOOL_CALL, fault)
        if self.request.wants_structure and text and (f := self.structure.fault_in_json(text)):
            return Verdict(Rejection.MALFORMED_JSON, f)
        return None

    def _truncated(self, usage: Usage) -> Verdict | None:
        limit = self.request.max_output_tokens
        if limit is not None and (usage.estimated or not usage.output_tokens):
            return None
        if limit is not None and usage.output_tokens >= limit:
            return None
        asked = "no limit" if limit is None else f"at most {limit} tokens"
        return Verdict(
            Rejection.TRUNCATED,
            f"the backend stopped after {usage.output_tokens} tokens; the request set {asked}",
        )

    def control_tokens(self, text: str) -> Verdict | None:
        if not self.checks_control:
            return None
        found = _CONTROL.search(text)
        if found is None or text[max(0, found.start() - 1) : found.start()] == "`":
            return None
        return Verdict(Rejection.CONTROL_TOKENS, f"the answer holds the token {found.group()!r}")

    def loop(self, text: str) -> Verdict | None:
        if not self.checks_loops or (unit := repeated_unit(text)) is None:
            return None
        return Verdict(Rejection.LOOP, f"the end repeats a unit of {len(unit)} characters")

    def refusal(
        self, text: str, declared: str | None, *, tier: Tier, final: bool
    ) -> Verdict | None:
        if not self.judges_refusals(tier, final) or not (declared or looks_like_refusal(text)):
            return None
        return Verdict(Rejection.REFUSAL, "the local model declined to answer")

    def judges_refusals(self, tier: Tier, final: bool) -> bool:
        return self.settings.refusals and tier is Tier.LOCAL and not final


@dataclass
class _Streamed:
    """Judges one attempt while it comes. Keeps the text, bounded by the backend's own limits."""

    judge: AnswerJudge
    tier: Tier
    final: bool
    _text: str = ""
    _names: dict[int, str] = field(default_factory=dict)
    _arguments: dict[int, list[str]] = field(default_factory=dict)
    _finish: FinishReason | None = None
    _usage: Usage = field(default_factory=Usage)
    _other: bool = False
    _reasons: bool = False
    _refusal: str = ""
    _next_loop_check: int = _LOOP_STEP

    def feed(self, delta: Delta) -> Verdict | None:
        self._finish = delta.finish_reason or self._finish
        self._usage = delta.usage or self._usage
        # Reasoning is shown as it comes: it may take minutes, and clients do not wait in the dark.
        self._reasons = self._reasons or bool(delta.reasoning)
        if delta.refusal:
            self._refusal += delta.refusal
            self._other = True
        for piece in delta.tool_calls:
            if piece.name:
                self._names[piece.index] = piece.name
            self._arguments.setdefault(piece.index, []).append(piece.arguments)
        if not delta.text or not self.judge.settings.enable:
            return None
        seen = len(self._text)
        self._text += delta.text
        overlap = self._text[max(0, seen - _LONGEST_CONTROL) :]
        if ("<" in overlap or "[" in overlap) and (v := self.judge.control_tokens(overlap)):
            return v
        if len(self._text) >= self._next_loop_check:
            self._next_loop_check = len(self._text) + _LOOP_STEP
            return self.judge.loop(self._text)
        return None

    def ready(self) -> bool:
        if not self.judge.settings.enable:
            return True
        if self.judge.request.wants_structure or self._arguments:
            return False
        if self._reasons:
            return True
        head = self._text.lstrip()
        if not head:
            return self._other and not self.judge.judges_refusals(self.tier, self.final)
        if len(head) < _LONGEST_CONTROL and ("<" in head or "[" in head[-1]):
            return False
        if not self.judge.judges_refusals(self.tier, self.final):
            return True
        return len(head) >= _REFUSAL_HEAD or not _may_become_refusal(head)

    def finish(self) -> Verdict | None:
        if not self.judge.settings.enable:
            return None
        calls = tuple(
            ToolCall(id="", name=self._names.get(i, ""), arguments="".join(parts))
            for i, parts in sorted(self._arguments.items())
        )
        return (
            self.judge.fault_at_end(
                self._text, calls, self._finish, self._usage, has_other=self._other
            )
            or self.judge.loop(self._text)
            or self.judge.refusal(
                self._text, self._refusal or None, tier=self.tier, final=self.final
            )
        )
