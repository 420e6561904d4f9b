"""`need_library`: for test files that evaluate modules, which takes nixpkgs' library.

One line in the log for each file that is left out, not one for each test.
"""

from __future__ import annotations

import pytest

from tests.testbed import nix, parts

REASON = f"nixpkgs' library is not at hand ({nix.LIBRARY_VARIABLE} is not set)"


def need_library() -> None:
    """Skip the test file that calls this while it is imported, where there is no library."""
    if "nix" in parts.skipped():
        pytest.skip(f"nix is left out by {parts.VARIABLE}.", allow_module_level=True)
    if nix.library() is None:
        pytest.skip(REASON, allow_module_level=True)
