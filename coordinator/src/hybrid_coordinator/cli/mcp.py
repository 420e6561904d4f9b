"""``hybrid-coordinator mcp``: the MCP tools on stdin and stdout, done by a running coordinator.

stdout belongs to the protocol; whatever is to be said goes to stderr. The
coordinator may come and go meanwhile: a tool then says that nobody answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from hybrid_coordinator.analysis.report import Analysis
from hybrid_coordinator.api.mcp_server import build_mcp_server, refusal
from hybrid_coordinator.cli.client import Connection
from hybrid_coordinator.client import HybridClient
from hybrid_coordinator.gateway import Augmented, Readiness, SearchHit
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
from hybrid_coordinator.settings import Collection, LogLevel
from hybrid_coordinator.telemetry.logs import configure_logging

log = logging.getLogger(__name__)


class ClientVerbs:
    """The verbs of ``api.verbs``, asked of a coordinator over HTTP."""

    def __init__(self, client: HybridClient) -> None:
        self._client = client

    async def augment(self, query: str, agent_type: str, token_budget: int | None) -> Augmented:
        return await self._client.augment_query(query, agent_type, token_budget=token_budget)

    async def search(
        self,
        query: str,
        collections: Sequence[Collection],
        limit: int,
        filters: Mapping[str, object],
    ) -> Sequence[SearchHit]:
        return await self._client.search_context(query, collections, limit=limit, filters=filters)

    async def track(self, new: NewInteraction) -> str:
        return await self._client.track_interaction(
            new.query,
            new.response,
            new.model_used,
            new.tokens_used,
            agent_type=new.agent_type,
            context_provided=new.context_ids,
            latency_ms=new.latency_ms,
            turns=new.turns,
            tool_calls=new.tool_calls,
            interaction_id=new.id,
        )

    async def interaction(self, interaction_id: str) -> InteractionView:
        return await self._client.interaction(interaction_id)

    async def outcome(self, interaction_id: str, posted: PostedOutcome) -> OutcomeReceipt:
        return await self._client.update_outcome(
            interaction_id,
            posted.outcome,
            posted.user_feedback,
            source=posted.source,
            replace=posted.replace,
        )

    async def forget(self, interaction_id: str) -> Forgotten:
        return await self._client.forget(interaction_id)

    async def training_data(self, wanted: DatasetRequest) -> DatasetReport:
        return await self._client.generate_training_data(
            wanted.formats, min_score=wanted.min_score, validation_share=wanted.validation_share
        )

    async def readiness(self) -> Readiness:
        return await self._client.health()

    async def system_health(self) -> Report:
        return await self._client.system_health()

    async def system_analysis(self) -> Analysis:
        return await self._client.system_analysis()


def serve_stdio(connection: Connection, level: LogLevel) -> None:
    """Serve until stdin ends."""
    configure_logging(level)
    asyncio.run(_serve(connection))


async def _serve(connection: Connection) -> None:
    async with (
        HybridClient(connection.url, connection.key) as client,
        stdio_server() as (incoming, outgoing),
    ):
        server = build_mcp_server(ClientVerbs(client), _failed)
        sender, checked = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        async with anyio.create_task_group() as group:
            group.start_soon(_check, incoming, sender, outgoing.clone())
            await server.run(checked, outgoing, server.create_initialization_options())


async def _check(
    incoming: MemoryObjectReceiveStream[SessionMessage | Exception],
    checked: MemoryObjectSendStream[SessionMessage | Exception],
    outgoing: MemoryObjectSendStream[SessionMessage],
) -> None:
    """Pass on what the protocol knows; refuse the rest here, so that nothing of it is logged."""
    async with checked, outgoing:
        async for message in incoming:
            if isinstance(message, Exception):
                log.warning("a line on stdin was no message of the protocol")
                continue
            root = message.message.root
            refused = refusal(root) if isinstance(root, types.JSONRPCRequest) else None
            if refused is not None:
                await outgoing.send(SessionMessage(types.JSONRPCMessage(refused)))
            else:
                await checked.send(message)


def _failed(error: Exception) -> None:
    log.error("a tool failed", exc_info=error)
