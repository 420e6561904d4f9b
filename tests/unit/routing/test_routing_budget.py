from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hybrid_coordinator.routing import SpendLedger
from hybrid_coordinator.routing.budget import seconds_to_midnight
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.routing.scenes import NOON


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_what_was_spent_today_survives_a_restart(tmp_path: Path) -> None:
    ledger = SpendLedger(tmp_path / "spend.json", now=Clock())
    ledger.add(0.25)
    ledger.add(0.5)
    ledger.close()
    assert SpendLedger(tmp_path / "spend.json", now=Clock()).today() == 0.75


def test_a_new_utc_day_begins_at_nothing(tmp_path: Path) -> None:
    clock = Clock()
    ledger = SpendLedger(tmp_path / "spend.json", now=clock)
    ledger.add(1.0)
    clock.now += 12 * 3600 - 1
    assert ledger.today() == 1.0
    clock.now += 1
    assert ledger.today() == 0.0
    ledger.close()
    assert SpendLedger(tmp_path / "spend.json", now=clock).today() == 0.0


def test_the_file_stays_small_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    ledger = SpendLedger(tmp_path / "new" / "spend.json", now=Clock())
    for _ in range(500):
        ledger.add(0.001)
    ledger.close()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["spend.json"]
    assert (tmp_path / "new" / "spend.json").stat().st_size < 100
    assert SpendLedger(tmp_path / "new" / "spend.json", now=Clock()).today() == pytest.approx(0.5)


def test_booking_goes_on_after_a_close(tmp_path: Path) -> None:
    ledger = SpendLedger(tmp_path / "spend.json", now=Clock())
    ledger.add(1.0)
    ledger.close()
    ledger.add(1.0)
    ledger.close()
    assert SpendLedger(tmp_path / "spend.json", now=Clock()).today() == 2.0


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"day": "2027-01-15"}', '{"day": "2027-01-15", "spent_usd": null}']
)
def test_a_broken_file_counts_from_nothing_and_is_reported(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spend.json").write_text(content)
    metrics = Metrics()
    with caplog.at_level(logging.WARNING):
        ledger = SpendLedger(tmp_path / "spend.json", now=Clock(), metrics=metrics)
    assert ledger.today() == 0.0
    assert len(caplog.records) == 1
    failures = {"room": "routing", "kind": "spend_ledger"}
    assert metrics.registry.get_sample_value("hybrid_failures_total", failures) == 1


@pytest.mark.parametrize("spent", ["-3", "NaN", "Infinity"])
def test_an_impossible_sum_in_the_file_is_not_believed(tmp_path: Path, spent: str) -> None:
    (tmp_path / "spend.json").write_text(f'{{"day": "2027-01-15", "spent_usd": {spent}}}')
    assert SpendLedger(tmp_path / "spend.json", now=Clock()).today() == 0.0


def test_a_disk_that_cannot_be_written_is_counted_each_time_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    metrics = Metrics()
    ledger = SpendLedger(tmp_path / "file" / "spend.json", now=Clock(), metrics=metrics)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            ledger.add(1.0)
            ledger.close()
    assert ledger.today() == 2.0
    assert len(caplog.records) <= 1
    failures = {"room": "routing", "kind": "spend_ledger"}
    assert (metrics.registry.get_sample_value("hybrid_failures_total", failures) or 0) >= 2


@pytest.mark.parametrize("usd", [-0.01, float("nan"), float("inf")])
def test_an_impossible_price_is_refused(usd: float) -> None:
    with pytest.raises(ValueError, match="cannot be booked"):
        SpendLedger(now=Clock()).add(usd)


def test_midnight_is_counted_in_utc() -> None:
    assert seconds_to_midnight(NOON) == 43_200
    assert seconds_to_midnight(0.0) == 86_400
