"""The edge: HTTP in both dialects, keys, limits, and the server that carries it."""

from hybrid_coordinator.api.application import build_app
from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.api.edge import Edge
from hybrid_coordinator.api.server import (
    CoordinatorServer,
    address_of,
    build_server,
    open_sockets,
    passed_by_systemd,
    refuse_open_door,
)
from hybrid_coordinator.api.sessions import Sessions
from hybrid_coordinator.gateway import Answer, AnswerMeta, Gateway

__all__ = [
    "Answer",
    "AnswerMeta",
    "CoordinatorServer",
    "Edge",
    "Gateway",
    "KeyRing",
    "Sessions",
    "address_of",
    "build_app",
    "build_server",
    "open_sockets",
    "passed_by_systemd",
    "refuse_open_door",
]
