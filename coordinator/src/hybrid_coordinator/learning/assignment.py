"""Who takes part in an experiment, and which variant a unit gets: hashes, no state.

A unit is a caller or a conversation. The same names always give the same
answer, in every process and after every restart. What variants do, and how
they fare, is in ``experiments``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Final

from hybrid_coordinator.conversation import ChatRequest, text_of
from hybrid_coordinator.learning_settings import Unit

_BITS: Final = 53
"""Of a float's mantissa: every number of so many bits is a float of its own."""


def unit_of(request: ChatRequest, unit: Unit) -> bytes:
    """What an experiment assigns as one: the caller, or the conversation of a caller.

    A conversation is known by what its turns have in common: the system prompt
    and the user's first message. 32 bytes.
    """
    if unit is Unit.CALLER:
        return _digest("caller", request.caller.id)
    system: list[str] = []
    first = ""
    for message in request.messages:
        role = message.get("role")
        if role == "user":
            first = text_of(message.get("content"))
            break
        if role in ("system", "developer"):
            system.append(text_of(message.get("content")))
    return _digest("conversation", request.caller.id, "\n".join(system), first)


def takes_part(experiment: str, unit: bytes, share: float) -> bool:
    """Whether the unit is in the experiment's share (0…1) of the traffic.

    Raising the share keeps everybody who took part before.
    """
    return _uniform("share", experiment, "", unit) < share


def variant_of(experiment: str, unit: bytes, weights: Mapping[str, float]) -> str:
    """The variant that the unit gets; each in exact proportion to its weight, all above 0.

    The least of independent exponential times of rates ``weights``, made from
    one hash a variant (the logarithmic method of Schindelhauer and Schomaker,
    SPAA 2005). The order of the variants does not matter, and one that is added
    or grows takes units from the others without moving any between those.
    """

    def time(variant: str) -> tuple[float, str]:
        # 1 − u is in 0…1 without the 0.
        return -math.log(1.0 - _uniform("variant", experiment, variant, unit)) / weights[
            variant
        ], variant

    return min(weights, key=time)


def _uniform(purpose: str, experiment: str, variant: str, unit: bytes) -> float:
    """A number of 0…1 without the 1, from a hash; another purpose or name, an independent one."""
    hashed = hashlib.blake2b(
        f"{experiment}/{variant}".encode(), key=unit, person=purpose.encode(), digest_size=8
    )
    return (int.from_bytes(hashed.digest(), "big") >> (64 - _BITS)) / 2.0**_BITS


def _digest(*parts: str) -> bytes:
    """One hash of several texts; the lengths keep "ab", "c" apart from "a", "bc"."""
    hashed = hashlib.blake2b(digest_size=32)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        hashed.update(len(text).to_bytes(8, "big"))
        hashed.update(text)
    return hashed.digest()
