"""``python -m hybrid_coordinator`` is ``hybrid-coordinator``."""

from hybrid_coordinator.cli import main

main()
