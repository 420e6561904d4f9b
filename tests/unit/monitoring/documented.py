"""Which metrics the documents tell of, read from their tables."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def documented_metrics(document: str = "metrics.md") -> set[str]:
    """The metrics that have a row in a table of the document."""
    return {
        name
        for row in (DOCS / document).read_text("utf-8").splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`((?:hybrid|process)_\w+)`", row.split("|")[1])
    }
