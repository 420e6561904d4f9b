"""Which answers may be kept: whole, unrefused ones of a bearable size, and nothing else.

What validation rejected never gets here; this is the cache's own last look. Not for questions
(see ``eligibility``).
"""

from __future__ import annotations

from hybrid_coordinator.conversation import Completion, FinishReason

_WHOLE = frozenset({FinishReason.STOP, FinishReason.TOOL_CALLS})


def unstorable(completion: Completion) -> str | None:
    """Why ``completion`` must not be kept; None where it may be."""
    if completion.finish_reason not in _WHOLE:
        return f"the answer is partial ({completion.finish_reason})"
    if completion.refusal:
        return "the answer is a refusal"
    if completion.tool_calls:
        return None
    if completion.finish_reason is FinishReason.TOOL_CALLS:
        return "the answer announces tool calls and has none"
    if not completion.text.strip():
        return "the answer is empty"
    return None
