"""The command ``hybrid-coordinator``."""

import os

# Before numpy is imported: its small products are slower on several threads than on one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hybrid_coordinator.cli.main import main

__all__ = ["main"]
