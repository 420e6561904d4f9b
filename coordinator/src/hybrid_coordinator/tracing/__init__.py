"""Traces of requests, for a collector that speaks OTLP: off by default, and then never imported."""

from hybrid_coordinator.tracing.opened import Tracing, opened_tracing

__all__ = ["Tracing", "opened_tracing"]
