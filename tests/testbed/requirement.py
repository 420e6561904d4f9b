"""`require`: for tests that start a server of their own. Not for fixtures' users: they have it."""

from __future__ import annotations

import pytest

from tests.testbed import parts


def require(part: str) -> None:
    """Skip the running test if HYBRID_AI_TESTBED leaves `part` out."""
    if part in parts.skipped():
        pytest.skip(f"{part} is left out by {parts.VARIABLE}.")
