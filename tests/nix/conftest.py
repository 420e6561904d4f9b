"""Fixtures of the Nix tests: nixpkgs' library, without which nothing can be evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nix.requirement import REASON
from tests.testbed import nix
from tests.testbed.requirement import require


@pytest.fixture(scope="session")
def library() -> Path:
    """The folder of nixpkgs' library; the test is skipped where there is none."""
    require("nix")
    folder = nix.library()
    if folder is None:
        pytest.skip(REASON)
    return folder
