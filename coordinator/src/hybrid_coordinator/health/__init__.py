"""Whether every part is well: what the timer, the command, HTTP and MCP all show.

A check looks as the service's user does, changes nothing, and never holds the
state directory's lock, which is the running coordinator's.
"""

from hybrid_coordinator.health.check import check_health
from hybrid_coordinator.health.last_state import LastState, Recorded
from hybrid_coordinator.health_report import Level, Part, Report, unknown_report

__all__ = [
    "LastState",
    "Level",
    "Part",
    "Recorded",
    "Report",
    "check_health",
    "unknown_report",
]
