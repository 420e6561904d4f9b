"""Routing: whether a question stays on this machine, and which backend answers it.

The policy narrows the backends (pinned model, capability, health, budget);
where both tiers are left, the classifier's confidence decides. It asks no
backend itself.
"""

from hybrid_coordinator.routing.budget import SpendLedger
from hybrid_coordinator.routing.certificate import Guarantee
from hybrid_coordinator.routing.classifier import Classifier, Complexity, Estimate
from hybrid_coordinator.routing.decision import BackendView, Candidate, Decision, ReasonClass
from hybrid_coordinator.routing.features import RequestFeatures, extract
from hybrid_coordinator.routing.policy import Router

__all__ = [
    "BackendView",
    "Candidate",
    "Classifier",
    "Complexity",
    "Decision",
    "Estimate",
    "Guarantee",
    "ReasonClass",
    "RequestFeatures",
    "Router",
    "SpendLedger",
    "extract",
]
