"""kill -9 of the whole service under load; ``make soak`` does the same a thousand times."""

from __future__ import annotations

from pathlib import Path

from tests.soak.run import run

KILLS = 25


async def test_no_acknowledged_record_is_lost_or_doubled_by_25_kills(tmp_path: Path) -> None:
    ledger = await run(tmp_path, KILLS, seed=4)
    assert not ledger.broken, ledger.summary()
    assert ledger.counted["kills"] == KILLS
    # Enough was under way for the kills to hit something.
    assert ledger.counted["interactions acknowledged"] > 100
    assert ledger.counted["outcomes acknowledged"] > 100
    assert ledger.counted["requests cut off and sent again"] > 10
