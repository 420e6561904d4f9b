"""What the MCP tools can do, and how the gateway does it for one caller.

``hybrid-coordinator mcp`` does the same through the client library; what a
tool's arguments look like is in ``mcp_tools``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hybrid_coordinator.analysis.report import Analysis
from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.gateway import Augmented, Gateway, Readiness, SearchHit
from hybrid_coordinator.health_report import Report
from hybrid_coordinator.learning.records import (
    DatasetReport,
    DatasetRequest,
    Forgotten,
    InteractionView,
    NewInteraction,
    OutcomeReceipt,
    PostedOutcome,
)
from hybrid_coordinator.settings import Collection


class Verbs(Protocol):
    """The verbs, for somebody who is known already. All raise ``HybridError``."""

    async def augment(self, query: str, agent_type: str, token_budget: int | None) -> Augmented:
        """Put stored knowledge around a question."""

    async def search(
        self,
        query: str,
        collections: Sequence[Collection],
        limit: int,
        filters: Mapping[str, object],
    ) -> Sequence[SearchHit]:
        """Search the stored knowledge, best first."""

    async def track(self, new: NewInteraction) -> str:
        """Keep an interaction; its id."""

    async def interaction(self, interaction_id: str) -> InteractionView:
        """An interaction as it is now."""

    async def outcome(self, interaction_id: str, posted: PostedOutcome) -> OutcomeReceipt:
        """Note how an answer turned out."""

    async def forget(self, interaction_id: str) -> Forgotten:
        """Remove an interaction and everything derived from it."""

    async def training_data(self, wanted: DatasetRequest) -> DatasetReport:
        """Write the training data."""

    async def readiness(self) -> Readiness:
        """How every dependency is."""

    async def system_health(self) -> Report:
        """Every part by its own probe; for operators."""

    async def system_analysis(self) -> Analysis:
        """The settings compared with their use; for operators."""


class GatewayVerbs:
    """The gateway's verbs for one caller."""

    def __init__(self, gateway: Gateway, caller: Caller) -> None:
        self._gateway = gateway
        self._caller = caller

    async def augment(self, query: str, agent_type: str, token_budget: int | None) -> Augmented:
        return await self._gateway.augment(query, agent_type, self._caller, token_budget)

    async def search(
        self,
        query: str,
        collections: Sequence[Collection],
        limit: int,
        filters: Mapping[str, object],
    ) -> Sequence[SearchHit]:
        return await self._gateway.search(query, collections, limit, self._caller, filters)

    async def track(self, new: NewInteraction) -> str:
        return await self._gateway.track(new, self._caller)

    async def interaction(self, interaction_id: str) -> InteractionView:
        return await self._gateway.interaction(interaction_id, self._caller)

    async def outcome(self, interaction_id: str, posted: PostedOutcome) -> OutcomeReceipt:
        return await self._gateway.outcome(interaction_id, posted, self._caller)

    async def forget(self, interaction_id: str) -> Forgotten:
        return await self._gateway.forget(interaction_id, self._caller)

    async def training_data(self, wanted: DatasetRequest) -> DatasetReport:
        return await self._gateway.training_data(wanted, self._caller)

    async def readiness(self) -> Readiness:
        return await self._gateway.readiness()

    async def system_health(self) -> Report:
        return await self._gateway.system_health(self._caller)

    async def system_analysis(self) -> Analysis:
        return await self._gateway.system_analysis(self._caller)
