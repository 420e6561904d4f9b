"""The command ``hybrid-coordinator``."""

from hybrid_coordinator.cli.main import main

__all__ = ["main"]
