"""What timers run: each job is one function here and one short command in ``cli``.

The health check, and the dashboard's files. A job looks and writes as the service's user does and
never holds the state directory's lock, which is the running coordinator's.
"""

from hybrid_coordinator.jobs.health import check_health
from hybrid_coordinator.jobs.last_state import LastState, Recorded
from hybrid_coordinator.jobs.report import Level, Part, Report, unknown_report

__all__ = [
    "LastState",
    "Level",
    "Part",
    "Recorded",
    "Report",
    "check_health",
    "unknown_report",
]
