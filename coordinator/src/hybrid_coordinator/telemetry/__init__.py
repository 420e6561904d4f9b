"""Events, metrics and logs: what the coordinator says about itself."""

from hybrid_coordinator.telemetry.events import EVENT, Event
from hybrid_coordinator.telemetry.metrics import Metrics
from hybrid_coordinator.telemetry.reader import EventReader
from hybrid_coordinator.telemetry.writer import TelemetryWriter

__all__ = ["EVENT", "Event", "EventReader", "Metrics", "TelemetryWriter"]
