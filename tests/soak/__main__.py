"""``python -m tests.soak --kills N``: prints what was found; the exit status is 1 on any loss."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.soak.ledger import Ledger
from tests.soak.run import run


def main() -> int:
    """Run, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--state", type=Path, help="kept afterwards; default: a temporary one")
    arguments = parser.parse_args()

    def progress(kills: int, ledger: Ledger) -> None:
        if kills % 25 == 0:
            told = f"{kills} kills, {len(ledger.promises):,} interactions"
            print(f"{told}, {len(ledger.broken)} promises broken", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        state = arguments.state or Path(temporary)
        ledger = asyncio.run(run(state, arguments.kills, arguments.seed, progress))
    print(ledger.summary())
    return 1 if ledger.broken else 0


if __name__ == "__main__":
    sys.exit(main())
