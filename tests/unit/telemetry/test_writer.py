"""The end of the telemetry writer, in the one moment in which it could be missed."""

from __future__ import annotations

import threading
from pathlib import Path

from hybrid_coordinator.settings import TelemetrySettings
from hybrid_coordinator.telemetry import EventReader, Metrics, TelemetryWriter
from hybrid_coordinator.telemetry.events import ValueScoreComputed

PATIENCE = 10.0


class Gathering(threading.Event):
    """The event that hurries a batch; says when the writing thread waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.entered.set()
        return super().wait(PATIENCE)


def test_it_ends_though_it_is_told_so_while_a_batch_is_gathered(tmp_path: Path) -> None:
    writer = TelemetryWriter(tmp_path, TelemetrySettings(), Metrics())
    gathering = Gathering()
    writer._hurry = gathering
    writer.start()
    writer.record(ValueScoreComputed(timestamp=1.0, interaction_id="i", score=0.5))
    assert gathering.entered.wait(PATIENCE)
    closing = threading.Thread(target=writer.close, daemon=True)
    closing.start()
    closing.join(PATIENCE / 2)
    assert not closing.is_alive(), "the writing thread did not hear that it has to end"
    assert len(list(EventReader(tmp_path))) == 1
