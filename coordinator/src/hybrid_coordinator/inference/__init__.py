"""Inference: asking backends, and what is done when one does not answer.

``Fleet`` is the room's door. Which candidates are asked is decided in
``routing``, whether an answer is acceptable in ``validation``.
"""

from hybrid_coordinator.inference.attempts import OpenedStream
from hybrid_coordinator.inference.backend import Backend, Readiness
from hybrid_coordinator.inference.course import Candidate, NoAcceptableAnswer, RejectedAnswer
from hybrid_coordinator.inference.factory import build_backend
from hybrid_coordinator.inference.fleet import Answered, Fleet, MakeCall
from hybrid_coordinator.inference.member import BackendStatus

__all__ = [
    "Answered",
    "Backend",
    "BackendStatus",
    "Candidate",
    "Fleet",
    "MakeCall",
    "NoAcceptableAnswer",
    "OpenedStream",
    "Readiness",
    "RejectedAnswer",
    "build_backend",
]
