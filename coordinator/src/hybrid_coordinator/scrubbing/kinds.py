"""What scrubbing can find, and where; no finder and no replacement."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Names in placeholders and in the metric ``hybrid_scrubbed_total``.

    The order is that of precedence where two findings overlap: the first wins.
    """

    PRIVATE_KEY = "private_key"
    API_KEY = "api_key"
    """A token whose own form tells who issued it."""
    CREDENTIAL = "credential"
    """A password or token that only its surroundings give away."""
    EMAIL = "email"
    CARD = "card"
    PHONE = "phone"
    IP_ADDRESS = "ip_address"


class Found(NamedTuple):
    """A piece of a text that is to be replaced."""

    start: int
    end: int
    kind: Kind
    identity: str
    """What two mentions have in common: the value without the freedom of writing it."""


PRECEDENCE = {kind: rank for rank, kind in enumerate(Kind)}
