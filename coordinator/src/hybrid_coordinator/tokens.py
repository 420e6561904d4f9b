"""How many tokens a text has, about, without reading a long one whole.

The counter is the embedder's tokenizer, an estimate for every other model.
What a backend reports itself always goes before this.
"""

from __future__ import annotations

from collections.abc import Callable

_WHOLE = 6_000
_SAMPLE = 2_000


def estimate_tokens(text: str, count: Callable[[str], int]) -> int:
    """Tokens of ``text``: counted, or for a long text scaled up from three samples of it."""
    if len(text) <= _WHOLE:
        return count(text)
    middle = len(text) // 2
    samples = (text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:])
    return round(sum(map(count, samples)) * len(text) / (3 * _SAMPLE))
