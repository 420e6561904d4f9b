"""Serving as a service: start, readiness, watchdog, reload and an orderly end."""

from hybrid_coordinator.service.run import serve

__all__ = ["serve"]
