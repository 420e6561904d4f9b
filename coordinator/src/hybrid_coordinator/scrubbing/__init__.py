"""Scrubbing: secrets and personal data are replaced by placeholders before text is kept."""

from hybrid_coordinator.scrubbing.kinds import Kind
from hybrid_coordinator.scrubbing.placeholders import load_key
from hybrid_coordinator.scrubbing.scrubber import Scrubber

__all__ = ["Kind", "Scrubber", "load_key"]
