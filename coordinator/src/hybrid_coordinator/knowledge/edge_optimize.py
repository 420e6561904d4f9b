"""The optimiser's own process: ``python -m hybrid_coordinator.knowledge.edge_optimize FOLDER``.

Builds the graph index of a copied shard and drops much of what was deleted in
it, at low priority, then exits. With ``--rewrite`` the shard is made anew of
its points first: the engine keeps deleted text in its segments until a fifth
of them is deleted, and in its write-ahead log longer. Started by
``EdgeStore``; not for people.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from hybrid_coordinator.knowledge.collections import DENSE, SPARSE, indexes
from hybrid_coordinator.knowledge.edge_config import make_shard
from hybrid_coordinator.knowledge.edge_files import REWRITE
from hybrid_coordinator.knowledge.edge_filter import edge
from hybrid_coordinator.settings import Collection

_PAGE: Final = 256


def optimise(folder: Path) -> None:
    """Optimise the shard in ``folder`` until the engine finds nothing more to do."""
    shard = edge().EdgeShard.load(str(folder))
    try:
        shard.optimize()
        shard.flush()
    finally:
        shard.close()


def rewrite(folder: Path) -> None:
    """Replace the shard in ``folder`` by a new one of its points and nothing else.

    A log that only begins anew would not do: the engine passes over an
    operation whose number is below that of the last one on the same point.
    """
    q = edge()
    described = json.loads((folder / "edge_config.json").read_text("utf-8"))
    fresh = folder.with_name(f"{folder.name}-fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    size = described["vectors"][DENSE]["size"]
    make_shard(fresh, size, indexes(Collection(folder.parent.name)))
    old, new = q.EdgeShard.load(str(folder)), q.EdgeShard.load(str(fresh))
    try:
        after = None
        while True:
            points, after = old.scroll(
                q.ScrollRequest(
                    offset=after, limit=_PAGE, with_payload=True, with_vector=[DENSE, SPARSE]
                )
            )
            copies = [q.Point(point.id, point.vector, point.payload) for point in points]
            if copies:
                new.update(q.UpdateOperation.upsert_points(copies))
            if after is None:
                break
        new.flush()
    finally:
        new.close()
        old.close()
    shutil.rmtree(folder)
    fresh.rename(folder)


if __name__ == "__main__":
    os.nice(10)
    copied = Path(sys.argv[1])
    if REWRITE in sys.argv[2:]:
        rewrite(copied)
    optimise(copied)
