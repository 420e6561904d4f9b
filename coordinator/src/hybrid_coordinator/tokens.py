"""How many tokens a text has, about, without reading a long one whole.

The counter is the embedder's tokenizer, an estimate for every other model.
What a backend reports itself always goes before this.
"""

from __future__ import annotations

from collections.abc import Callable

from hybrid_coordinator.conversation import Usage

_SHORT_PROMPT = 1_000
"""Characters of a conversation whose tokens are not counted before it is sent."""

_WHOLE = 6_000
_SAMPLE = 2_000


def estimate_tokens(text: str, count: Callable[[str], int]) -> int:
    """Tokens of ``text``: counted, or for a long text scaled up from three samples of it."""
    if len(text) <= _WHOLE:
        return count(text)
    middle = len(text) // 2
    samples = (text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:])
    return round(sum(map(count, samples)) * len(text) / (3 * _SAMPLE))


class TokenCounter:
    """Counts with one tokenizer: conversations before they are sent, answers that say nothing."""

    def __init__(self, count: Callable[[str], int]) -> None:
        self._count = count

    def prompt(self, text: str) -> int:
        """Tokens of a conversation, to see where it fits.

        A short one fits everywhere, and counting it exactly would cost more
        than looking it up in the cache.
        """
        if len(text) <= _SHORT_PROMPT:
            return len(text) // 3 + 1
        return estimate_tokens(text, self._count)

    def usage(self, reported: Usage | None, prompt: str, context_tokens: int, text: str) -> Usage:
        """What the backend reported, else the count of ours, marked as an estimate."""
        if reported is not None and (reported.input_tokens or reported.output_tokens):
            return reported
        return Usage(
            input_tokens=estimate_tokens(prompt, self._count) + context_tokens,
            output_tokens=estimate_tokens(text, self._count),
            estimated=True,
        )
