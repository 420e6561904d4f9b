"""What stands in the place of a scrubbed value: ``[EMAIL_3fa94c07d2b1]``.

The digits are a keyed BLAKE2b digest of the value: the same value is the same
placeholder everywhere in one installation, and neither the value nor another
installation's placeholder can be worked out from it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from hybrid_coordinator import key_file
from hybrid_coordinator.scrubbing.kinds import Kind

DIGEST_BYTES = 6
"""48 bits: among a million values the chance that any two share one is 0.2 %."""

PLACEHOLDER = re.compile(
    rf"\[(?:{'|'.join(kind.upper() for kind in Kind)})_[0-9a-f]{{{2 * DIGEST_BYTES}}}\]"
)


def placeholder(kind: Kind, identity: str, key: bytes) -> str:
    """The placeholder of a value; ``key`` has at most 64 bytes (RFC 7693, section 2.9)."""
    digest = hashlib.blake2b(
        identity.encode("utf-8", "surrogatepass"),
        key=key,
        digest_size=DIGEST_BYTES,
        person=kind.encode(),
    )
    return f"[{kind.upper()}_{digest.hexdigest()}]"


def load_key(path: Path) -> bytes:
    """The installation's key for placeholders, made at the first call.

    Raises:
        SettingsError, OSError: as ``key_file.load_or_create``.
    """
    return key_file.load_or_create(path)
