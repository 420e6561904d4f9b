"""The optimiser's own process: ``python -m hybrid_coordinator.knowledge.edge_optimize FOLDER``.

Builds the graph index of a copied shard and drops what was deleted in it, at
low priority, then exits. Started by ``EdgeStore``; not for people.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hybrid_coordinator.knowledge.edge_filter import edge


def optimise(folder: Path) -> None:
    """Optimise the shard in ``folder`` until the engine finds nothing more to do."""
    shard = edge().EdgeShard.load(str(folder))
    try:
        shard.optimize()
        shard.flush()
    finally:
        shard.close()


if __name__ == "__main__":
    os.nice(10)
    optimise(Path(sys.argv[1]))
