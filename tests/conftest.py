"""Fixtures for every test: the real parts, and hypothesis without a clock."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.testbed.fixtures"]

# A shared machine's speed says nothing about the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
