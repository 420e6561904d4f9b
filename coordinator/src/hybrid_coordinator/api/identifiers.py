"""Interaction ids: UUIDs of version 7 (RFC 9562 §5.7), which sort by the time they were made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


class _Entropy:
    """The system's random bytes, fetched a page at a time: each fetch is a system call."""

    _PAGE = 4096

    def __init__(self) -> None:
        self._page = b""
        self._at = 0

    def __call__(self, count: int) -> bytes:
        if self._at + count > len(self._page):
            self._page, self._at = os.urandom(self._PAGE), 0
        taken = self._page[self._at : self._at + count]
        self._at += count
        return taken


_entropy = _Entropy()


def new_interaction_id(
    now: Callable[[], float] = time.time, entropy: Callable[[int], bytes] = _entropy
) -> str:
    """A fresh id. ``now`` gives epoch seconds, ``entropy(n)`` n random bytes."""
    value = int(now() * 1000) & 0xFFFF_FFFF_FFFF
    value = (value << 80) | int.from_bytes(entropy(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
